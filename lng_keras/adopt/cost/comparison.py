"""Measures models side by side, such as one with each candidate's normalization."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from lng_keras._base import machine
from lng_keras.adopt import defaults
from lng_keras.adopt.cost import analysis, latency
from lng_keras.adopt.cost.examples import example_of
from lng_keras.adopt.cost.single import layer_costs
from lng_keras.adopt.cost.table import CostTable
from lng_keras.adopt.cost.turns import latencies
from lng_keras.adopt.cost.weights import quantized, weight_bytes
from lng_keras.normalization import (
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
)
from lng_keras.swap.api import swap_normalization

AS_IS = "as it is"  # how the model without a swap is called in tables and reports
_SHORT = {
    GroupLayerNormalization: "LN-G",
    PositionalGroupLayerNormalization: "LN-G-Position",
}


def compare(
    model: keras.Model,
    group_sizes: Sequence[int] = defaults.GROUP_SIZES,
    to: type[keras.layers.Layer] = GroupLayerNormalization,
    batch_sizes: Sequence[int] = defaults.LATENCY_BATCHES,
    inputs: Any = None,
    repeats: int = 30,
    seconds: float = 2.0,
    compiled: bool | None = None,
    per_layer: str | None = "norms",
    int8: bool = False,
    evaluate: Callable[[keras.Model], float] | None = None,
    progress: Callable[[str], object] | None = None,
    candidates: Mapping[str, dict[str, Any]] | None = None,
    **swap_arguments: Any,
) -> CostTable:
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
        candidates: dict, name -> arguments of `swap_normalization`; then `group_sizes`,
            `to` and `swap_arguments` are not used.
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
    models = {AS_IS: model}
    if candidates is None:
        name = _SHORT.get(to, to.__name__)
        candidates = {
            f"{name} {size}": dict(swap_arguments, to=to, group_size=size)
            for size in group_sizes
        }
    for name, arguments in candidates.items():
        models[name], _ = swap_normalization(model, **arguments)
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
    models: Mapping[str, keras.Model],
    batch_sizes: Sequence[int] = defaults.LATENCY_BATCHES,
    inputs: Any = None,
    repeats: int = 30,
    seconds: float = 2.0,
    compiled: bool | None = None,
    per_layer: str | None = "norms",
    evaluate: Callable[[keras.Model], float] | None = None,
    progress: Callable[[str], object] | None = None,
) -> CostTable:
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
    timed = latencies(models, example, batch_sizes, repeats, seconds, compiled, say)
    for row in rows:
        row["latency"] = timed[row["name"]]
    environment = {**latency.environment(), "other_cpus": others.cpus()}
    return CostTable(rows, environment, analysis.sources())
