"""Carries weights from a model to its swapped copy."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np

from lng_keras._base.private.layers import held, own_variables
from lng_keras.swap.rms import is_rms
from lng_keras.swap.rms import offset as rms_offset
from lng_keras.swap.walk import is_graph


@dataclasses.dataclass
class Carried:
    """The new layer of a norm, the names of weights it got, and those lost."""

    layer: keras.layers.Layer
    names: list[str] = dataclasses.field(default_factory=list)
    lost: dict[str, str] = dataclasses.field(default_factory=dict)  # name -> reason


def pairs(
    old: keras.layers.Layer, new: keras.layers.Layer, replaced: set[int]
) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Yields `(old layer, new layer)` from the model down, each layer once.

    Args:
        replaced: set of ids of the old norms that were replaced.

    Raises:
        RuntimeError: if the two are not the same but for the norms.
    """
    seen = set()

    def below(a, b):
        if id(a) in seen:
            return
        seen.add(id(a))
        yield a, b
        if id(a) in replaced:
            return
        if is_graph(a):
            by_name = {layer.name: layer for layer in b.layers}
            both = [(layer, by_name.get(layer.name)) for layer in a.layers]
            if any(y is None for _, y in both) and len(both) == len(b.layers):
                # Names that Keras made up differ from one copy to the next.
                both = list(zip(a.layers, b.layers, strict=True))
        else:
            first, second = held(a), held(b)
            if len(first) != len(second):
                raise RuntimeError(
                    f"{type(a).__name__} {a.name!r} was rebuilt with {len(second)} "
                    f"sublayers instead of {len(first)}. Its config must rebuild it."
                )
            both = list(zip(first, second, strict=True))
        for x, y in both:
            if not _alike(x, y) and id(x) not in replaced:
                raise RuntimeError(
                    f"{type(x).__name__} {x.name!r} has no counterpart in the "
                    f"rebuilt {a.name!r}. Its config must rebuild it."
                )
            yield from below(x, y)

    return below(old, new)


def _alike(x, y):
    """Whether `y` can be the copy of `x`."""
    return type(x).__name__ == type(y).__name__ or (is_graph(x) and is_graph(y))


def rename(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Gives sublayers that name themselves the names they had, as far as they exist.

    Done before a copy is built, so that its variables are named as they were.
    """
    new.name = old.name

    def below(a, b, exchanged):
        exchanged = getattr(b, "_exchanged", exchanged)
        for x, y in zip(held(a), held(b), strict=False):
            if not (_alike(x, y) or x.name == y.name or id(y) in exchanged):
                return
            y.name = x.name
            below(x, y, exchanged)

    below(old, new, ())


def copy_weights(
    old: keras.layers.Layer, new: keras.layers.Layer, replaced: set[int]
) -> dict[int, Carried]:
    """Copies all weights but those of replaced norms, bit for bit.

    Returns:
        dict, id of a replaced norm -> its `Carried`.
    """
    carried = {}
    for a, b in pairs(old, new, replaced):
        if id(a) in replaced:
            carried[id(a)] = copy_norm(a, b)
        else:
            _copy_own(a, b)
        if b.trainable != a.trainable:
            b.trainable = a.trainable
    return carried


def _copy_own(a, b):
    first, second = own_variables(a), own_variables(b)
    if [tuple(v.shape) for v in first] != [tuple(v.shape) for v in second]:
        raise RuntimeError(
            f"{type(a).__name__} {a.name!r} was rebuilt with other weights: "
            f"{[tuple(v.shape) for v in second]} instead of "
            f"{[tuple(v.shape) for v in first]}. Its config must rebuild it."
        )
    for v, w in zip(first, second, strict=True):
        # A copy: training donates its buffers on JAX, and these are the original's.
        w.assign(keras.ops.copy(v.value))


def weights_of(norm: keras.layers.Layer) -> dict[str, np.ndarray]:
    """Returns `{"gamma": ..., "beta": ..., ...}` of a norm as arrays."""
    weights = {v.name: keras.ops.convert_to_numpy(v.value) for v in norm.weights}
    if is_rms(norm):
        (weight,) = weights.values()
        added = rms_offset(norm)
        weights = {"gamma": weight + np.float32(added) if added else weight}
    return weights


def copy_norm(old: keras.layers.Layer, new: keras.layers.Layer) -> Carried:
    """Carries gamma and beta from one normalization to another."""
    carried = Carried(new)
    before = weights_of(old)
    variables = {v.name: v for v in new.weights}
    subtracted = 0.0
    if is_rms(new):
        variables = {"gamma": new.weights[0]}
        subtracted = rms_offset(new) or 0.0
    for name, value in before.items():
        if name not in variables:
            neutral = 1.0 if name in ("gamma", "moving_variance") else 0.0
            if name.startswith("moving") or not np.all(value == neutral):
                carried.lost[name] = f"{type(new).__name__} has none"
            continue
        fitted = _fit(value, old, tuple(variables[name].shape), new)
        if fitted is None:
            carried.lost[name] = (
                f"its shape {value.shape} does not fit {tuple(variables[name].shape)}"
            )
            continue
        variables[name].assign(fitted - subtracted if subtracted else fitted)
        carried.names.append(name)
    return carried


def _fit(value, old, shape, new):
    """`value` in `shape`: as it is, or constant over space, or None."""
    if value.shape == shape:
        return value
    if len(shape) == 1 and value.ndim > 1:
        # (h, w, c) -> (c,) where it does not change over space.
        axis = _channel_dimension(value.shape, shape[0], old)
        if axis is None:
            return None
        columns = np.moveaxis(value, axis, -1).reshape(-1, shape[0])
        return columns[0] if np.all(columns == columns[0]) else None
    if value.ndim == 1 and len(shape) > 1:
        axis = _channel_dimension(shape, value.shape[0], new)
        if axis is None:
            return None
        broadcast = [1] * len(shape)
        broadcast[axis] = -1
        return np.broadcast_to(value.reshape(broadcast), shape)
    return None


def _channel_dimension(shape, channels, layer):
    """Which axis of a weight spanning space is the channels: last, or first."""
    first = keras.config.image_data_format() == "channels_first"
    axis = 0 if first and len(shape) > 1 else len(shape) - 1
    return axis if shape[axis] == channels else None
