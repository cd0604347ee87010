"""Table 6: the trained models of tables 1 and 2 under shifts of the test set."""

import csv
import functools
import io
import os
import pathlib

import numpy as np

from experiments.machinery import files, plots, render, runs, statistics, training_table
from experiments.machinery.runs import folder_of
from experiments.tables import corruptions, sources

# Images of the test set, class-balanced; 10,000 are all of it.
IMAGES = {"smoke": 200, "cpu": 10_000, "full": 10_000}


def run(budget, seeds, only, output):
    """See experiments/catalog.py, and sources.py for `only`."""
    output = pathlib.Path(output)
    pages = []
    for table, rows in sources.selected("robustness", only):
        schedule = training_table.schedule_of(table, budget)
        for seed in range(schedule.seeds if seeds is None else seeds):
            for row in rows:
                ensure(table, row, schedule, seed, budget, output)
        pages.append(page(table, budget, schedule, output))
    text = "\n".join(["# Shifts of the test set", "", *_conditions(budget), "", *pages])
    files.write(output / "table.md", text)
    return text


def record_path(table, row, seed, output):
    return output / "runs" / table.name / row.name / f"seed{seed}.json"


def ensure(table, row, schedule, seed, budget, output, say=print):
    """Returns the accuracies of one trained model, measuring them if need be.

    Returns:
        dict `{"flags", "images", "clean", "shifted"}`: accuracies in [0, 1], those of
        each shift as a list over severities; or None for a run that diverged.
    """
    source = folder_of(table.name, budget)
    before = training_table.read(table, row, schedule, seed, source)
    record = training_table.ensure(table, row, schedule, seed, source, say)
    path = record_path(table, row, seed, output)
    found, model = runs.read(path, record["flags"]), None
    if found is not None and found["images"] == IMAGES[budget]:
        return found
    if "diverged" not in record:
        model = runs.ensure_model(
            training_table.record_path(row, seed, source),
            training_table.run_name(table, row, seed),
            record["flags"],
            schedule.backend,
            say,
        )
    if training_table.read(table, row, schedule, seed, source) != before:
        training_table.write(table, budget, schedule, source)
    if model is None:
        return None
    say(f"{table.name}, {row.name} seed {seed}: shifted test images")
    found = {"flags": record["flags"], "images": IMAGES[budget]}
    found |= measure(model, record["flags"]["dataset"], IMAGES[budget])
    files.write_json(path, found)
    return found


def measure(path, dataset, count):
    """Returns `{"clean", "shifted"}` accuracies of a saved model."""
    from zoo.runs import model_files
    from zoo.training import evaluation

    model = model_files.load(path)

    def accuracy(name, severity):
        images = shifted_split(dataset, count, name, severity)
        return evaluation.evaluate(model, images)["accuracy"]

    shifted = {
        name: [accuracy(name, severity) for severity in corruptions.SEVERITIES]
        for name in corruptions.CORRUPTIONS
    }
    return {"clean": accuracy(None, 0), "shifted": shifted}


@functools.cache  # made once for all models: 31 MB each at 10,000 images
def shifted_split(dataset, count, name, severity):
    """Returns test images as a `zoo.data.Split`, shifted unless `name` is None."""
    from zoo import data

    if name is not None:
        clean = shifted_split(dataset, count, None, 0)
        return data.Split(
            corruptions.corrupt(clean.images, name, severity), clean.labels
        )
    test = data.load(dataset, os.environ.get("LNG_KERAS_DATA_DIR")).test
    return test.take(data.balanced_choice(test.labels, count))


def read_all(table, budget, schedule, output):
    """Returns dict row -> dict seed -> accuracies, of the runs that are measured."""
    source = folder_of(table.name, budget)
    found = {}
    for name, records in training_table.read_all(table, schedule, source).items():
        row = next(row for row in table.rows if row.name == name)
        for seed, record in records.items():
            path = record_path(table, row, seed, output)
            measured = runs.read(path, record["flags"])
            if measured is not None:
                found.setdefault(name, {})[seed] = measured
    return found


def mean_shifted(measured):
    """Returns the mean accuracy over all shifts and severities."""
    return float(np.mean(list(measured["shifted"].values())))


def kept(measured):
    """Returns the mean accuracy over all shifts as a fraction of the clean one."""
    return mean_shifted(measured) / measured["clean"]


