"""A table of trainings as Markdown and CSV, from the records of its runs."""

import csv
import io
import math

from experiments.machinery import statistics

CSV_COLUMNS = (
    *("row", "seed", "diverged", "test_accuracy", "train_accuracy", "test_loss"),
    *("best_epoch", "best_epoch_test_accuracy", "last_epoch", "parameters"),
    *("step_ms", "seconds", "learning_rate", "backend", "processor", "cores"),
    *("commit", "command"),
)


def markdown(table, budget, schedule, records):
    """Returns the page of a table.

    Args:
        table, schedule: of experiments/machinery/declaration.py.
        budget: name of the budget.
        records: dict row name -> dict seed -> record.
    """
    lines = [f"# {table.title}", "", f"Budget `{budget}`: {schedule.text}", ""]
    rows = values(table, records)
    if not rows:
        return "\n".join([*lines, "No run is finished.", ""])
    lines += _table(table, records, rows)
    lines += ["", *_reading(table, rows), ""]
    lines += pairs(table, rows, _words(table.measure))
    lines += _conditions(table, budget, records)
    lines += [f"- {note}" for note in table.notes]
    lines += ["", *_commands(table, records)]
    return "\n".join(lines) + "\n"


def values(table, records):
    """Returns dict row -> dict seed -> the compared quantity. Diverged runs are out."""
    found = {}
    for name, of_row in records.items():
        of_row = {s: r for s, r in of_row.items() if "diverged" not in r}
        if of_row:
            found[name] = {s: r["result"][table.measure] for s, r in of_row.items()}
    return found


def percent(summary):
    """Formats a `Summary` of fractions: `48.31 ± 0.20`, or `48.31` for one run."""
    if math.isnan(summary.std):
        return f"{100 * summary.mean:.2f}"
    return f"{100 * summary.mean:.2f} ± {100 * summary.std:.2f}"


def difference(found):
    """Formats a `Difference` of fractions in percentage points with its interval."""
    if found is None:
        return "—"
    if math.isnan(found.low):
        return f"{100 * found.mean:+.2f}"
    low, high = 100 * found.low, 100 * found.high
    return f"{100 * found.mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def step_milliseconds(record):
    """Returns the median time of a training step in milliseconds."""
    batch = record["flags"]["batch_size"]
    return 1000 * batch / record["result"]["images_per_second"]


def best_epoch(record):
    """Returns `(epoch, test accuracy)` of the epoch that was best on the test set."""
    row = max(record["metrics"], key=lambda row: row["test_accuracy"])
    return row["epoch"], row["test_accuracy"]


def _table(table, records, rows):
    said = statistics.verdicts(rows, table.reference)
    reference = next(row.label for row in table.rows if row.name == table.reference)
    head = ["row", "test accuracy, last epoch", "train accuracy", "best test epoch"]
    head += ["n", "learning rate", "parameters", "ms a step"]
    head += [f"{_words(table.measure)} against {reference}", "verdict"]
    lines = [" | ".join(head), "|".join(["---"] * len(head))]
    for row in table.rows:
        if row.name not in records:
            continue
        finished = [r for r in records[row.name].values() if "diverged" not in r]
        diverged = len(records[row.name]) - len(finished)
        if not finished:
            cells = [row.label, "diverged", "", "", str(diverged)] + [""] * 5
        else:
            cells = [row.label, *_cells(finished, diverged)]
            found, verdict = said[row.name]
            cells += [difference(found), verdict]
        lines.append(" | ".join(cells))
    return [f"| {line} |" for line in lines]


def _cells(finished, diverged):
    results = [record["result"] for record in finished]

    def mean(name):
        return percent(statistics.summarize([r[name] for r in results]))

    best = statistics.summarize([best_epoch(record)[1] for record in finished])
    steps = statistics.summarize([step_milliseconds(record) for record in finished])
    rates = sorted({record["flags"]["learning_rate"] for record in finished})
    return [
        mean("test_accuracy"),
        mean("train_accuracy"),
        percent(best),
        f"{len(finished)}" + f" ({diverged} diverged)" * bool(diverged),
        ", ".join(str(rate) for rate in rates),
        f"{results[0]['parameters']:,}",
        f"{steps.mean:.0f}",
    ]


def _reading(table, rows):
    labels = {row.name: row.label for row in table.rows}
    first, *others = statistics.leaders(rows)
    words = _words(table.measure)
    if len(rows) == 1:
        return []
    if not others:
        return [f"**{labels[first]}** has the highest {words}, above every other row."]
    if len(others) == len(rows) - 1:
        return [
            f"Highest mean {words}: {labels[first]}. These runs do not "
            "show any other row to be below it, all of them looked at together."
        ]
    return [
        f"Highest mean {words}: {labels[first]}. Not shown to be below it: "
        f"{', '.join(labels[name] for name in others)}."
    ]


