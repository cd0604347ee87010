"""The same arithmetic where an array is cut over devices: each has its own part.

XLA cannot cut a kernel that is not its own. `shard_map` gives each device its rows and
whole groups, if it is known how the array is cut; JAX sums the gradients of gamma and
beta over the devices that share them. Known from, in this order:

1. the type of the array, under explicit axes (`jax.set_mesh`);
2. the user, by `lng_keras.functional.partitioned`;
3. `keras.distribution`: rows along its batch axis, and channels under `ModelParallel`
   as the layout of gamma says.

Elsewhere XLA cuts the plain forms.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import keras
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lng_keras.kernels.spec import Spec, Tensor

Names = str | tuple[str, ...] | None  # of the axes of a mesh that cut one of an array


class Placement(NamedTuple):
    """How an array lies on a mesh.

    names: of each axis of the array, the axes of the mesh that cut it.
    explicit: whether the array's type says so; then others are moved to fit.
    """

    mesh: Any
    names: tuple[Names, ...]
    explicit: bool = False


_said: tuple[Any, Names, Names] | None = None


@contextlib.contextmanager
def partitioned(
    mesh: jax.sharding.Mesh, rows: Names, channels: Names
) -> Iterator[None]:
    """See `lng_keras.functional.partitioned`."""
    global _said
    for name in (*_tuple(rows), *_tuple(channels)):
        if name not in mesh.axis_names:
            raise ValueError(
                f"`rows` and `channels` must name axes of the mesh, {mesh.axis_names}. "
                f"Received: {name!r}"
            )
    previous, _said = _said, (mesh, rows, channels)
    try:
        yield
    finally:
        _said = previous


def placement(x: Tensor, gamma: Any, spec: Spec) -> Placement | None:
    """How `x` is cut, with the groups whole; None where nothing says it.

    Args:
        gamma: the scale, a Keras variable where it is one: its layout is asked for.
    """
    types = jax.typeof(x).sharding
    if AxisType.Manual in types.mesh.axis_types:
        return None  # a part already, inside somebody's shard_map
    if AxisType.Explicit in types.mesh.axis_types:
        names = (*types.spec, *[None] * (x.ndim - len(types.spec)))
        return Placement(types.mesh, _whole_groups(names, x, types.mesh, spec), True)
    mesh, rows, channels = _said or _of_keras(gamma)
    if mesh is None:
        return None
    cut: list[Names] = [None] * x.ndim
    cut[0], cut[spec.channel_axis] = rows, channels
    if x.shape[0] % _parts(rows, mesh):
        return None
    return Placement(mesh, _whole_groups(cut, x, mesh, spec))


def on_parts(
    fn: Callable[..., Tensor], place: Placement, spec: Spec
) -> Callable[..., Tensor]:
    """`fn(x, gamma, beta, spec)` as a function of whole x, gamma and beta."""
    of_x = PartitionSpec(*place.names)
    channels = place.names[spec.channel_axis]
    of_weights = PartitionSpec(channels)
    part = spec._replace(groups=spec.groups // _parts(channels, place.mesh))
    explicit = set(place.mesh.axis_names)
    if place.explicit:
        types = zip(place.mesh.axis_names, place.mesh.axis_types, strict=True)
        explicit = {name for name, kind in types if kind is AxisType.Explicit}
    mapped = jax.shard_map(
        lambda *tensors: fn(*tensors, part),
        mesh=place.mesh,
        in_specs=(of_x, of_weights, of_weights),
        out_specs=of_x,
        axis_names=explicit,
        check_vma=False,  # Pallas does not say how its results vary
    )

    def run(*tensors):
        if place.explicit:
            tensors = [
                jax.sharding.reshard(t, NamedSharding(place.mesh, s))
                for t, s in zip(tensors, (of_x, of_weights, of_weights), strict=True)
            ]
        return mapped(*tensors)

    return run


def _of_keras(gamma):
    distribution = keras.distribution.distribution()
    if distribution is None:
        return None, None, None
    channels = None
    if isinstance(distribution, keras.distribution.ModelParallel):
        layout = None
        if isinstance(gamma, keras.Variable):
            layout = distribution.get_variable_layout(gamma)
        channels = layout.axes[0] if layout is not None and layout.axes else None
    mesh = distribution.device_mesh.backend_mesh
    return mesh, distribution.batch_dim_name, channels


def _whole_groups(names, x, mesh, spec):
    """The names less those that would cut a group."""
    names = [None if i in spec.axes[:-1] else name for i, name in enumerate(names)]
    if spec.groups % _parts(names[spec.channel_axis], mesh):
        names[spec.channel_axis] = None
    return tuple(names)


def _parts(names, mesh):
    return math.prod(mesh.shape[name] for name in _tuple(names))


def _tuple(names):
    return (names,) if isinstance(names, str) else names or ()