def page(table, budget, schedule, output):
    """Writes the CSV and picture of one source table; returns its part of the page."""
    records = read_all(table, budget, schedule, output)
    if not records:
        return f"## {table.title}\n\nNo model is measured.\n"
    files.write(output / f"{table.name}.csv", csv_text(records))
    plots.save(output / f"{table.name}.png", picture(table, records))
    conditions = schedule.text[:1].upper() + schedule.text[1:]
    lines = [f"## {table.title}", "", conditions, ""]
    lines += [*_accuracies(table, records), ""]
    for quantity, words in ((mean_shifted, "mean of shifts"), (kept, "kept of clean")):
        lines += _compared(table, _each(records, quantity), words)
    return "\n".join(lines)


def _each(records, quantity):
    """Returns dict row -> dict seed -> quantity(measured)."""
    return {
        name: {seed: quantity(measured) for seed, measured in of_row.items()}
        for name, of_row in records.items()
    }


def _accuracies(table, records):
    """The lines of the table of accuracies."""
    head = ["row", "n", "clean", *corruptions.CORRUPTIONS]
    lines = [head, ["---"] * len(head)]
    for row in (row for row in table.rows if row.name in records):
        of_row = records[row.name].values()
        cells = [row.label, str(len(of_row)), _percent(m["clean"] for m in of_row)]
        cells += [
            _percent(float(np.mean(m["shifted"][shift])) for m in of_row)
            for shift in corruptions.CORRUPTIONS
        ]
        lines.append(cells)
    return render.grid(lines)


def _compared(table, rows, words):
    """The lines of a quantity: every row against the reference, and the pairs."""
    said = statistics.verdicts(rows, table.reference)
    against = f"against {table.row(table.reference).label}"
    lines = [["row", words, against, "verdict"], ["---"] * 4]
    for row in (row for row in table.rows if row.name in rows):
        difference, verdict = said[row.name]
        shown = _percent(rows[row.name].values()), render.difference(difference)
        lines.append([row.label, *shown, verdict])
    return [*render.grid(lines), "", *render.pairs(table, rows, words)]


def _percent(values):
    return render.percent(statistics.summarize(list(values)))


def csv_text(records):
    """Returns one line a model, shift and severity (0 is clean)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "seed", "shift", "severity", "accuracy"])
    for name, of_row in records.items():
        for seed, measured in of_row.items():
            writer.writerow([name, seed, "none", 0, f"{measured['clean']:.5f}"])
            for shift, values in measured["shifted"].items():
                for severity, value in zip(corruptions.SEVERITIES, values, strict=True):
                    writer.writerow([name, seed, shift, severity, f"{value:.5f}"])
    return text.getvalue()


def picture(table, records):
    """Draws accuracy against severity, a panel a shift, a line a row."""
    figure = plots.figure(13, 3.6)
    panels = figure.subplots(1, len(corruptions.CORRUPTIONS), sharey=True)
    for shift, axes in zip(corruptions.CORRUPTIONS, panels, strict=True):
        shown = [row for row in table.rows if row.name in records]
        for i, row in enumerate(shown):
            of_row = records[row.name].values()
            runs_of_row = [[m["clean"], *m["shifted"][shift]] for m in of_row]
            style = ("-", "--", ":")[i // 10 % 3]
            axes.plot(
                (0, *corruptions.SEVERITIES),
                100 * np.mean(runs_of_row, axis=0),
                style,
                marker=".",
                label=row.label,
            )
        axes.set(title=shift, xlabel="severity", xticks=(0, *corruptions.SEVERITIES))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy, percent")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right", fontsize=8)
    return figure


def _conditions(budget):
    return [
        f"- The trained models of the tables resnet_na and vit, budget `{budget}`, on "
        f"{IMAGES[budget]:,} class-balanced test images, clean and shifted at the five "
        "severities of CIFAR-10-C (noise, blur, brightness, contrast; made by "
        "experiments/tables/corruptions.py). No model has seen a shifted image.",
        "- Accuracy in percent, mean ± standard deviation over n models; a shift's "
        "column is the mean over its severities, `mean of shifts` the mean over all "
        "shifts, `kept of clean` that in percent of the clean accuracy. A model near "
        "chance (10 %) keeps much because it has little to lose.",
        "- Differences in percentage points, paired by seed, with their 95% Student "
        "interval; verdicts by Holm's procedure at 5 % over the rows of a table.",
        f"- Again: `python reproduce.py robustness --budget={budget}`",
    ]
