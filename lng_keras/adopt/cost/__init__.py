"""What a normalization costs in a model: parameters, FLOPs, memory and latency."""

import inspect
import warnings

import keras
import numpy as np

from lng_keras._base import machine
from lng_keras._base.private.graph import first_call
from lng_keras.adopt.cost import analysis, latency
from lng_keras.adopt.cost.table import CostTable
from lng_keras.normalization import (
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
)
from lng_keras.swap.api import copy_model, find, swap_normalization
from lng_keras.swap.norms import input_shape

__all__ = ["CostTable", "compare", "measure"]

_SHORT = {
    GroupLayerNormalization: "LN-G",
    PositionalGroupLayerNormalization: "LN-G-Position",
}


def compare(
    model,
    group_sizes=(4, 8, 16),
    to=GroupLayerNormalization,
    batch_sizes=(1, 32),
    inputs=None,
    repeats=30,
    seconds=2.0,
    compiled=None,
    per_layer="norms",
    int8=False,
    evaluate=None,
    progress=None,
    **swap_arguments,
):
    """Measures a model as it is and with each candidate's normalization.

    Args:
        model: built `keras.Model`. It is not changed.
        group_sizes: sequence of ints, the candidates.
        to: the class the candidates' normalizations are of.
        batch_sizes: sequence of ints, for latency.
        inputs: one example in the structure the model takes, batch axis of 1
            included. None: made up from the model's input shapes.
        repeats, seconds: calls timed for each model, batch size and mode, and the
            time after which fewer (at least 5) do.
        compiled: bool or None, whether to time compiled calls as well. None: yes,
            but for torch.compile.
        per_layer: "norms", "all" or None, which layers to measure by themselves.
            Alone they are not fused with their neighbors, so they do not add up to
            the model. Of a layer that takes several tensors, only the parameters.
        int8: bool, also measure each model after `quantize("int8")`.
        evaluate: function from a model to its accuracy, or None.
        progress: function called with a line of text at each step, or None.
        **swap_arguments: of `swap_normalization`, such as `where`.

    Returns:
        `CostTable`; its first row is the model as it is.

    Raises:
        ValueError: if the model has no normalization or cannot be swapped, or its
            input shape is not known and `inputs` is None.
    """
    if per_layer not in ("norms", "all", None):
        raise ValueError(
            f'`per_layer` must be "norms", "all" or None. Received: {per_layer!r}'
        )
    say = progress or (lambda text: None)
    models = {"as it is": model}
    for size in group_sizes:
        models[f"{_SHORT.get(to, to.__name__)} {size}"], _ = swap_normalization(
            model, to=to, group_size=size, **swap_arguments
        )
    if int8:
        for name, original in list(models.items()):
            say(f"quantizing {name}")
            models[f"{name}, int8"] = quantized(original)
    return measure(
        models,
        batch_sizes=batch_sizes,
        inputs=inputs,
        repeats=repeats,
        seconds=seconds,
        compiled=compiled,
        per_layer=per_layer,
        evaluate=evaluate,
        progress=progress,
    )


def measure(
    models,
    batch_sizes=(1, 32),
    inputs=None,
    repeats=30,
    seconds=2.0,
    compiled=None,
    per_layer="norms",
    evaluate=None,
    progress=None,
):
    """Measures models side by side; see `compare` for the arguments.

    Args:
        models: dict, name -> built model, all with the same inputs.
    """
    say = progress or (lambda text: None)
    first = next(iter(models.values()))
    example = example_of(first) if inputs is None else inputs
    rows = []
    for name, model in models.items():
        say(f"analyzing {name}")
        result = analysis.analyze(model, example)
        row = {
            "name": name,
            "parameters": model.count_params(),
            "weight_bytes": weight_bytes(model),
            "flops": result.flops,
            "activation_bytes": result.activation_bytes,
            "latency": [],
            "layers": layer_costs(model, per_layer, batch_sizes, repeats, compiled),
        }
        if evaluate is not None:
            say(f"evaluating {name}")
            row["accuracy"] = float(evaluate(model))
        rows.append(row)
    others = machine.Others()
    for batch in batch_sizes:
        x = repeated(example, batch)
        for mode, through_compiler in latency.modes(compiled).items():
            say(f"timing batch {batch}, {mode}")
            functions = {
                name: latency.callable_of(model, x, through_compiler)
                for name, model in models.items()
            }
            timed = latency.time_in_turns(functions, repeats, seconds)
            for row in rows:
                row["latency"].append(
                    {"batch": batch, "mode": mode, **timed[row["name"]]}
                )
    environment = {**latency.environment(), "other_cpus": others.cpus()}
    return CostTable(rows, environment, analysis.sources())


