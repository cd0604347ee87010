"""The arguments of lng-keras, which is also python -m lng_keras. Imports no Keras."""

import argparse

from lng_keras.adopt.completion import SHELLS
from lng_keras.adopt.defaults import (
    BATCH_SIZE,
    EPOCHS,
    EXAMPLES,
    FINALISTS,
    FORMATS,
    GROUP_SIZES,
    LATENCY_BATCHES,
    LEARNING_RATE,
    PIXELS,
    SEEDS,
)
from lng_keras.version import __version__


def _sizes(text):
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of ints such as 4,8")
    return values


def _positive(text):
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an int >= 1")
    return value


def _positive_float(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number > 0")
    return value


class _Parser(argparse.ArgumentParser):
    """Remembers its arguments, for the completion, and errs in one line.

    Attributes:
        arguments: list of `argparse.Action`.
        verbs: dict, name -> parser.
    """

    def __init__(self, *args, **kwargs):
        self.arguments = []
        self.verbs = {}
        super().__init__(*args, **kwargs)

    def add_argument(self, *args, **kwargs):
        argument = super().add_argument(*args, **kwargs)
        self.arguments.append(argument)
        return argument

    def error(self, message):
        self.exit(2, f"error: {message}\n")


def _common(parser):
    for flag, default, what in (
        ("--group_size", GROUP_SIZES, "channels of a group, the candidates"),
        ("--batch_sizes", LATENCY_BATCHES, "batch sizes of the latency"),
    ):
        said = ",".join(map(str, default))
        parser.add_argument(
            flag, type=_sizes, default=default, help=f"{what} (default: {said})"
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
        type=_positive,
        help=f"use at most so many, validation included (default: {EXAMPLES})",
    )
    parser.add_argument(
        "--pixels",
        choices=("auto", *PIXELS),
        help="how the model takes images of bytes; auto, the default: as "
        "module:function says by an attribute `pixels`, else 0..255 if it has a "
        "Rescaling layer, else 0..1",
    )


def _placements(text):
    names = tuple(part for part in text.split(",") if part)
    return "auto" if names in ((), ("auto",)) else names


def _placement_arguments(parser):
    parser.add_argument(
        "--placements",
        type=_placements,
        help="search which norms to replace: all, linear (nothing nonlinear before the "
        "next linear map), residual (goes into an addition) or patterns, such as "
        "all,linear,'stage2*'; auto: the first three; without it, all norms",
    )
    parser.add_argument(
        "--max_latency",
        type=_positive_float,
        help="with --placements: train nothing slower than this times the model as it "
        "is, such as 1.1",
    )
    parser.add_argument(
        "--finalists",
        type=_positive,
        default=FINALISTS,
        help="with --placements: how many to compare (default: %(default)s)",
    )


def parser() -> _Parser:
    """The parser of the command line; `command` is the verb."""
    top = _Parser(
        prog="lng-keras", description="What LN-G costs, and whether to adopt it."
    )
    version = f"lng-keras {__version__}"
    top.add_argument("--version", action="version", version=version)
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
    for flag, kind, default in (
        ("--epochs", _positive, EPOCHS),
        ("--seeds", _positive, SEEDS),
        ("--batch_size", _positive, BATCH_SIZE),
        ("--learning_rate", _positive_float, LEARNING_RATE),
    ):
        poc.add_argument(flag, type=kind, default=default, help="default: %(default)s")
    _common(poc)
    _placement_arguments(poc)
    poc.set_defaults(output="report")
    export = commands.add_parser("export", help="a model for production, checked")
    export.add_argument("model", help=".keras file or module:function, such as zoo:vit")
    export.add_argument("--format", required=True, choices=FORMATS, help="of the file")
    export.add_argument("--output", required=True, help="file to write")
    export.add_argument(
        "--half",
        action="store_true",
        help="write a model of mixed precision as it computes; default: in float32",
    )
    _imports(export)
    completion = commands.add_parser(
        "completion", help="print what a shell reads to complete lng-keras"
    )
    completion.add_argument("shell", choices=SHELLS)
    top.verbs.update(commands.choices)
    return top
