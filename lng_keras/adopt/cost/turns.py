"""The latency of models side by side, at each batch size and in each mode."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from lng_keras.adopt.cost import latency
from lng_keras.adopt.cost.examples import repeated


def latencies(
    models: Mapping[str, keras.layers.Layer],
    example: Any,
    batch_sizes: Sequence[int],
    repeats: int,
    seconds: float,
    compiled: bool | None,
    say: Callable[[str], object] = lambda text: None,
) -> dict[str, list[dict[str, Any]]]:
    """Times models in turns; see `compare` for the arguments.

    Returns:
        dict, name -> one dict a batch size and mode: `batch`, `mode` and what
        `latency.summary` gives.
    """
    entries: dict[str, list[dict[str, Any]]] = {name: [] for name in models}
    for batch in batch_sizes:
        x = repeated(example, batch)
        for mode, through_compiler in latency.modes(compiled).items():
            say(f"timing batch {batch}, {mode}")
            functions = {
                name: latency.callable_of(model, x, through_compiler)
                for name, model in models.items()
            }
            for name, timed in latency.time_in_turns(
                functions, repeats, seconds
            ).items():
                entries[name].append({"batch": batch, "mode": mode, **timed})
    return entries
