"""python -m lng_keras cost | poc | export: what LN-G costs, and whether to adopt it.

python -m lng_keras cost model.keras --group_size=4,8,16
python -m lng_keras poc --model=model.keras --data=images/ --output=report/
python -m lng_keras export model.keras --format=onnx --output=model.onnx
"""

import argparse
import os
import sys


def sizes(text):
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of ints such as 4,8")
    return values


def positive(text):
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an int >= 1")
    return value


def positive_float(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number > 0")
    return value


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}\n")


def _common(parser):
    parser.add_argument(
        "--group_size",
        type=sizes,
        default=(4, 8, 16),
        help="channels of a group, the candidates (default: 4,8,16)",
    )
    parser.add_argument(
        "--batch_sizes",
        type=sizes,
        default=(1, 32),
        help="batch sizes of the latency (default: 1,32)",
    )
    parser.add_argument(
        "--where",
        help="swap only normalizations whose path or name matches, such as 'stage2*'",
    )
    _imports(parser)
    parser.add_argument(
        "--int8", action="store_true", help='also after quantize("int8")'
    )
    parser.add_argument("--output", help="folder for the files")


def _imports(parser):
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this first: it registers the model's custom layers",
    )


def _data_arguments(parser, required):
    parser.add_argument(
        "--data",
        required=required,
        help="folder with a folder of images a class, .npz with x and y, "
        "module:function such as zoo:cifar10_sample, or a name of tensorflow-datasets"
        + ("" if required else "; adds the accuracy"),
    )
    parser.add_argument(
        "--data_dir", help="folder of tensorflow-datasets, or for module:function"
    )
    parser.add_argument(
        "--examples",
        type=positive,
        default=5000,
        help="use at most so many, validation included (default: 5000)",
    )
    parser.add_argument(
        "--pixels",
        choices=("auto", "0..255", "0..1", "-1..1"),
        default="auto",
        help="how the model takes images of bytes; auto: as module:function says by an "
        "attribute `pixels`, else 0..255 if it has a Rescaling layer, else 0..1",
    )


def parser():
    top = _Parser(prog="python -m lng_keras", description=__doc__.splitlines()[0])
    commands = top.add_subparsers(dest="command", required=True)
    cost = commands.add_parser("cost", help="parameters, FLOPs, memory and latency")
    cost.add_argument("model", help=".keras file or module:function, such as zoo:vit")
    cost.add_argument(
        "--layers",
        choices=("norms", "all", "none"),
        default="norms",
        help="which layers to measure by themselves (default: norms)",
    )
    cost.add_argument(
        "--compiled",
        choices=("auto", "yes", "no"),
        default="auto",
        help="time compiled calls too; auto: yes, but for torch.compile",
    )
    _data_arguments(cost, required=False)
    _common(cost)
    poc = commands.add_parser(
        "poc", help="compatibility, cost and accuracy in a report"
    )
    poc.add_argument(
        "--model", required=True, help=".keras file or module:function, such as zoo:vit"
    )
    _data_arguments(poc, required=True)
    poc.add_argument("--epochs", type=positive, default=3, help="default: 3")
    poc.add_argument("--seeds", type=positive, default=2, help="default: 2")
    poc.add_argument("--batch_size", type=positive, default=32, help="default: 32")
    poc.add_argument(
        "--learning_rate", type=positive_float, default=1e-3, help="default: 0.001"
    )
    _common(poc)
    poc.set_defaults(output="report")
    export = commands.add_parser("export", help="a model for production, checked")
    export.add_argument("model", help=".keras file or module:function, such as zoo:vit")
    export.add_argument(
        "--format", required=True, help="saved_model, onnx, litert or openvino"
    )
    export.add_argument("--output", required=True, help="file to write")
    _imports(export)
    return top


def run_cost(arguments):
    import lng_keras.adopt.cost
    from lng_keras._base.errors import UsageError
    from lng_keras.adopt import inputs, models, trainings
    from lng_keras.swap import find_normalizations

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
        table = lng_keras.cost.compare(
            model,
            group_sizes=arguments.group_size,
            batch_sizes=arguments.batch_sizes,
            compiled={"auto": None, "yes": True, "no": False}[arguments.compiled],
            per_layer=None if arguments.layers == "none" else arguments.layers,
            int8=arguments.int8,
            where=arguments.where,
            evaluate=evaluate,
            progress=_say,
        )
    except (ValueError, RuntimeError) as error:
        raise UsageError(error) from error
    if count:
        table.sources["accuracy"] = f"{count}; not trained since the swap, as poc does"
    if table.layer_text():
        print(f"{table.layer_text()}\n")
    print(table)
    if folder:
        from lng_keras._base import files

        files.write(os.path.join(folder, "cost.csv"), table.to_csv())
        files.write(os.path.join(folder, "cost.json"), table.to_json())
        svg = _svg(table.picture())
        files.write(os.path.join(folder, "cost.svg"), svg)
        _say(f"wrote {os.path.join(folder, 'cost.csv')}, .json and .svg")


def _svg(figure):
    import io

    out = io.StringIO()
    figure.savefig(out, format="svg")
    return out.getvalue()


def run_poc(arguments):
    from lng_keras.adopt import report

    result = report.poc(
        arguments.model,
        arguments.data,
        group_sizes=arguments.group_size,
        epochs=arguments.epochs,
        seeds=arguments.seeds,
        output=arguments.output,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        batch_sizes=arguments.batch_sizes,
        pixels=arguments.pixels,
        int8=arguments.int8,
        examples=arguments.examples,
        data_dir=arguments.data_dir,
        imports=arguments.imports,
        progress=_say,
        where=arguments.where,
    )
    print(result.headline)


def run_export(arguments):
    from lng_keras.adopt import models
    from lng_keras.adopt.export import check, export

    check(arguments.format)  # before a model is loaded
    model = models.load_model(arguments.model, arguments.imports)
    done = export(model, arguments.output, arguments.format)
    print(
        f"{done['path']}: {done['bytes'] / 1e6:.3g} MB, outputs differ from Keras' by "
        f"{done['difference']:.1g} (accepted: {done['tolerance']:.1g})"
    )


def _say(text):
    print(text, file=sys.stderr, flush=True)


def main(argv=None):
    arguments = parser().parse_args(argv)
    sys.path.insert(0, os.getcwd())  # for module:function and --import
    from lng_keras._base.errors import UsageError

    try:
        run = {"cost": run_cost, "poc": run_poc, "export": run_export}
        run[arguments.command](arguments)
    except (UsageError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that went away
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
