"""Lets torch write Keras' own normalizations to ONNX with a free batch size.

Keras exports such models through TorchScript's tracer, to which sizes are tensors:
`layer_norm` takes none for the shape it normalizes, and `rms_norm` has no translation.
"""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def norms_that_export() -> Iterator[None]:
    """While entered, torch's norms take sizes as numbers, or are written in full."""
    import torch

    functional = torch.nn.functional
    layer_norm, rms_norm = functional.layer_norm, functional.rms_norm

    def with_sizes(x, normalized_shape, *weights, **named):
        return layer_norm(
            x, [int(size) for size in normalized_shape], *weights, **named
        )

    def in_full(x, normalized_shape, weight=None, eps=None):
        axes = list(range(-len(normalized_shape), 0))
        square = torch.mean(torch.square(x), dim=axes, keepdim=True)
        y = x * torch.rsqrt(square + (torch.finfo(x.dtype).eps if eps is None else eps))
        return y if weight is None else y * weight

    functional.layer_norm, functional.rms_norm = with_sizes, in_full
    try:
        yield
    finally:
        functional.layer_norm, functional.rms_norm = layer_norm, rms_norm
