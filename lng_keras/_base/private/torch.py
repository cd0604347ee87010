"""What is needed of torch beyond what it documents."""

import torch

from lng_keras._base.private.names import Name, NameGone

TRANSFORMED = Name(
    "_C._are_functorch_transforms_active",
    "to leave tensors inside torch.func to it",
    package="torch",
    checked="2.13",
)
DONATED = Name(
    "_functorch.config.donated_buffer",
    "to run a compiled backward pass again",
    package="torch",
    checked="2.13",
)


def transforms_are_active() -> bool:
    """Whether torch.func transforms what is computed now.

    True where torch does not tell: plain operations, which it can transform, are right
    in any case, and slower.
    """
    try:
        return TRANSFORMED.of(torch)()
    except NameGone:
        return True


def keep_buffers() -> None:
    """Lets the backward pass of what is compiled from now on run more than once."""
    DONATED.replace(torch, False)
