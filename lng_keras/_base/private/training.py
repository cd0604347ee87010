"""Repairs of how Keras trains on several devices of TensorFlow."""

from typing import Any

from lng_keras._base.private.names import Name

BUILD = Name(
    "_maybe_symbolic_build",
    "to train with several workers",
    without="use --distribute=data or none",
)
_CLIPPING = dict(
    needed="to clip on several devices",
    without="leave out --clip_norm, or use --distribute=none",
)
CLIP = Name("_clip_gradients", **_CLIPPING)
ADD = Name("_all_reduce_sum_gradients", **_CLIPPING)


def never_build_from_a_batch(model: Any) -> None:
    """Keeps `fit` from building a model, which is built, from a distributed batch.

    Keras takes the mean of that batch over its workers, but it is a tuple.
    """
    BUILD.replace(model, lambda **_: None)


def sum_then_clip(optimizer: Any) -> None:
    """Makes a TensorFlow optimizer clip the gradient of all devices together.

    Keras clips the part of each device and adds the clipped parts, which is another
    gradient than that of one device with the whole batch.
    """
    clip, add = CLIP.of(optimizer), ADD.of(optimizer)

    def add_and_clip(pairs):
        gradients, variables = zip(*add(pairs), strict=True)
        return list(zip(clip(list(gradients)), variables, strict=True))

    CLIP.replace(optimizer, lambda gradients: gradients)
    ADD.replace(optimizer, add_and_clip)
