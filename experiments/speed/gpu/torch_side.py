"""What runs on torch, and how it is timed there.

By CUDA events around each call. Before it 512 MB are read, which empties the cache and
takes the card longer than Python needs to ask for the call: what is timed has no gaps
in which the card waits for Python.
"""

import functools
import math
import time

import torch
from torch.nn import functional

from experiments.speed.gpu.cases import COMPILED, EPSILON, OURS
from lng_keras import group_layer_normalization
from lng_keras._base.private.torch import keep_buffers

AT_ONCE = 1  # torch's compiler is no matter of threads
_FLUSHED = 512 << 20  # bytes
_CALLS = 5  # a round


def has_gpu():
    return torch.cuda.is_available()


def _device():
    return "cuda" if has_gpu() else "cpu"


def put(array, dtype):
    return torch.tensor(array, dtype=getattr(torch, dtype), device=_device())


def numpy(tensor):
    return tensor.detach().float().cpu().numpy()


def tiled(block, shape):
    return block.repeat(math.prod(shape[:-1]) // len(block), 1).reshape(shape)


def worst(actual, desired):
    """The largest difference over the largest of `desired`, on the card."""
    desired = put(desired, "float32")
    return ((actual - desired).abs().max() / desired.abs().max()).item()


def normalizations(size):
    """Returns dict name -> function of x, gamma and beta."""
    plain = functools.partial(_plain, size=size)
    return {
        OURS: functools.partial(
            group_layer_normalization, group_size=size, epsilon=EPSILON
        ),
        "plain, eager": plain,
        "F.layer_norm": functools.partial(_layer_norm, size=size),
        "F.group_norm": functools.partial(_group_norm, size=size),
        COMPILED: _compiled(plain),
    }


def _plain(x, gamma, beta, size):
    z = x.reshape(*x.shape[:-1], -1, size).float()
    z = z - z.mean(-1, keepdim=True)
    z = z * torch.rsqrt((z * z).mean(-1, keepdim=True) + EPSILON)
    return (z.reshape(x.shape) * gamma + beta).to(x.dtype)


def _compiled(plain):
    # Each shape by itself, and a backward pass that may be run again.
    torch.compiler.reset()
    keep_buffers()
    return torch.compile(plain, fullgraph=True, dynamic=False)


def _layer_norm(x, gamma, beta, size):
    if size == x.shape[-1]:
        return functional.layer_norm(x, (size,), gamma, beta, eps=EPSILON)
    z = functional.layer_norm(x.reshape(-1, size), (size,), eps=EPSILON)
    return z.reshape(x.shape) * gamma + beta


def _group_norm(x, gamma, beta, size):
    c = x.shape[-1]
    y = functional.group_norm(x.reshape(-1, c), c // size, gamma, beta, eps=EPSILON)
    return y.reshape(x.shape)


def passes(name, normalize):
    """Returns dict pass -> (what is done before, what is timed).

    Before: state from x, gamma, beta and dy; of a gradient it is the forward pass.
    """

    def forward(x, gamma, beta, dy):
        with torch.no_grad():
            return normalize(x, gamma, beta)

    def before(count):
        def run(x, gamma, beta, dy):
            inputs = [t.detach() for t in (x, gamma, beta)]
            wanted = [t.requires_grad_() for t in inputs[:count]]
            return normalize(*inputs), wanted, dy

        return run

    def backward(y, wanted, dy):
        return torch.autograd.grad(y, wanted, dy, retain_graph=True)

    return {
        "forward": (lambda *state: state, forward),
        "dx": (before(1), backward),
        "gradient": (before(3), backward),
    }


def copy(count):
    """A copy of as many float32 numbers: (what is timed, its states)."""
    x = torch.ones(count, device=_device())
    return torch.empty_like(x).copy_, [(x,)]


def inputs_in_turn(size):
    return 1  # the cache is emptied


def wait(results):
    if has_gpu():
        torch.cuda.synchronize()
    return results


@functools.cache
def _flushed():
    return torch.ones(_FLUSHED // 4, device="cuda")


def seconds(call, states, rounds, burst):
    """Returns seconds of each call, `_CALLS` a round; compiled before."""
    state, calls = states[0], rounds * _CALLS
    if not has_gpu():
        return [_on_the_clock(call, state) for _ in range(calls)]
    pairs = [
        [torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(calls)
    ]
    for start, end in (pairs[0], pairs[0], *pairs):  # the first two warm up
        _flushed().sum()
        start.record()
        call(*state)
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1e3 for start, end in pairs]


def _on_the_clock(call, state):
    start = time.perf_counter()
    call(*state)
    return time.perf_counter() - start


def dispatch():
    """Seconds of an event pair around a call that computes next to nothing."""
    return min(seconds(torch.ones(8, device=_device()).add, [(1,)], 3, 0))
