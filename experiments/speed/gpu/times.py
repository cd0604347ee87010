"""How fast: a framework's functions on one input after the other, beside a copy."""

import math
import statistics

import numpy as np

from experiments.speed.gpu import cases, checks, records
from experiments.speed.gpu.parallel import outcomes
from lng_keras import kernels

# Of a block that is repeated over the whole input, so that what is exact is soon known.
ROWS = 8


def run(framework, side, plan, folder):
    """Writes a row a case; yields each `Group` before it is its turn."""
    copies = {}
    for group in cases.groups(plan, framework):
        yield group
        for row in _timed(framework, side, plan, group, copies):
            records.append(folder, records.TIMES, framework=framework, **row)


def _timed(framework, side, plan, group, copies):
    states, results = _inputs(side, group)
    parts = {
        (name, what): pair
        for name, normalize in side.normalizations(group.size).items()
        if name in group.names
        for what, pair in side.passes(name, normalize).items()
    }

    def compiled(before, timed, exact):
        ready = [before(*state) for state in states]
        first = side.wait(timed(*ready[0]))
        return ready, None if exact is None else _error(side, first, exact, group)

    tasks = {
        (name, what): (compiled, *pair, results[what] if name == cases.OURS else None)
        for (name, what), pair in parts.items()
    }
    with kernels.use(plan.forms[framework][0]):
        found = outcomes(tasks, side.AT_ONCE)
    for (name, what), (outcome, reason) in found.items():
        row = _row(group, name, what)
        if reason is not None:
            yield {**row, "note": reason}
            continue
        ready, error = outcome
        moved = cases.PASSES[what] * group.bytes
        if moved not in copies:
            copies[moved] = _copy(side, plan, moved)
            yield {**_row(group, "copy", what), **_numbers(copies[moved], moved, 1.0)}
        taken = side.seconds(parts[name, what][1], ready, plan.rounds, plan.burst)
        share = statistics.median(copies[moved]) / statistics.median(taken)
        yield {**row, **_numbers(taken, moved, share), "error": error}
        found[name, what] = ready = None  # what it kept for the gradient is freed


def _row(group, name, what):
    where = {"where": group.where, "dtype": group.dtype, "size": group.size}
    return {**where, "pass": what, "name": name}


def _inputs(side, group):
    """Inputs that take turns, and the exact results of a block of rows by pass."""
    channels = group.shape[-1]
    rows = math.gcd(ROWS, math.prod(group.shape[:-1]))
    (x, gamma, beta, dy), exact = checks.block(
        side, rows, channels, group.dtype, group.size
    )
    turns = side.inputs_in_turn(group.bytes)
    states = [
        (side.tiled(x, group.shape), gamma, beta, side.tiled(dy, group.shape))
        for _ in range(turns)
    ]
    return states, exact


def _error(side, found, exact, group):
    """As `checks.error`, of the whole input, whose rows repeat a block."""
    found = found if isinstance(found, tuple | list) else (found,)
    repeats = math.prod(group.shape[:-1]) // len(exact[0])
    first, *sums = found
    rows = first.reshape(repeats, *exact[0].shape)
    pairs = zip(sums, exact[1:], strict=True)
    errors = [checks.error(side, s, (repeats * e,)) for s, e in pairs]
    return float(np.max([side.worst(rows, exact[0]), *errors]))  # NaN stays


def _copy(side, plan, moved):
    call, states = side.copy(moved // 8)  # float32 numbers, read and written
    side.wait(call(*states[0]))
    return side.seconds(call, states, plan.rounds, plan.burst)


def _numbers(taken, moved, share):
    low, middle, high = statistics.quantiles(taken, n=4)
    return {
        "microseconds": middle * 1e6,
        "low": low * 1e6,
        "high": high * 1e6,
        "repeats": len(taken),
        "gb_per_s": moved / middle / 1e9,
        "share_of_copy": share,
    }
