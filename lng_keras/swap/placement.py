"""Where a normalization stands: what its output meets next.

A norm is in *linear* position if its output meets no nonlinearity before the next
linear map, as in the linear bottlenecks of Sandler et al., MobileNetV2, CVPR 2018,
section 3.2: there the norm brings all the nonlinearity there is. It is in *residual*
position if its output goes into an addition and nowhere else: the last norm of a
residual branch, whatever comes after.
"""

import dataclasses
from typing import Any

import keras
from keras import layers

from lng_keras._base.private.calls import Call, recorded
from lng_keras.swap import norms
from lng_keras.swap.walk import is_graph

_MAPS = (
    *(layers.Dense, layers.EinsumDense, layers.Embedding),
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D),
    *(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
    *(layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    *(layers.SeparableConv1D, layers.SeparableConv2D),
    # These begin with linear maps of their inputs.
    *(layers.MultiHeadAttention, layers.GroupQueryAttention),
    *(layers.RNN, layers.Bidirectional),
)
_LINEAR_LAYERS = (
    *(layers.InputLayer, layers.Identity, layers.Masking, layers.Rescaling),
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D),
    *(layers.SpatialDropout3D, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.AlphaDropout, layers.ActivityRegularization),
    *(layers.Reshape, layers.Flatten, layers.Permute, layers.RepeatVector),
    *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    *(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D),
    *(layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D),
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
    *(layers.GlobalAveragePooling3D, layers.Concatenate),
    *(layers.Add, layers.Subtract, layers.Average),
)
# Operations by the names of their classes, which Keras does not export.
_LINEAR_OPERATIONS = frozenset(
    "Add Subtract Negative Mean Sum Average Cast ConvertToTensor Identity Copy "
    "StopGradient Reshape Ravel Squeeze ExpandDims Transpose Swapaxes Moveaxis "
    "Concatenate Stack Hstack Vstack Split Unstack GetItem Slice Take Pad Tile "
    "Repeat Roll Flip Rot90 BroadcastTo AveragePool Resize Rearrange".split()
)
_SCALINGS = frozenset(["Multiply", "Divide"])
_PRODUCTS = frozenset(
    "Matmul Dot Einsum Tensordot Inner Outer Conv DepthwiseConv SeparableConv "
    "ConvTranspose".split()
)


@dataclasses.dataclass(frozen=True)
class Placement:
    """What the output of a normalization meets.

    Attributes:
        ends: tuple of str, the first linear maps and nonlinearities, nearest first.
        linear: bool, whether none of them is a nonlinearity; the output is none.
        residual: bool, whether it all goes into additions first.
    """

    ends: tuple[str, ...]
    linear: bool
    residual: bool

    def __str__(self):
        return ("addition, " if self.residual else "") + ", ".join(self.ends)


def placements(
    model: keras.layers.Layer,
) -> tuple[dict[int, Placement], str]:
    """Tells the placement of each normalization of a built model or layer.

    The model is called on tensors that hold no numbers, and what calls what is
    recorded, also inside subclassed models and layers. What computes with the
    backend's own functions instead of Keras' cannot be looked into.

    Returns:
        `(placements, problem)`: dict, id of a layer -> `Placement`, without those of
        which it cannot be told, and a line that says why, or "".
    """
    try:
        args, kwargs = _arguments(model)
        calls, outputs = recorded(model, *args, is_leaf=_is_leaf, **kwargs)
    except Exception as error:  # a model's author's code may raise anything
        return {}, _problem(type(model).__name__, error)
    takers: dict[int, list[Call]] = {}
    for call in calls:
        for tensor in call.inputs:
            takers.setdefault(id(tensor), []).append(call)
    last = {id(tensor) for tensor in outputs}
    made: dict[int, list[Any]] = {}
    for call in calls:
        if norms.is_normalization(call.operation):
            made.setdefault(id(call.operation), []).extend(call.outputs)
    found: dict[int, Placement] = {}
    for layer, tensors in made.items():
        if placement := _placement(tensors, takers, last):
            found[layer] = placement
    failed = next((call for call in calls if call.error), None)
    if failed:
        return found, _problem(type(failed.operation).__name__, failed.error)
    return found, ""


