"""Table 5: what each row of tables 1 and 2 costs: step, inference, memory."""

import csv
import io
import json
import os
import pathlib
import subprocess
import sys

from experiments.machinery import files, render, runs, statistics, training_table
from experiments.tables import sources

ROUNDS = {"smoke": 2, "cpu": 3, "full": 3}
REPEATS = {"smoke": 2, "cpu": 20, "full": 100}
QUANTITIES = ("step_ms", "predict_ms", "latency_ms", "memory_mb")
RATIOS = {
    "step_ratio": "step",
    "predict_ratio": "batch forward",
    "latency_ratio": "one image",
}


def run(budget, seeds, only, output):
    """See experiments/catalog.py, and sources.py for `only`.

    `seeds` is the number of rounds; each measures all rows. The rows of a round
    follow one another, so that what slows the machine for a while hits all of them and
    not the rounds of one.
    """
    output = pathlib.Path(output)
    wanted = sources.selected("cost", only)
    for number in range(ROUNDS[budget] if seeds is None else seeds):
        for table, rows in wanted:
            schedule = training_table.schedule_of(table, budget)
            for row in rows:
                ensure(table, row, schedule, number, budget, output)
    text = page(budget, output)
    files.write(output / "table.md", text)
    return text


def record_path(table, row, number, output):
    return output / "runs" / table.name / row.name / f"round{number}.json"


def request(table, row, schedule, budget):
    """Returns what a measurement depends on, and what measure_cost.py is given.

    Flags of train.py, without the learning rate, which costs nothing; those of the
    reference, unless the row is it; and `repeats`.
    """
    flags = {**schedule.flags, **row.flags, "repeats": REPEATS[budget]}
    if row.name != table.reference:
        flags["against"] = {**schedule.flags, **table.row(table.reference).flags}
    return flags


def ensure(table, row, schedule, number, budget, output):
    """Measures one row once, unless that is done."""
    path = record_path(table, row, number, output)
    flags = request(table, row, schedule, budget)
    if runs.read(path, flags) is not None:
        return
    environment = dict(os.environ)
    if schedule.backend is not None:
        environment["KERAS_BACKEND"] = schedule.backend
    print(f"cost: {table.name}, {row.name}, round {number}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.tables.measure_cost", json.dumps(flags)],
        cwd=runs.ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise runs.RunFailed(f"{row.name}: {last} (exit status {done.returncode})")
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    record = {"flags": flags, "measured": measured}
    files.write_json(path, record)


def read_all(table, schedule, budget, output):
    """Returns dict row name -> dict round -> record."""
    found = {}
    for row in table.rows:
        folder = record_path(table, row, 0, output).parent
        for path in sorted(folder.glob("round*.json")):
            record = runs.read(path, request(table, row, schedule, budget))
            if record is not None:
                number = int(path.stem.removeprefix("round"))
                found.setdefault(row.name, {})[number] = record
    return found


def page(budget, output):
    """Returns the table as Markdown and writes table.csv beside it."""
    parts, lines = [], []
    conditions = set()
    for table in sources.TABLES:
        schedule = training_table.schedule_of(table, budget)
        records = read_all(table, schedule, budget, output)
        if records:
            parts += [f"## {table.title}", "", *_table(table, records), ""]
        for name, of_row in records.items():
            for number, record in of_row.items():
                measured = record["measured"]
                values = [f"{measured[q]:.3f}" for q in (*QUANTITIES, *RATIOS)]
                lines.append([table.name, name, number, *values])
                versions = [f"{n} {v}" for n, v in measured["versions"].items()]
                conditions.add(
                    f"{measured['processor']}, cores: {measured['cores']}; "
                    f"{table.name}: {measured['backend']}, "
                    f"{'' if measured['compiled'] else 'not '}compiled as a whole, "
                    f"batch {measured['batch_size']}, Python {measured['python']}, "
                    + ", ".join(versions)
                )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([["table", "row", "round", *QUANTITIES, *RATIOS], *lines])
    files.write(output / "table.csv", text.getvalue())
    head = [
        "# What each normalization costs",
        "",
        "- Median of a process' calls, mean ± standard deviation of n processes, in "
        "milliseconds: a training step (forward, backward, update), the same batch "
        "forward, one image forward. Memory: growth of the process' peak over "
        "training and inference, in MB; it holds the compiler as well.",
        "- Differences in percent of the reference's time, which each process measures "
        "in turn with its own (median of the calls' ratios), with the 95% Student "
        "interval over the processes; verdicts by Holm's procedure at 5 % over the "
        "rows of a table (above: slower). They say more than the milliseconds, which "
        "drift with the machine.",
        f"- Hardware: {'; '.join(sorted(conditions)) or 'nothing is measured'}.",
        f"- Again: `python reproduce.py cost --budget={budget}`, on a machine that "
        "does nothing else.",
        "",
    ]
    return "\n".join([*head, *parts])


def _table(table, records):
    labels = {row.name: row.label for row in table.rows}
    head = ["row", "n", "parameters", "step", "batch forward", "one image", "memory"]
    lines = [head, ["---"] * len(head)]
    for name, of_row in records.items():
        measured = [record["measured"] for record in of_row.values()]
        cells = [labels[name], str(len(measured)), f"{measured[0]['parameters']:,}"]
        for quantity in QUANTITIES:
            values = statistics.summarize([m[quantity] for m in measured])
            spread = "" if values.n < 2 else f" ± {values.std:.2f}"
            cells.append(f"{values.mean:.2f}{spread}")
        lines.append(cells)
    return [*render.grid(lines), "", *_relative(table, records, labels)]


def _relative(table, records, labels):
    """The lines of every row's time in percent of the reference's."""
    names = [name for name in records if name != table.reference]
    if not names:
        return []
    head, cells = (
        [f"against {labels[table.reference]}"],
        {n: [labels[n]] for n in names},
    )
    for ratio, words in RATIOS.items():
        head += [words, "verdict"]
        found = {}
        for name in names:
            values = {n: r["measured"][ratio] for n, r in records[name].items()}
            # Each process has measured its own reference: that is 1 in all of them.
            found[name] = statistics.compare(values, dict.fromkeys(values, 1.0))
        for name, (difference, verdict) in statistics.judge(found).items():
            cells[name] += [render.difference(difference), verdict]
    return render.grid([head, ["---"] * len(head), *cells.values()])