def pairs(table, rows, quantity):
    """Returns the lines of the declared pairs whose rows are both there.

    Args:
        table: of experiments/machinery/declaration.py.
        rows: dict row name -> dict seed -> the compared quantity, a fraction.
        quantity: its name, the head of its column.
    """
    found = {
        (name, other): statistics.compare(rows[name], rows[other])
        for name, other in table.pairs
        if name in rows and other in rows
    }
    said = statistics.judge(found)
    if not said:
        return []
    lines = [["row", "against", "n", quantity, "verdict"], ["---"] * 5]
    for (name, other), (found, verdict) in said.items():
        cells = [table.row(name).label, table.row(other).label]
        cells += ["0" if found is None else str(found.n), difference(found), verdict]
        lines.append(cells)
    return [*grid(lines), ""]


def grid(lines):
    """Returns lists of cells as the lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _conditions(table, budget, records):
    every = [record for of_row in records.values() for record in of_row.values()]
    schedule = table.schedules[budget]
    held_out = ""
    if table.tuned_on == "validation_accuracy":
        held_out = ", that is on images split off the training set"
    beyond = ""
    if schedule.further_rates:
        beyond = "; a row whose best was the grid's edge tried the next rate as well"
    backends = sorted({r["environment"]["backend"] for r in every})
    places = {
        f"{r['environment']['processor']}, cores: {r['environment']['cores']}, "
        f"{', '.join(sorted(set(r['environment']['devices'])))}"
        for r in every
    }
    versions = [("Python", r["environment"]["python"]) for r in every]
    for record in every:
        versions += record["environment"]["versions"].items()
    versions = ", ".join(f"{n} {v}" for n, v in dict.fromkeys(versions))
    return [
        "- Accuracy in percent, mean ± standard deviation of n runs (seeds 0 to "
        "n - 1). The published number is that of the last epoch; the best test epoch "
        "is chosen by the test images and therefore too good.",
        f"- Differences in percentage points of {_words(table.measure)}, paired by "
        f"seed, with their {statistics.CONFIDENCE:.0%} Student interval. A verdict is "
        "given only where it holds for all rows of its table (Holm's procedure at "
        "5 %); one run a row decides nothing.",
        f"- Learning rate: the best of the grid by {_words(table.tuned_on)}"
        f"{held_out}, chosen anew for every row with one seed that no result uses"
        f"{beyond} (tuning.csv).",
        "- Milliseconds a step are those of these runs, on a machine that did other "
        "work as well; the table `cost` measures them by themselves.",
        "- Parameters count BN's running averages, two numbers a channel.",
        f"- Hardware: {'; '.join(sorted(places))}. Backend: {', '.join(backends)}. "
        f"Versions: {versions}.",
        f"- Again: `python reproduce.py {table.name} --budget={budget}`",
    ]


def _commands(table, records):
    lines = ["<details><summary>The command of each row's first seed</summary>", ""]
    lines.append("```")
    for row in table.rows:
        if row.name in records:
            of_row = records[row.name]
            lines.append(of_row[min(of_row)]["command"])
    return [*lines, "```", "</details>"]


def csv_text(table, records):
    """Returns one line a run as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for name, of_row in records.items():
        for seed, record in of_row.items():
            writer.writerow({"row": name, "seed": seed, **_csv_line(record)})
    return text.getvalue()


def _csv_line(record):
    environment = record["environment"]
    line = {name: environment[name] for name in ("backend", "processor", "cores")}
    git = environment["git"] or {"commit": "", "changed": False}
    line["commit"] = git["commit"] + "-dirty" * bool(git["changed"])
    line["learning_rate"] = record["flags"]["learning_rate"]
    line["command"] = record["command"]
    if "diverged" in record:
        return {**line, "diverged": record["diverged"]}
    result = record["result"]
    for name in ("test_accuracy", "train_accuracy", "test_loss"):
        line[name] = f"{result[name]:.5f}"
    epoch, accuracy = best_epoch(record)
    line |= {"best_epoch": epoch, "best_epoch_test_accuracy": f"{accuracy:.5f}"}
    line |= {"last_epoch": result["epochs"], "parameters": result["parameters"]}
    line |= {"step_ms": f"{step_milliseconds(record):.2f}"}
    return {**line, "seconds": result["seconds"]}


def _words(name):
    return name.replace("_", " ")
