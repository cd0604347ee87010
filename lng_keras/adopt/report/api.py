"""Compatibility, cost and accuracy of LN-G in a model, and the report of them."""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import needed
from lng_keras.adopt import (
    cost,
    defaults,
    fingerprint,
    inputs,
    models,
    trainings,
    verdict,
)
from lng_keras.adopt.report import answers, candidates, nonlinearity, render
from lng_keras.adopt.report.result import PocReport

_PROFILED = 32  # validation images that the nonlinearity is measured on


def poc(
    model: keras.Model | str,
    data: Sequence[np.ndarray] | str,
    group_sizes: Iterable[int] = defaults.GROUP_SIZES,
    epochs: int = defaults.EPOCHS,
    seeds: int = defaults.SEEDS,
    output: str | None = None,
    batch_size: int = defaults.BATCH_SIZE,
    learning_rate: float = defaults.LEARNING_RATE,
    batch_sizes: Sequence[int] = defaults.LATENCY_BATCHES,
    pixels: str = "auto",
    int8: bool = False,
    examples: int = defaults.EXAMPLES,
    data_dir: str | None = None,
    name: str | None = None,
    imports: Sequence[str] = (),
    progress: Callable[[str], object] | None = None,
    placements: candidates.Placements = None,
    forms: Sequence[str] | None = None,
    max_latency: float | None = None,
    finalists: int = defaults.FINALISTS,
    **swap_arguments: Any,
) -> PocReport:
    """Runs compatibility, cost and accuracy on a classifier and writes the report.

    Every candidate continues from the weights the model has, with the same budget and
    seeds as the model as it is. Finished trainings are kept in `output/finished/` and
    used again by the next run with the same settings.

    Args:
        model: built `keras.Model` of one input of known size, with outputs
            `(batch, classes)`; or a `.keras` file, or `module:function`, which is
            called after setting seed 0, see `models.load_model`.
        data: `(x, y, x_val, y_val)` arrays; or a folder of images, an `.npz` file,
            `module:function` or a name of tensorflow-datasets, see `inputs.load_data`.
        group_sizes: sequence of ints.
        epochs, seeds: ints >= 1, of training each candidate.
        output: folder to write to, or None to write nothing.
        batch_size, learning_rate: of training with Adam.
        batch_sizes: for latency.
        pixels: "0..255", "0..1" or "-1..1", how the model takes images of bytes, or
            "auto": as the attribute `pixels` of a `module:function` says; else 0..255
            if it has a Rescaling layer, else 0..1.
        int8: bool, also the accuracy and cost after `quantize("int8")`.
        examples: int, use at most so many, validation included.
        data_dir: folder of tensorflow-datasets, or the environment variable
            LNG_KERAS_DATA_DIR.
        name: str, the model's name in the report.
        imports: modules to import before loading, which register custom layers.
        progress: function called with a line of text; None prints to stderr.
        placements: which norms to replace, as `search_normalization` takes it, or
            "auto": all, linear and residual. The candidates are then the `finalists`
            best after one epoch of each placement, form and group size. None: all
            norms, one candidate a group size.
        forms, max_latency: of `search_normalization`, with `placements`.
        finalists: int, how many candidates to compare, with `placements`.
        **swap_arguments: of `swap_normalization`, such as `where`.

    Returns:
        `PocReport`.

    Raises:
        UsageError: a ValueError of one line, for a model, data or folder that does not
            work. Nothing is written then.
    """
    say, source = progress or trainings.to_stderr, None
    group_sizes = tuple(dict.fromkeys(group_sizes))  # a size twice is one candidate
    if epochs < 1 or seeds < 1 or not group_sizes:
        raise UsageError(
            "`epochs` and `seeds` must be >= 1, and there must be a group size. "
            f"Received: epochs={epochs}, seeds={seeds}, group_sizes={group_sizes}"
        )
    needed("jinja2", "report")
    needed("matplotlib", "report")
    if isinstance(model, str):
        say(f"loading model {model}")
        source = model
        model = models.load_model(model, imports)
    name = name or _name(model, source)
    pixels = trainings.pixel_range(model, pixels, source)
    chosen: dict[str, Any] | None = None
    if placements is None:
        _refuse_what_needs_placements(forms, max_latency)
        swapped = candidates.of_sizes(group_sizes, swap_arguments)
        swaps = candidates.swaps_of(model, swapped)
    else:
        space = candidates.space(model, placements, forms, group_sizes, swap_arguments)
    loaded = _data(data, model, examples, data_dir, say)
    folder = trainings.writable(output)
    with tempfile.TemporaryDirectory() as scratch:
        finished = os.path.join(folder or scratch, "finished")
        settings = dict(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            pixels=pixels,
        )
        if placements is not None:
            swapped, chosen = candidates.found(
                model,
                loaded,
                space,
                placements,
                finalists,
                max_latency,
                max(batch_sizes),
                settings,
                finished,
                say,
            )
            swaps = candidates.swaps_of(model, swapped)
        table = _costs(model, swapped, batch_sizes, int8, finished, say)
        results = trainings.run_all(
            model, loaded, swapped, seeds, settings, finished, say, int8
        )
    say("measuring nonlinearity")
    images = trainings.scaled(loaded.x_val[:_PROFILED], pixels)
    profile = nonlinearity.profile(model, images, swaps)
    _add_accuracy(table, results)
    say("drawing the report")
    content = render.content(
        name, swaps, results, table, profile, loaded, settings, chosen
    )
    shown = ("kind", "label", "headline", "sureness", "answers")
    plain = {
        "model": name,
        **{key: content[key] for key in shown},
        "found": verdict.differences(results),
        "results": results,
        "cost": table.to_dict(),
        "swaps": swaps,
        "placements": chosen,
        "profile": profile,
        "data": loaded.description,
        "settings": settings,
    }
    report = PocReport(content, plain)
    if folder:
        report.write(folder)
        say(f"wrote {report.paths['html']}")
    return report


