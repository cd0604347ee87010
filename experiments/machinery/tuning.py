"""Chooses each row's learning rate: the same grid, schedule and seed for every row.

A row whose best rate is at the edge of the grid tries the next one beyond as well.
The score is taken on images split off the training set. The test set plays no part.
"""

import csv
import io
import json

from experiments.machinery import runs

# No published run has this seed: a rate is not chosen by the luck it is judged by.
SEED = 1000


def choose(table, row, schedule, output, say=print):
    """Returns the learning rate of a row, running what is missing of its grid.

    Args:
        table, row, schedule: of experiments/machinery/declaration.py.
        output: folder of the table.
        say: function that prints a line of progress.
    """
    if len(schedule.learning_rates) == 1:
        return schedule.learning_rates[0]
    scores = {}
    while missing := _next_rates(schedule, scores):
        for rate in missing:
            record = run(table, row, schedule, rate, output, say)
            scores[rate] = score(table, record)
    return _best(schedule, scores)


def possible(table, row, schedule, output):
    """Returns the learning rates that a published run of a row may have.

    The chosen one; none while the tuning is not complete; any if there is no tuning.
    """
    scores = _tried(table, row, schedule, output)
    if not scores:
        return list(schedule.rates)
    return [] if _next_rates(schedule, scores) else [_best(schedule, scores)]


def _tried(table, row, schedule, output):
    """Returns dict learning rate -> score of the finished tuning runs of a row."""
    found = {rate: _read(row, schedule, rate, output) for rate in schedule.rates}
    return {rate: score(table, r) for rate, r in found.items() if r is not None}


def _best(schedule, scores):
    """Returns the rate of the highest score; of equal ones the first in the grid."""
    in_order = (*schedule.learning_rates, *schedule.further_rates)
    return max((r for r in in_order if r in scores), key=scores.get)


def _next_rates(schedule, scores):
    """Returns the rates to try, given those that have a score; none if all are."""
    missing = [rate for rate in schedule.learning_rates if rate not in scores]
    if missing:
        return missing
    i = schedule.rates.index(_best(schedule, scores))
    return [r for r in schedule.rates[max(i - 1, 0) : i + 2] if r not in scores]


def run(table, row, schedule, rate, output, say):
    """Returns the record of one tuning run."""
    init = None
    if row.init is not None:
        init = runs.relative(_source_model(table, row, schedule, output, say))
    name = f"{table.name}-{row.name}-tuning{rate}"
    flags = flags_of(row, schedule, rate, init)
    return runs.ensure(_path(row, rate, output), name, flags, schedule.backend, say)


def flags_of(row, schedule, rate, init=None):
    """Returns the flags of a tuning run; `init` is the model it begins from."""
    flags = {**schedule.flags, **row.flags, **schedule.tuning_flags}
    flags |= {"learning_rate": rate, "seed": SEED}
    return flags if init is None else {**flags, "init": init}


def _path(row, rate, output):
    return output / "tuning" / row.name / f"learning_rate_{rate}.json"


def _source_model(table, row, schedule, output, say):
    """Returns the best tuning run's model of the row that `row` begins from.

    Not a published model of that row: it has trained on all images, among them those
    that judge the learning rate here.
    """
    source = table.row(row.init)
    rate = choose(table, source, schedule, output, say)
    return runs.ensure_model(
        _path(source, rate, output),
        f"{table.name}-{source.name}-tuning{rate}",
        flags_of(source, schedule, rate),
        schedule.backend,
        say,
    )


def score(table, record):
    """Returns the quantity that chooses, -1 for a diverged run."""
    if "diverged" in record:
        return -1.0
    if table.tuned_on == "validation_accuracy":
        return record["metrics"][-1]["validation_accuracy"]  # of the last epoch
    return record["result"][table.tuned_on]


def grid(table, rows, schedule, output):
    """Returns all tuning results as CSV, one line a run that is finished.

    `at_edge` marks a chosen rate that is the smallest or largest of all that may be
    tried: a better one may lie outside.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "learning_rate", table.tuned_on, "chosen", "at_edge"])
    edges = schedule.rates[0], schedule.rates[-1]
    for row in rows:
        scores = _tried(table, row, schedule, output)
        complete = not _next_rates(schedule, scores)
        for rate, value in scores.items():
            text_value = "diverged" if value < 0 else f"{value:.4f}"
            taken = complete and rate == _best(schedule, scores)
            line = [row.name, rate, text_value, taken, taken and rate in edges]
            writer.writerow(line)
    return text.getvalue()


def _read(row, schedule, rate, output):
    """Returns a finished tuning run's record, or None."""
    path = _path(row, rate, output)
    flags = flags_of(row, schedule, rate)
    if row.init is not None and path.exists():
        # What it began from is in the record alone.
        flags["init"] = json.loads(path.read_text())["flags"].get("init")
    return runs.read(path, flags)
