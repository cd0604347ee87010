"""Should you adopt LN-G? An answer on your own model, as one page.

report = lng_keras.report.poc(model, "images/", output="report/")
"""

import html as html_module
import json
import os
import sys
import tempfile

import keras
import numpy as np

from lng_keras._base import files
from lng_keras._base.errors import UsageError
from lng_keras._base.extras import needed
from lng_keras.adopt import cost, fingerprint, inputs, models, trainings, verdict
from lng_keras.adopt.report import render
from lng_keras.adopt.trainings import AS_IS
from lng_keras.swap import find_normalizations, swap_normalization
from lng_keras.swap.walk import is_graph

__all__ = ["PocReport", "poc"]


class PocReport:
    """The report; shows as its page in a notebook.

    Attributes:
        content: dict, all that the page shows.
        html, markdown: str, the page and its text.
        paths: dict, "html", "md" and "json" -> the files written, if any.
    """

    def __init__(self, content, data):
        self.content = content
        self.data = data
        self.html = render.html(content)
        self.markdown = render.markdown(content)
        self.paths = {}

    @property
    def headline(self):
        """The answer in a few words, and the recommendation."""
        return f"{self.content['label']}. {self.content['headline']}"

    def write(self, folder):
        """Writes report.html, report.md and report.json, each whole or not at all."""
        texts = {
            "html": self.html,
            "md": self.markdown,
            "json": json.dumps(self.data, indent=1),
        }
        for kind, text in texts.items():
            path = os.path.join(folder, f"report.{kind}")
            files.write(path, text)
            self.paths[kind] = path

    def _repr_html_(self):
        page = html_module.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{page}" style="width:100%;height:900px;border:0" '
            'title="LN-G report"></iframe>'
        )


