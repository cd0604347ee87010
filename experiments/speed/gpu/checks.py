"""Whether every form is right on the card: against float64, at every offset."""

import numpy as np

from experiments.speed.gpu import cases, exact, records
from experiments.speed.gpu.parallel import outcomes
from lng_keras import kernels


def run(framework, side, plan, folder):
    """Writes a row a case."""
    inputs = {
        (dtype, size, offset): block(side, *plan.checked, dtype, size, offset)
        for dtype in plan.dtypes
        for size in cases.sizes(plan, plan.checked)
        for offset in plan.offsets
    }
    for form in plan.forms[framework]:
        for (dtype, size, what), (errors, reason) in _found(side, form, inputs).items():
            for offset in plan.offsets:
                error = None if reason else errors[offset]
                right = not reason and error <= cases.BOUNDS[dtype]
                records.append(
                    folder,
                    records.CHECKS,
                    framework=framework,
                    form=form,
                    dtype=dtype,
                    size=size,
                    offset=f"{offset:g}",
                    error=error,
                    bound=cases.BOUNDS[dtype],
                    verdict="right" if right else reason or "wrong",
                    **{"pass": what},
                )


def block(side, rows, channels, dtype, size, offset=0.0):
    """Returns tensors x, gamma, beta and dy of rows, and the exact results by pass."""
    rng = np.random.default_rng(0)
    shapes = (rows, channels), (channels,), (channels,), (rows, channels)
    x, *others = (rng.normal(size=shape) for shape in shapes)
    inputs = [side.put(t, dtype) for t in (x + offset, *others)]
    # Of the numbers as they were rounded.
    return inputs, exact.by_pass(*map(side.numpy, inputs), size)


def error(side, actual, desired):
    """The largest difference in shares of the largest number; NaN stays NaN.

    All is 0 where an offset has rounded a group to one number: then the difference.
    """
    actual = actual if isinstance(actual, tuple | list) else (actual,)
    pairs = zip(actual, desired, strict=True)
    errors = [
        np.abs(side.numpy(a) - d).max() / (np.abs(d).max() or 1.0) for a, d in pairs
    ]
    return float(np.max(errors))


def _found(side, form, inputs):
    """Returns dict (dtype, size, pass) -> (dict offset -> error, why there is none)."""
    tasks = {}
    for dtype, size in dict.fromkeys((dtype, size) for dtype, size, _ in inputs):
        here = {o: given for (*key, o), given in inputs.items() if key == [dtype, size]}
        normalize = side.normalizations(size)[cases.OURS]
        for what, parts in side.passes(cases.OURS, normalize).items():
            tasks[dtype, size, what] = _errors, side, what, parts, here
    with kernels.use(form):
        return outcomes(tasks, side.AT_ONCE)


def _errors(side, what, parts, inputs):
    before, timed = parts
    return {
        offset: error(side, timed(*before(*given)), results[what])
        for offset, (given, results) in inputs.items()
    }
