"""The state of a training: every variable of a compiled model, as arrays."""

import keras
import numpy as np


def collect_state(model):
    """Returns every variable of a compiled model as a dict of arrays."""
    groups = _variables(model)
    # Copies: on torch the array is the variable's own memory.
    state = {
        f"{group}_{i:04d}": np.array(keras.ops.convert_to_numpy(variable))
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }
    return state


def restore_state(model, arrays, metrics=False):
    """Puts the arrays of `collect_state` back; those of the metrics if `metrics`.

    Raises:
        ValueError: if they are another model's or another optimizer's.
    """
    groups = _variables(model)
    expected = {
        f"{group}_{i:04d}": variable
        for group in ("model", "optimizer")
        for i, variable in enumerate(groups[group])
    }
    stored = {name for name in arrays if name.startswith(("model_", "optimizer_"))}
    if expected.keys() != stored or any(
        tuple(v.shape) != arrays[name].shape for name, v in expected.items()
    ):
        raise ValueError(
            f"The checkpoint has {len(arrays)} variables of another model or "
            f"optimizer than this one's {len(expected)}."
        )
    if metrics:
        for i, variable in enumerate(groups["metrics"]):
            expected[f"metrics_{i:04d}"] = variable
    for name, variable in expected.items():
        variable.assign(np.array(arrays[name]))


def _variables(model):
    return {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