def poc(
    model,
    data,
    group_sizes=(4, 8, 16),
    epochs=3,
    seeds=2,
    output=None,
    batch_size=32,
    learning_rate=1e-3,
    batch_sizes=(1, 32),
    pixels="auto",
    int8=False,
    examples=5000,
    data_dir=None,
    name=None,
    imports=(),
    progress=None,
    **swap_arguments,
):
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
        **swap_arguments: of `swap_normalization`, such as `where`.

    Returns:
        `PocReport`.

    Raises:
        UsageError: a ValueError of one line, for a model, data or folder that does not
            work. Nothing is written then.
    """
    say, source = progress or _to_stderr, None
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
    in_file = source and os.path.exists(source)
    name = name or (os.path.basename(source) if in_file else model.name)
    pixels = trainings.pixel_range(model, pixels, source)
    swaps = {size: _checked_swap(model, size, swap_arguments) for size in group_sizes}
    _refuse_if_nothing_is_replaced(swaps)
    data = _data(data, model, examples, data_dir, say)
    folder = trainings.writable(output)
    with tempfile.TemporaryDirectory() as scratch:
        finished = os.path.join(folder or scratch, "finished")
        table = _costs(
            model, group_sizes, batch_sizes, int8, finished, say, swap_arguments
        )
        settings = dict(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            pixels=pixels,
        )
        results = trainings.run_all(
            model,
            data,
            group_sizes,
            seeds,
            settings,
            finished,
            say,
            int8,
            swap_arguments,
        )
    say("measuring nonlinearity")
    profile = _profile(model, data, swaps, pixels)
    _add_accuracy(table, results)
    say("drawing the report")
    content = render.content(name, swaps, results, table, profile, data, settings)
    shown = ("kind", "label", "headline", "sureness", "answers")
    plain = {
        "model": name,
        **{key: content[key] for key in shown},
        "found": verdict.differences(results),
        "results": results,
        "cost": table.to_dict(),
        "swaps": {str(size): rows for size, rows in swaps.items()},
        "profile": profile,
        "data": data.description,
        "settings": settings,
    }
    report = PocReport(content, plain)
    if folder:
        report.write(folder)
        say(f"wrote {report.paths['html']}")
    return report


def _to_stderr(text):
    print(text, file=sys.stderr, flush=True)


def _checked_swap(model, size, swap_arguments):
    try:
        return swap_normalization(model, group_size=size, **swap_arguments)[1].to_dict()
    except (ValueError, RuntimeError) as error:
        raise UsageError(error) from error


def _refuse_if_nothing_is_replaced(swaps):
    rows = [row for swap in swaps.values() for row in swap["rows"]]
    if not any(row["status"] == "replaced" for row in rows):
        reasons = sorted({row["reason"] or row["status"] for row in rows})
        raise UsageError(
            f"None of the model's {len(rows) // len(swaps)} normalizations would be "
            f"replaced ({'; '.join(reasons)[:200]}), so there is nothing to compare."
        )


def _data(data, model, examples, data_dir, say):
    if isinstance(data, str):
        say(f"loading data {data}")
        return inputs.load_data(data, model, examples, data_dir)
    x, y, x_val, y_val = (np.asarray(part) for part in data)
    description = "arrays given"
    loaded = inputs.Data(x, np.squeeze(y), x_val, np.squeeze(y_val), description)
    return inputs.check(loaded, model, *models.model_spec(model))


def _costs(model, sizes, batch_sizes, int8, finished, say, swap_arguments):
    settings = dict(
        model=fingerprint.of_model(model),
        sizes=list(sizes),
        batch_sizes=list(batch_sizes),
        int8=int8,
        swap=repr(sorted(swap_arguments.items())),
        environment=cost.latency.environment(),
    )

    def work():
        return cost.compare(
            model,
            group_sizes=sizes,
            batch_sizes=batch_sizes,
            int8=int8,
            repeats=20,
            seconds=1.0,
            progress=lambda text: say(f"cost: {text}"),
            **swap_arguments,
        ).to_dict()

    result, reused = trainings.cached(finished, "cost", settings, work)
    if reused:
        say("cost: already done")
    return cost.CostTable.from_dict(result)


def _add_accuracy(table, results):
    """Writes the mean accuracy of each candidate beside what it costs."""
    table.sources["accuracy"] = "validation, mean over seeds, after the same training"
    for row in table.rows:
        name, _, kind = row["name"].partition(", ")
        runs = results[AS_IS if name == AS_IS else name.split()[-1]]
        key = "int8_accuracy" if kind == "int8" else "accuracy"
        row["accuracy"] = float(np.mean([run[key] for run in runs]))


def _profile(model, data, swaps, pixels, examples=32):
    """H(LN-G)/H(LN) at the inputs of each normalization of a functional model."""
    try:
        from lng_keras.measures.hessian import normalization_nonlinearity
    except ImportError:
        return None
    norms = [n for _, n in find_normalizations(model) if n.shape]
    norms = [n for n in norms if n.axes[-1] == len(n.shape) - 1 and n.channels >= 3]
    if not is_graph(model) or not norms:
        return None
    try:
        tensors = [n.layer.input for n in norms]
        values = keras.Model(model.inputs, tensors).predict(
            trainings.scaled(data.x_val[:examples], pixels),
            verbose=0,
        )
    except (AttributeError, ValueError):
        return None  # normalizations inside other layers have no symbolic input
    values = values if isinstance(values, list) else [values]
    lines = {}
    rng = np.random.default_rng(0)
    for size, swap in swaps.items():
        used = {row["path"]: render.size_used(row) for row in swap["rows"]}
        points = []
        for norm, value in zip(norms, values, strict=True):
            if (used[norm.path] or 1) == 1:
                continue  # kept, or one channel a group, which has no measure
            rows = value.reshape(-1, norm.channels)
            rows = rows[rng.permutation(len(rows))[:512]]
            epsilon = norm.layer.epsilon
            groups = norm.channels // used[norm.path]
            grouped = normalization_nonlinearity(rows, groups, epsilon)
            plain = normalization_nonlinearity(rows, 1, epsilon)
            ratio = grouped[plain > 0] / plain[plain > 0]
            if ratio.size:
                points.append([norm.path, float(np.median(ratio))])
        if points:
            lines[str(size)] = points
    return lines or None