def quantized(model):
    """An int8 copy of a model: its Dense, EinsumDense and Embedding layers."""
    copy = copy_model(model)
    with warnings.catch_warnings():
        # One warning for each layer that has no int8 form; norms stay as they are.
        warnings.filterwarnings("ignore", message=".*`quantize` method implemented")
        copy.quantize("int8")
    return copy


def weight_bytes(model):
    """Bytes of a model's weights as they are stored."""
    sizes = {"bool": 1, "bfloat16": 2}
    return sum(
        int(np.prod(w.shape)) * (sizes.get(w.dtype) or np.dtype(w.dtype).itemsize)
        for w in model.weights
    )


def example_of(model):
    """One made-up example, batch axis of 1, in the structure a model takes."""
    try:
        tensors = model.input
    except (AttributeError, ValueError):
        shape = (model.get_build_config() or {}).get("input_shape")
        if not isinstance(shape, (list, tuple)) or None in tuple(shape)[1:]:
            raise ValueError(
                f"The input shape of {type(model).__name__} {model.name!r} is not "
                "known. Give `inputs`, one example with a batch axis of 1."
            ) from None
        tensors = keras.KerasTensor(tuple(shape))
    rng = np.random.default_rng(0)

    def one(tensor):
        shape = (1, *tensor.shape[1:])
        if None in shape:
            raise ValueError(
                f"The model's input has unknown sizes, {tuple(tensor.shape)}. Give "
                "`inputs`, one example with a batch axis of 1."
            )
        if not tensor.dtype.startswith(("float", "bfloat")):
            return np.ones(shape, tensor.dtype)
        return rng.uniform(size=shape).astype(tensor.dtype)

    return keras.tree.map_structure(one, tensors)


def repeated(example, batch):
    """`example`, `batch` times along its first axis."""
    return keras.tree.map_structure(
        lambda x: np.repeat(np.asarray(x), batch, axis=0), example
    )


def layer_costs(model, which, batch_sizes, repeats, compiled):
    """Costs of single layers, each shape and configuration measured once."""
    if which is None:
        return []
    known, rows = {}, []
    for path, layer, shape in _layers(model, which):
        row = {
            "path": path,
            "class": type(layer).__name__,
            "parameters": layer.count_params(),
            "weight_bytes": weight_bytes(layer),
            "flops": None,
            "activation_bytes": None,
            "latency": [],
        }
        rows.append(row)
        if shape is None or None in shape[1:]:
            continue
        key = (type(layer), shape, _settings(layer))
        if key not in known:
            known[key] = _layer_cost(layer, shape, batch_sizes, repeats, compiled)
        row.update(known[key])
    return rows


def _layers(model, which):
    from lng_keras.swap.walk import is_graph, text, walk

    if which == "norms":
        for _, norm in find(model):
            yield norm.path, norm.layer, norm.shape
        return
    for steps, layer in walk(model, stop=lambda layer: not is_graph(layer)):
        if not is_graph(layer) and layer.built:
            shape = _only_input(layer) if layer.weights else None
            yield text(model, steps), layer, shape


def _only_input(layer):
    """The shape of the tensor a layer takes, or None if it is not known or not alone.

    It may need several, or be given them where the model calls it. Masks do not count.
    """
    shape = input_shape(layer) or ()
    needed = [
        p
        for p in inspect.signature(layer.call).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    call = first_call(layer)
    tensors = call.keras_tensors if call else ()
    given = [tensor for tensor in tensors if tensor.dtype != "bool"]
    flat = all(size is None or isinstance(size, int) for size in shape)
    return shape if shape and flat and max(len(needed), len(given)) < 2 else None


def _settings(layer):
    config = {k: v for k, v in layer.get_config().items() if k != "name"}
    return repr(sorted(config.items()))


def _layer_cost(layer, shape, batch_sizes, repeats, compiled):
    example = np.random.default_rng(0).normal(size=(1, *shape[1:])).astype("float32")
    result = analysis.analyze(layer, example)
    timed = []
    for batch in batch_sizes:
        x = repeated(example, batch)
        for mode, through_compiler in latency.modes(compiled).items():
            function = latency.callable_of(layer, x, through_compiler)
            entry = latency.time_in_turns({"": function}, repeats, seconds=0.2)[""]
            timed.append({"batch": batch, "mode": mode, **entry})
    return {
        "flops": result.flops,
        "activation_bytes": result.activation_bytes,
        "latency": timed,
    }
