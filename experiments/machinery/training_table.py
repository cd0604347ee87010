"""Runs the trainings of a declared table and writes its folder.

runs/ROW/seedN.json             one record a run
tuning/ROW/learning_rate_X.json one record a tuning run; tuning.csv all of them
table.md, table.csv             the table; written anew after every run
accuracy.png, curves.png, ...   pictures
"""

import pathlib
import time

from experiments.machinery import files, plots, render, runs, tuning


def run(table, budget, seeds, only, output, say=print):
    """Does what is missing of a table and returns it as Markdown.

    Row by row for the first seed, then for the next: an interrupted table has every
    row as soon as it can. See experiments/catalog.py for the arguments.

    Raises:
        ValueError: for an unknown budget or row.
        experiments.machinery.runs.RunFailed: if train.py fails.
    """
    schedule = schedule_of(table, budget)
    rows = table.selected(only)
    output = pathlib.Path(output)
    seeds = schedule.seeds if seeds is None else seeds
    missing = sum(
        read(table, row, schedule, seed, output) is None
        for row in rows
        for seed in range(seeds)
    )
    total = len(rows) * seeds
    say(f"{table.name}, {budget}: {total - missing} of {total} runs are done.")
    if missing:
        started = time.time()
        for seed in range(seeds):
            for row in rows:
                record = ensure(table, row, schedule, seed, output, say)
                say(f"{row.name} seed {seed}: {_outcome(table, record)}")
                write(table, budget, schedule, output)
        say(f"{table.name}: done in {time.time() - started:.0f} s.")
    return write(table, budget, schedule, output)


def schedule_of(table, budget):
    if budget not in table.schedules:
        raise ValueError(
            f"Table {table.name} has no budget {budget!r}. "
            f"Its budgets: {', '.join(table.schedules)}."
        )
    return table.schedules[budget]


def flags_of(row, schedule, rate, seed, init=None):
    """Returns the flags of a published run; `init` is the record it begins from."""
    flags = {**schedule.flags, **row.flags, "learning_rate": rate, "seed": seed}
    return flags if init is None else {**flags, "init": init}


def record_path(row, seed, output):
    return pathlib.Path(output) / "runs" / row.name / f"seed{seed}.json"


def run_name(table, row, seed):
    return f"{table.name}-{row.name}-seed{seed}"


def ensure(table, row, schedule, seed, output, say=print):
    """Returns the record of a run at its row's tuned learning rate."""
    found = read(table, row, schedule, seed, output)
    if found is not None:
        return found
    rate = tuning.choose(table, row, schedule, output, say)
    init = None
    if row.init is not None:
        source = table.row(row.init)
        record = ensure(table, source, schedule, seed, output, say)
        model = runs.ensure_model(
            record_path(source, seed, output),
            run_name(table, source, seed),
            record["flags"],
            schedule.backend,
            say,
        )
        init = runs.relative(model)
    return runs.ensure(
        record_path(row, seed, output),
        run_name(table, row, seed),
        flags_of(row, schedule, rate, seed, init),
        schedule.backend,
        say,
    )


def read(table, row, schedule, seed, output):
    """Returns the record of a run if it is finished, or None.

    Without any tuning at hand its learning rate is not asked for: it is in the record.
    A record of another rate than the tuning chose, or before it has, is no result.
    """
    init = None
    if row.init is not None:
        source = table.row(row.init)
        record = read(table, source, schedule, seed, output)
        if record is None:
            return None
        init = runs.relative(runs.work_folder(record["flags"]) / "model.keras")
    path = record_path(row, seed, output)
    for rate in tuning.possible(table, row, schedule, output):
        record = runs.read(path, flags_of(row, schedule, rate, seed, init))
        if record is not None:
            return record
    return None


def read_all(table, schedule, output):
    """Returns dict row name -> dict seed -> record of all finished runs."""
    found = {}
    for row in table.rows:
        folder = record_path(row, 0, output).parent
        seeds = sorted(int(p.stem.removeprefix("seed")) for p in folder.glob("*.json"))
        records = {s: read(table, row, schedule, s, output) for s in seeds}
        records = {s: r for s, r in records.items() if r is not None}
        if records:
            found[row.name] = records
    return found


def write(table, budget, schedule, output):
    """Writes table.md, table.csv, tuning.csv and the pictures from the records."""
    output = pathlib.Path(output)
    records = read_all(table, schedule, output)
    markdown = render.markdown(table, budget, schedule, records)
    files.write(output / "table.md", markdown)
    files.write(output / "table.csv", render.csv_text(table, records))
    if len(schedule.learning_rates) > 1:
        grid = tuning.grid(table, table.rows, schedule, output)
        files.write(output / "tuning.csv", grid)
    plots.draw(table, records, output)
    return markdown


def _outcome(table, record):
    if "diverged" in record:
        return f"diverged, {record['diverged']}"
    return f"{table.measure} {record['result'][table.measure]:.4f}"
