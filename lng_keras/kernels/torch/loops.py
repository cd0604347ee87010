"""Grouped normalization of rows on a CPU, compiled: one pass over memory.

Groups are vectors of their length, gone through by the threads that torch has. Needs
llvmlite, the extra "fast-cpu", and Linux, where torch's threads are those of libgomp.
"""

import contextlib
import ctypes
import functools

import torch

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, statistics_dtype
from lng_keras.kernels.torch.vectors import Function

# Vectors of longer groups take seconds to compile.
LARGEST = 1024
# What `_run` puts before the addresses: the numbers of rows and of channels.
_NUMBERS = 2
# So many numbers are worth a second thread, as in torch.
GRAIN = 1 << 15
DTYPES = (torch.float32, torch.float64, torch.bfloat16)

# The file that torch has loaded, by its name: a second one would have threads of its
# own, which wait in turn for a processor that torch's occupy.
_openmp = ctypes.CDLL("libgomp.so.1")


def supports(x: Tensor, spec: Spec) -> bool:
    """Whether `x` is on a CPU, not empty, and each position is on its own."""
    return (
        x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.numel() > 0
        and spec.axes == (x.ndim - 1,)
        and x.shape[-1] // spec.groups <= LARGEST
    )


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`; keeps nothing."""
    x, gamma, beta = _plain(x), _weight(gamma, x), _weight(beta, x)
    y = torch.empty_like(x)
    weights = (gamma is not None, beta is not None)
    function = _forward(*_case(x, spec), *weights)
    _run(function, x, gamma, beta, y)
    return y, ()


push = fused.push


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`."""
    x, gamma, dy = _plain(x), _weight(gamma, x), _plain(dy.to(x.dtype))
    dx = torch.empty_like(x) if wanted[0] else None
    # A row for each thread.
    sums = [
        torch.zeros((_threads(x), x.shape[-1]), dtype=_wide(x)) if w else None
        for w in wanted[1:]
    ]
    _run(_pull(*_case(x, spec), gamma is not None, wanted), x, gamma, dy, dx, *sums)
    dgamma, dbeta = (None if s is None else s.sum(0) for s in sums)
    return dx, dgamma, dbeta


def _plain(x):
    return x.detach().contiguous()


def _weight(weight, x):
    return None if weight is None else _plain(weight.to(_wide(x)))


def _wide(x):
    return getattr(torch, statistics_dtype(x))


def _case(x, spec):
    dtype = str(x.dtype).removeprefix("torch.")
    return dtype, x.shape[-1] // spec.groups, spec.epsilon, spec.subtract_mean


def _threads(x):
    return torch.get_num_threads() if x.numel() >= GRAIN else 1


def _run(function, x, *tensors):
    channels = x.shape[-1]
    places = [0 if t is None else t.data_ptr() for t in (x, *tensors)]
    numbers = (x.numel() // channels, channels, *places)
    arguments = (ctypes.c_int64 * len(numbers))(*numbers)
    start = ctypes.c_void_p(function.address)
    _openmp.GOMP_parallel(
        start, arguments, ctypes.c_uint(_threads(x)), ctypes.c_uint(0)
    )


@functools.cache
def _forward(dtype, size, epsilon, subtract_mean, has_gamma, has_beta):
    f, wide = Function(size), _wide_name(dtype)
    x, gamma, beta, y = (
        f.array(i, d) for i, d in enumerate((dtype, wide, wide, dtype), _NUMBERS)
    )
    with _each_group(f) as (place, channel):
        z, _ = _standardized(x[place], epsilon, subtract_mean)
        if has_gamma:
            z = z * gamma[channel]
        if has_beta:
            z = z + beta[channel]
        y[place] = z
    return f.compiled()


@functools.cache
def _pull(dtype, size, epsilon, subtract_mean, has_gamma, wanted):
    f, wide = Function(size), _wide_name(dtype)
    dtypes = (dtype, wide, dtype, dtype, wide, wide)
    x, gamma, dy, dx, dgamma, dbeta = (
        f.array(i, d) for i, d in enumerate(dtypes, _NUMBERS)
    )
    mine = _thread(f) * f.whole(1)
    with _each_group(f) as (place, channel):
        z, inverse = _standardized(x[place], epsilon, subtract_mean)
        t = dy[place]
        if wanted[1]:
            dgamma[mine + channel] = dgamma[mine + channel] + t * z
        if wanted[2]:
            dbeta[mine + channel] = dbeta[mine + channel] + t
        if wanted[0]:
            t = t * gamma[channel] if has_gamma else t
            across = t - z * (t * z).mean()
            if subtract_mean:
                across = across - t.mean()
            dx[place] = across * inverse
    return f.compiled()


def _standardized(x, epsilon, subtract_mean):
    if subtract_mean:
        x = x - x.first()
        x = x - x.mean()
    inverse = ((x * x).mean() + epsilon).inverse_root()
    return x * inverse, inverse


@contextlib.contextmanager
def _each_group(f):
    """The place and the first channel of each group in the rows of this thread."""
    rows, channels = f.whole(0), f.whole(1)
    thread, threads = _thread(f), f.called(_address("omp_get_num_threads"))
    start, stop = (t * rows // threads for t in (thread, thread + 1))
    with f.loop(start, stop) as row, f.loop(row * 0, channels, f.length) as channel:
        yield row * channels + channel, channel


def _thread(f):
    return f.called(_address("omp_get_thread_num"))


def _address(name):
    return ctypes.cast(getattr(_openmp, name), ctypes.c_void_p).value


def _wide_name(dtype):
    return "float64" if dtype == "float64" else "float32"
