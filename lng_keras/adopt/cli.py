"""lng-keras cost | poc | export: what LN-G costs, and whether to adopt it.

lng-keras cost model.keras --group_size=4,8,16
lng-keras poc --model=model.keras --data=images/ --output=report/
lng-keras export model.keras --format=onnx --output=model.onnx

`python -m lng_keras` is the same. Both come here by `lng_keras/__main__.py`.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from lng_keras._base import files
from lng_keras._base.errors import UsageError
from lng_keras.adopt import (
    cost,
    defaults,
    early,
    export,
    inputs,
    models,
    report,
    trainings,
)
from lng_keras.adopt.arguments import parser
from lng_keras.swap import find_normalizations


def run_cost(arguments: argparse.Namespace) -> None:
    model = models.load_model(arguments.model, arguments.imports)
    evaluate = count = None
    if arguments.data:
        data = inputs.load_data(
            arguments.data, model, arguments.examples, arguments.data_dir
        )
        pixels = trainings.pixel_range(model, arguments.pixels, arguments.model)
        evaluate = trainings.evaluator(data, pixels)
        count = f"{len(data.x_val):,} validation examples of {data.description}"
    try:
        list(find_normalizations(model))  # refused before a folder is made
        folder = trainings.writable(arguments.output)
        table = cost.compare(
            model,
            group_sizes=arguments.group_size,
            batch_sizes=arguments.batch_sizes,
            compiled={"auto": None, "yes": True, "no": False}[arguments.compiled],
            per_layer=None if arguments.layers == "none" else arguments.layers,
            int8=arguments.int8,
            where=arguments.where,
            evaluate=evaluate,
            progress=trainings.to_stderr,
        )
    except (ValueError, RuntimeError) as error:
        raise UsageError(error) from error
    if count:
        table.sources["accuracy"] = f"{count}; not trained since the swap, as poc does"
    if table.layer_text():
        print(f"{table.layer_text()}\n")
    print(table)
    if folder:
        _write(table, folder)


def _write(table, folder):
    svg = io.StringIO()
    table.picture().savefig(svg, format="svg")
    path = os.path.join(folder, "cost.csv")
    files.write(path, table.to_csv())
    files.write(os.path.join(folder, "cost.json"), table.to_json())
    files.write(os.path.join(folder, "cost.svg"), svg.getvalue())
    trainings.to_stderr(f"wrote {path}, .json and .svg")


def run_poc(arguments: argparse.Namespace) -> None:
    given = dict(vars(arguments), group_sizes=arguments.group_size)
    del given["command"], given["group_size"]
    print(report.poc(**given).headline)


def run_export(arguments: argparse.Namespace) -> None:
    export.check(arguments.format)  # before a model is loaded
    model = models.load_model(arguments.model, arguments.imports)
    done = export.export(model, arguments.output, arguments.format, half=arguments.half)
    print(
        f"{done['path']}: {done['bytes'] / 1e6:.3g} MB, outputs differ from Keras' by "
        f"{done['difference']:.1g} (accepted: {done['tolerance']:.1g})"
    )


def _fill_in(arguments):
    """Gives what has an effect with other arguments alone its default."""
    for name, value in (("examples", defaults.EXAMPLES), ("pixels", "auto")):
        if getattr(arguments, name, value) is None:
            setattr(arguments, name, value)


_VERBS = {"cost": run_cost, "poc": run_poc, "export": run_export}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status."""
    arguments = parser().parse_args(argv)
    sys.path.insert(0, os.getcwd())  # for module:function and --import
    try:
        early.check(arguments)
        _fill_in(arguments)
        _VERBS[arguments.command](arguments)
    except (UsageError, ImportError) as error:
        trainings.to_stderr(f"error: {' '.join(str(error).split())}")
        return 2
    except OSError as error:  # a full disk, a folder that went away
        trainings.to_stderr(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        trainings.to_stderr("interrupted; the same command continues")
        return 130
    return 0
