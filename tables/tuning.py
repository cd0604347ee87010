"""Chooses each row's learning rate: the same grid, schedule and seed for every row.

The score is taken on images split off the training set. The test set plays no part.
"""

import csv
import io

from tables import runs

# No published run has this seed: a rate is not chosen by the luck it is judged by.
SEED = 1000


def choose(table, row, schedule, output, say=print):
    """Returns the learning rate of a row, running what is missing of its grid.

    Args:
        table, row, schedule: of tables/declaration.py.
        output: folder of the table.
        say: function that prints a line of progress.
    """
    if len(schedule.learning_rates) == 1:
        return schedule.learning_rates[0]
    scores = {
        rate: score(table, run(table, row, schedule, rate, output, say))
        for rate in schedule.learning_rates
    }
    return max(scores, key=scores.get)


def run(table, row, schedule, rate, output, say):
    """Returns the record of one tuning run."""
    flags = {
        **schedule.flags,
        **row.flags,
        **schedule.tuning_flags,
        "learning_rate": rate,
        "seed": SEED,
    }
    path = output / "tuning" / row.name / f"learning_rate_{rate}.json"
    name = f"{table.name}-{row.name}-tuning{rate}"
    return runs.ensure(path, name, flags, schedule.backend, say)


def score(table, record):
    """Returns the quantity that chooses, -1 for a diverged run."""
    if "diverged" in record:
        return -1.0
    if table.tuned_on == "validation_accuracy":
        return record["metrics"][-1]["validation_accuracy"]  # of the last epoch
    return record["result"][table.tuned_on]


def grid(table, rows, schedule, output):
    """Returns all tuning results as CSV, one line a run that is finished.

    `at_edge` marks a chosen rate that is the smallest or largest of its grid: a
    better one may lie outside.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "learning_rate", table.tuned_on, "chosen", "at_edge"])
    rates = schedule.learning_rates
    for row in rows:
        scores = {}
        for rate in rates:
            path = output / "tuning" / row.name / f"learning_rate_{rate}.json"
            flags = {**schedule.flags, **row.flags, **schedule.tuning_flags}
            record = runs.read(path, {**flags, "learning_rate": rate, "seed": SEED})
            if record is not None:
                scores[rate] = score(table, record)
        complete = len(scores) == len(rates)
        best = max(scores, key=scores.get) if complete else None
        for rate, value in scores.items():
            chosen = rate == best
            at_edge = chosen and rate in (min(rates), max(rates))
            text_value = "diverged" if value < 0 else f"{value:.4f}"
            writer.writerow([row.name, rate, text_value, chosen, at_edge])
    return text.getvalue()
