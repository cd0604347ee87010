"""What is checked and timed, the most important first."""

import dataclasses
import itertools

OURS = "lng_keras"
PALLAS = "pallas layer_norm"
COMPILED = "plain, torch.compile"
NAMES = {
    "jax": (OURS, "plain, XLA", "Keras LayerNormalization", PALLAS),
    "torch": (OURS, "plain, eager", "F.layer_norm", "F.group_norm", COMPILED),
}
# Of x and of what is computed from it: each read or written once.
PASSES = {"forward": 2, "dx": 3, "gradient": 3}
DTYPES = {"float32": 4, "bfloat16": 2}
WHOLE = 0  # a group of all channels
EPSILON = 1e-5
# Of the largest number of a result; bfloat16 rounds it to 2^-9 of itself.
BOUNDS = {"float32": 1e-5, "bfloat16": 2e-2}


@dataclasses.dataclass(frozen=True)
class Plan:
    """One extent of the measurement.

    Args:
        shapes: dict name -> shape of what is timed. A size that does not divide the
            channels is left out.
        checked: shape of what is checked on every offset.
        forms: dict framework -> names for `kernels.use` that are checked; the first is
            the one that is timed.
        rounds, burst: how often and how many seconds each function is timed.
    """

    shapes: dict
    checked: tuple
    sizes: tuple
    forms: dict
    rounds: int
    burst: float
    offsets: tuple = (0.0, 1e2, 1e4, 1e6)
    dtypes: tuple = tuple(DTYPES)
    rehearsal: bool = False


REAL = Plan(
    # 99,840 is the number nearest to 100,000 that every size divides.
    shapes={
        "tokens": (65536, 768),
        "maps": (256, 32, 32, 64),
        "wide": (512, 99840),
    },
    # Rows that end inside a block; 960 is 5 to 320 groups, few of them powers of two.
    checked=(130, 960),
    sizes=(8, 4, 16, WHOLE, 3, 48, 192),
    forms={"jax": ("auto", "reference"), "torch": ("auto", "reference")},
    rounds=7,
    burst=0.008,
)
# On a CPU, with kernels interpreted: every line of code and no number that counts.
REHEARSAL = Plan(
    shapes={"tokens": (16, 6), "maps": (2, 2, 2, 4)},
    checked=(10, 24),
    sizes=(3, WHOLE),
    forms={"jax": ("triton", "auto"), "torch": ("auto", "reference")},
    rounds=3,
    burst=0.0,
    rehearsal=True,
)


@dataclasses.dataclass(frozen=True)
class Group:
    """What is timed side by side: one input, and some of a framework's functions."""

    where: str
    shape: tuple
    dtype: str
    size: int  # channels of a group
    names: tuple

    @property
    def bytes(self):
        """Of x."""
        count = DTYPES[self.dtype]
        for n in self.shape:
            count *= n
        return count

    def keys(self):
        """The rows of times.csv that it gives, but for the framework."""
        for name, what in itertools.product(self.names, PASSES):
            yield self.where, self.dtype, str(self.size), what, name


def groups(plan, framework):
    """Yields every `Group`: tokens first, what takes a compiler long at the end."""
    names = NAMES[framework]
    for chosen in (tuple(n for n in names if n != COMPILED), (COMPILED,)):
        if not set(chosen) <= set(names):
            continue
        for where, shape in plan.shapes.items():
            for size, dtype in itertools.product(sizes(plan, shape), plan.dtypes):
                yield Group(where, shape, dtype, size, chosen)


def sizes(plan, shape):
    """The sizes of the plan that divide the channels, each once."""
    found = [size or shape[-1] for size in plan.sizes]
    return list(dict.fromkeys(s for s in found if shape[-1] % s == 0))
