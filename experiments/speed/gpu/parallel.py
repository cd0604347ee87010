"""Runs tasks at once, and tells of each how it ended."""

import concurrent.futures


def outcomes(tasks, at_once):
    """Returns dict name -> (result, None) or (None, the reason that there is none).

    Args:
        tasks: dict name -> tuple of a function and its arguments.
    """
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        futures = {name: pool.submit(*task) for name, task in tasks.items()}
        return {name: _outcome(future) for name, future in futures.items()}


def _outcome(future):
    try:
        return future.result(), None
    # One function of many: what it raises is a result, and the others go on.
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return None, f"{type(error).__name__}: {lines[0][:200]}"
