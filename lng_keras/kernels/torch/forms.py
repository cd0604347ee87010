"""Which form of the arithmetic runs on which tensor.

| device | positions on their own | statistics over all of space | other axes |
|---|---|---|---|
| CPU | `loops`, with llvmlite | `summed`; `cpu` for one group | `cpu` |
| CPU, compiled by torch | `reference` | `reference` | `reference` |
| CUDA, also compiled | `triton`, where it is | `reference` | `reference` |
| elsewhere, exported, in torch.func, forward mode | `reference` | ... | ... |

On a CPU, `cpu` runs where `loops` does not: without llvmlite, for channels that are not
last, float16 and long groups; and `reference` where `cpu` does not.
"""

import functools
import importlib
import os
import sys
from types import ModuleType

import torch

from lng_keras.kernels import reference, summed
from lng_keras.kernels.spec import Spec, Tensor
from lng_keras.kernels.torch import cpu

# Longer groups do not fit the registers of a program on a GPU.
LARGEST = 8192


def eager(x: Tensor, spec: Spec) -> ModuleType:
    """The form for a tensor that torch does not compile."""
    loops = _loops() if x.device.type == "cpu" else None
    if loops is not None and loops.supports(x, spec):
        return loops
    if not cpu.supports(x, spec):
        return reference
    # One group over all channels: torch reduces what lies together at once.
    return summed if spec.groups > 1 and summed.supports(x, spec) else cpu


def on_gpu(x: Tensor, spec: Spec, kernel: str) -> bool:
    """Whether the kernel for a GPU runs, interpreted if there is none."""
    return (
        (x.device.type == "cuda" or (kernel == "triton" and _interpreted()))
        and spec.axes == (x.ndim - 1,)
        and x.shape[-1] // spec.groups <= LARGEST
        and x.numel() > 0
        and x.is_floating_point()
        and has_triton()
    )


# torch.compile does not look into an import: it takes the answer as it is.
@torch.compiler.assume_constant_result
def has_triton() -> bool:
    return _triton() is not None


@torch.compiler.assume_constant_result
def _interpreted():
    return os.environ.get("TRITON_INTERPRET") == "1"


def _loops():
    return _imported("loops")


def _triton():
    # Triton and TensorFlow each bring an LLVM: the second one ends the process.
    if "tensorflow" in sys.modules and "triton" not in sys.modules:
        return None
    return _imported("triton")


@functools.cache
def _imported(name):
    """A form, or None where what it is written in is not installed."""
    try:
        return importlib.import_module(f"lng_keras.kernels.torch.{name}")
    except (ImportError, OSError):  # OSError: no libgomp
        return None
