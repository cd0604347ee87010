"""What is needed of JAX beyond what it documents."""

from typing import Any

from lng_keras._base.private.names import Name

DEVICES = Name(
    "_make_compile_only_devices",
    "to compile for a card that is not there",
    package="jax",
    checked="0.9 to 0.10",
)


def compile_only_devices(topology: Any) -> list[Any]:
    """The devices of a described topology, `jaxlib`'s `DeviceTopology`."""
    return DEVICES.of(topology)()
