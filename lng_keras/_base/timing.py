"""Times functions side by side, in turns."""

import math
import time
from collections.abc import Callable, Mapping

WARM_UP = 3  # calls that compile and allocate
LEAST = 5


def in_turns(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    warm_up: int = WARM_UP,
    seconds: float = math.inf,
) -> dict[str, list[float]]:
    """Runs each function in turn; returns seconds, a list for each.

    In turn, because the speed of a shared machine drifts: what is compared is
    measured at the same moment.

    Args:
        functions: dict name -> callable that returns when its work is done.
        repeats: int, timed calls of each.
        warm_up: int, calls of each before.
        seconds: float, stop early once each took this long in sum, with `LEAST` calls
            done.
    """
    for function in functions.values():
        for _ in range(warm_up):
            function()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(repeats):
        if i >= LEAST and all(sum(own) > seconds for own in taken.values()):
            break
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - start)
    return taken