def _name(model, source):
    """What the report calls a model: its file's name, or its own."""
    in_file = source and os.path.exists(source)
    return os.path.basename(source) if in_file else model.name


def _refuse_what_needs_placements(forms, max_latency):
    for name, value in (("forms", forms), ("max_latency", max_latency)):
        if value is not None:
            raise UsageError(
                f"`{name}` has no effect without `placements`. Received: {name}="
                f'{value!r}. Give placements="auto" too, or leave it out.'
            )


def _data(data, model, examples, data_dir, say):
    if isinstance(data, str):
        say(f"loading data {data}")
        loaded = inputs.load_data(data, model, examples, data_dir)
        counts = f"{len(loaded.x):,} to train, {len(loaded.x_val):,} to validate"
        say(f"{loaded.description}: {counts}")
        return loaded
    x, y, x_val, y_val = (np.asarray(part) for part in data)
    description = "arrays given"
    loaded = inputs.Data(x, np.squeeze(y), x_val, np.squeeze(y_val), description)
    return inputs.check(loaded, model, *models.model_spec(model))


def _costs(model, swapped, batch_sizes, int8, finished, say):
    named = {answers.cost_name(name): swap for name, swap in swapped.items()}
    settings = dict(
        model=fingerprint.of_model(model),
        candidates={name: repr(sorted(swap.items())) for name, swap in named.items()},
        batch_sizes=list(batch_sizes),
        int8=int8,
        environment=cost.latency.environment(),
    )

    def work():
        return cost.compare(
            model,
            candidates=named,
            batch_sizes=batch_sizes,
            int8=int8,
            repeats=20,
            seconds=1.0,
            progress=lambda text: say(f"cost: {text}"),
        ).to_dict()

    result, reused = trainings.cached(finished, "cost", settings, work)
    if reused:
        say("cost: already done")
    return cost.CostTable.from_dict(result)


def _add_accuracy(table, results):
    """Writes the mean accuracy of each candidate beside what it costs."""
    table.sources["accuracy"] = "validation, mean over seeds, after the same training"
    for row in table.rows:
        runs = results[answers.candidate_of(row["name"])]
        int8 = row["name"].endswith(", int8")
        key = "int8_accuracy" if int8 else "accuracy"
        row["accuracy"] = float(np.mean([run[key] for run in runs]))
