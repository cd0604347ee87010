"""What Keras keeps about the layers inside a layer."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from lng_keras._base.private.names import Name

FLATTEN = Name("_flatten_layers", "to list the layers of a model")
LAYERS = Name("_layers", "to list the layers that a layer holds")
TRAINABLE = Name("_trainable_variables", "to copy a layer's own weights")
NON_TRAINABLE = Name("_non_trainable_variables", "to copy a layer's own weights")
SEEDS = Name("_seed_generators", "to copy a layer's random states")
INNER = Name("_functional", "to exchange layers of a sequential model")
TRACKER = Name("_tracker", "to exchange layers inside a layer")
STORES = Name("_tracker.config", "to exchange layers inside a layer")
STORED = Name("_tracker.stored_ids", "to exchange layers inside a layer")
PARAMETERS = Name("_track_variables", "to list the parameters of an exchanged layer")
SEED = Name("_get_seed_generator", "to seed Keras' augmentations in tf.data")
BUILT_FOR = Name("_build_shapes_dict", "to copy a built layer")
DEFAULT = Name("_is_default", "to build layers that build themselves by a call")
MODULES = Name("_modules", "to find layers that torch keeps apart", "torch", "2.13")
# TensorFlow keeps lists of its own of what an object holds. KerasHub's layers have
# attributes that begin like those: `_self_attention_layer_norm`.
_TENSORFLOW = ("_self_unconditional_", "_self_saveable_", "_self_tracked_")
_BOOKKEEPING: set[str] = set()
_OF_TRAINING: set[str] = set()  # what compile and fit set on a model


def flat(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a model and all layers below it, each once."""
    return FLATTEN.of(model)()


def held(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the list of layers that a layer holds, in the order of its weights."""
    return LAYERS.of(layer)


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The variables of a layer itself, random states included."""
    states = [generator.state for generator in SEEDS.of(layer)]
    return TRAINABLE.of(layer) + NON_TRAINABLE.of(layer) + states


def seed_generators(layer: keras.layers.Layer) -> list[Any]:
    """Returns the random states that a layer itself draws from."""
    return SEEDS.of(layer)


def seed_state(layer: keras.layers.Layer, backend: str) -> Any:
    """Returns the variable that an augmenting layer draws from in a backend."""
    return SEED.of(layer)(backend).state


def attributes(layer: keras.layers.Layer) -> Iterator[tuple[str, Any]]:
    """Yields `(name, value)` of the attributes a layer's author has set."""
    if not _BOOKKEEPING:  # what every Keras layer and model has
        _BOOKKEEPING.update(vars(keras.layers.Layer()), vars(keras.Model()))
        _BOOKKEEPING.add("_compiled_trainable_state")
    for name, value in list(vars(layer).items()):
        if name not in _BOOKKEEPING and not name.startswith(_TENSORFLOW):
            yield name, value
    if keras.config.backend() == "torch":  # attributes that are modules
        for name, value in list(MODULES.of(layer).items()):
            if isinstance(value, keras.layers.Layer):
                yield name, value


def set_by_author(layer: keras.layers.Layer) -> Iterator[tuple[str, Any]]:
    """As `attributes`, without what graphs, compiling and training have left."""
    if not _OF_TRAINING:
        x = keras.Input((1,), name="x")
        for model in (keras.Model(x, x, name="x"), keras.Sequential([x], name="x")):
            model.compile("sgd", "mse")
            _OF_TRAINING.update(vars(model))
        _OF_TRAINING.update(("history", "_swaps", "_exchanged"))
    own = {name for kind in type(layer).__mro__ for name in vars(kind)}
    for name, value in attributes(layer):
        methods = name in own and callable(value) and name in ("build", "quantize")
        if name not in _OF_TRAINING and not methods:
            yield name, value


def variables(layer: keras.layers.Layer) -> Iterator[tuple[keras.Variable, bool]]:
    """Yields a layer's own `(variable, whether it trains where the layer does)`."""
    for variable in TRAINABLE.of(layer):
        yield variable, True
    for variable in NON_TRAINABLE.of(layer):
        yield variable, False


def scope(layer: keras.layers.Layer, above: bool = False) -> Any:
    """A scope that names variables like a layer's own, or the layers beside it."""
    *parents, last = (layer.path or layer.name).split("/")
    if above:
        if not parents:
            return contextlib.nullcontext()
        *parents, last = parents
    return keras.name_scope(last, override_parent="/".join(parents) or None)


def finish_copy(
    layer: keras.layers.Layer, new: keras.layers.Layer, memo: Mapping[int, Any]
) -> None:
    """Gives the copy of a layer its state of being built, and the order of its parts.

    Args:
        memo: dict, id of each layer, variable and random state inside -> its copy.
    """
    tracked = TRACKER.of(new).config
    for kind, (_, store) in TRACKER.of(layer).config.items():
        if kind == "metrics" or any(id(part) not in memo for part in store):
            continue  # a graph's constructor has put them there, with inputs of its own
        tracked[kind][1][:] = copies = [memo[id(part)] for part in store]
        STORED.of(new)[kind] = {id(part) for part in copies}
    plain = (bool, int, str, type(None))
    for name in vars(keras.layers.Layer()):
        value = vars(layer).get(name)
        if name in vars(layer) and name != "_trainable" and isinstance(value, plain):
            object.__setattr__(new, name, value)
    for name in ("activity_regularizer", "_input_spec"):
        setattr(new, name, copy.deepcopy(getattr(layer, name)))
    object.__setattr__(new, BUILT_FOR.path, BUILT_FOR.of(layer))
    if keras.config.backend() == "torch" and layer.built:
        list_parameters_again(new)


def inner_graph(model: keras.Sequential) -> keras.Model | None:
    """Returns the functional model that runs a sequential one, None if not built."""
    return INNER.of(model)


@contextlib.contextmanager
def unlocked(layer: keras.layers.Layer) -> Iterator[None]:
    """Lets attributes of a built layer be set to other layers."""
    tracker = TRACKER.of(layer)
    locked = tracker.locked
    tracker.unlock()
    try:
        yield
    finally:
        tracker.locked = locked


def take_places(layer: keras.layers.Layer, memo: Mapping[int, Any]) -> None:
    """Puts new sublayers where the old ones were, so that weights keep their order.

    Args:
        memo: dict, id of an old layer -> the new one, which `layer` holds already.
    """
    store = STORES.of(layer)["layers"][1]
    for old in list(store):
        if id(old) not in memo:
            continue
        new = memo[id(old)]
        index = next(i for i, sublayer in enumerate(store) if sublayer is old)
        with unlocked(layer):
            TRACKER.of(layer).untrack(old)
            TRACKER.of(layer).untrack(new)  # an assignment has put it last
        store.insert(index, new)
        STORED.of(layer)["layers"].add(id(new))
    if held(layer) is not store:  # a sequential model's own list
        held(layer)[:] = [memo.get(id(old), old) for old in held(layer)]


def list_parameters_again(layer: keras.layers.Layer) -> None:
    """Makes torch see the parameters of new sublayers: it lists them at building."""
    PARAMETERS.of(layer)()


def build_as(build: Any, original: Any) -> None:
    """Marks a method `build` as Keras' default one, if `original` is that.

    Keras builds layers with a default `build` by calling them.
    """
    DEFAULT.of(keras.layers.Layer.build)
    if getattr(original, DEFAULT.path, False):
        build._is_default = True
