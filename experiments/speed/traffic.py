"""What a program of XLA moves, read from its text.

Each instruction of the entry is a kernel or a copy: it reads its operands and writes
its result. Of an operand of which it only uses a slice, it reads the slice.
"""

import math
import re

_SIZES = {"f64": 8, "s64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2}
_SIZES |= {"s8": 1, "u8": 1, "pred": 1}
_TENSOR = re.compile(r"\b(" + "|".join(_SIZES) + r")\[([\d,]*)\]")
_LINE = re.compile(
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*?)\)(.*)", re.M
)
_NAME = re.compile(r"%?([\w.\-]+)")
_COMMENTS = re.compile(r"/\*.*?\*/|\w+\[[\d,]*\](?:\{[^}]*\})?")
_FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant"}


def moved(text: str, only: str | None = None) -> tuple[int, int]:
    """Bytes that the kernels of an optimized module read and write, and their number.

    Args:
        only: count but instructions of this name.
    """
    bodies = {}
    for body in text.split("\n\n"):
        head = body.lstrip().split("(", 1)[0].strip()
        bodies[head.removeprefix("ENTRY ").removeprefix("%").strip()] = body
    entry = _LINE.findall(text[text.index("\nENTRY ") :])
    shapes = {name: shape for name, shape, *_ in entry}
    total = kernels = 0
    for _, shape, kind, arguments, rest in entry:
        if kind in _FREE or only not in (None, kind):
            continue
        kernels += 1
        total += _bytes(shape)
        called = re.search(r"calls=%?([\w.\-]+)", rest)
        for i, name in enumerate(_names(arguments)):
            whole = _bytes(shapes.get(name, ""))
            sliced = _sliced(bodies[called[1]], i) if called else None
            total += whole if sliced is None else min(whole, sliced)
    return total, kernels


def gathered(text: str) -> int:
    """How often a program collects an array from other devices."""
    return len(re.findall(r" all-(?:gather|to-all)(?:-start)?\(", text))


def _sliced(body, number):
    """Bytes of the slices of a parameter, or None if anything else uses it."""
    lines = _LINE.findall(body)
    start = [n for n, _, k, a, _ in lines if (k, a) == ("parameter", str(number))]
    if not start:
        return None
    itemsize = _bytes(next(s for n, s, *_ in lines if n in start).split("[")[0] + "[]")
    reached, total = set(start), 0
    for name, shape, kind, arguments, _ in lines:
        if reached.isdisjoint(_names(arguments)):
            continue
        if kind in ("bitcast", "convert"):
            reached.add(name)
        elif kind == "slice":
            total += itemsize * math.prod(map(int, _TENSOR.search(shape)[2].split(",")))
        else:
            return None
    return total


def _names(arguments):
    return _NAME.findall(_COMMENTS.sub("", arguments))


def _bytes(text):
    return sum(
        _SIZES[kind] * math.prod(int(n) for n in sizes.split(",") if n)
        for kind, sizes in _TENSOR.findall(text)
    )