def _problem(name, error):
    return f"{name} cannot be looked into: {' '.join(str(error).split())[:200]}"


def _arguments(model):
    """Tensors without numbers, as the model takes them."""
    if is_graph(model) and model.inputs:
        sequential = isinstance(model, keras.Sequential)
        inputs = model.inputs[0] if sequential else model.input
        return [keras.tree.map_structure(_like, inputs)], {}
    config = model.get_build_config() or {}
    if "shapes_dict" in config:
        shapes = config["shapes_dict"].items()
        return [], {name.removesuffix("_shape"): _tensors(s) for name, s in shapes}
    if config.get("input_shape") is None:
        raise ValueError("its input shape is not known")
    return [_tensors(config["input_shape"])], {}


def _like(tensor):
    return keras.KerasTensor(_one(tensor.shape), tensor.dtype)


def _one(shape):
    """A batch of one example: of an unknown number, sizes cannot be computed."""
    return (shape[0] or 1, *shape[1:]) if shape else shape


def _tensors(shape):
    if isinstance(shape, dict):
        return {name: _tensors(one) for name, one in shape.items()}
    if any(isinstance(size, (list, tuple)) for size in shape):
        return [_tensors(one) for one in shape]
    return keras.KerasTensor(_one(shape))


def _is_leaf(layer):
    own = type(layer) is getattr(layers, type(layer).__name__, None)
    known = isinstance(layer, _MAPS) or norms.is_normalization(layer)
    return known or (own and not isinstance(layer, keras.Model))


def _placement(tensors, takers, last):
    first = _reached(tensors, takers, last, lambda c: _is_end(c) or _is_addition(c))
    ends = _reached(tensors, takers, last, _is_end)
    if not ends or any(call is not None and call.error for call in ends):
        return None
    return Placement(
        ends=tuple(dict.fromkeys(_label(call) for call in ends)),
        linear=all(call is None or _is_map(call) for call in ends),
        residual=all(call is not None and _is_addition(call) for call in first),
    )


def _reached(tensors, takers, last, is_end):
    """The first calls on the way from some tensors that `is_end`, None: the output."""
    found, seen, waiting = [], set(), list(tensors)
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if id(tensor) in last:
            found.append(None)
        for call in takers.get(id(tensor), ()):
            if not is_end(call):
                waiting.extend(call.outputs)
            elif call not in found:
                found.append(call)
    return found


def _is_addition(call):
    adds = isinstance(call.operation, layers.Add) or _name(call) == "Add"
    return adds and len(call.inputs) > 1


def _is_end(call):
    operation = _inner(call)
    if isinstance(operation, layers.Activation):
        return operation.activation is not keras.activations.linear
    if norms.is_normalization(operation):
        return False
    if isinstance(operation, keras.layers.Layer):
        return not isinstance(operation, _LINEAR_LAYERS)
    if _name(call) in _SCALINGS:  # by a tensor instead of a number, it is a gate
        return len(call.inputs) > 1
    return _name(call) not in _LINEAR_OPERATIONS


def _is_map(call):
    if _name(call) in _PRODUCTS:  # with weights: of two tensors it is no linear map
        return len(call.inputs) == 1
    return isinstance(_inner(call), _MAPS)


def _inner(call):
    """The layer or operation, without what wraps it."""
    operation = call.operation
    while isinstance(operation, layers.Wrapper):
        operation = operation.layer
    return operation


def _name(call):
    return type(call.operation).__name__


def _label(call):
    if call is None:
        return "the output"
    operation = _inner(call)
    function = getattr(operation, "activation", None)
    if isinstance(operation, layers.Activation):
        return getattr(function, "__name__", _name(call))
    name = type(operation).__name__
    return name if isinstance(operation, keras.layers.Layer) else name.lower()
