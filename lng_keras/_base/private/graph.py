"""What Keras keeps about the nodes of a functional graph."""

from collections.abc import Mapping
from typing import Any

from lng_keras._base.private.names import Name

CALLS = Name("_inbound_nodes", "to find how a layer is called")
CALLED_BY = Name("_outbound_nodes", "to exchange layers of a functional model")
HISTORY = Name("_keras_history", "to find what a tensor comes from")
INPUTS = Name("_inputs_struct", "to copy a functional model of an own class")
OUTPUTS = Name("_outputs_struct", "to copy a functional model of an own class")
OPERATIONS = Name("_operations", "to exchange layers of a functional model")
BY_DEPTH = Name("_operations_by_depth", "to exchange layers of a functional model")
KEYS = Name("_nodes", "to exchange layers of a functional model")
NODES = Name("_nodes_by_depth", "to exchange layers of a functional model")


def first_call(layer: Any) -> Any:
    """Returns the arguments of a layer's first call in a graph, None without one.

    They have `keras_tensors`, `args`, `kwargs` and `fill_in`.
    """
    calls = CALLS.of(layer)
    return calls[0].arguments if calls else None


def origin(tensor: Any) -> Any:
    """Returns the layer or operation that a symbolic tensor comes from."""
    return HISTORY.of(tensor).operation


def ends(model: Any) -> tuple[Any, Any]:
    """Returns inputs and outputs of a functional model, as they were given."""
    return INPUTS.of(model), OUTPUTS.of(model)


def call_others(graph: Any, memo: Mapping[int, Any]) -> None:
    """Makes the nodes of a functional graph call other layers.

    Args:
        memo: dict, id of an old layer -> the new one.
    """
    for operations in (OPERATIONS.of(graph), *BY_DEPTH.of(graph).values()):
        operations[:] = [memo.get(id(op), op) for op in operations]
    keys = KEYS.of(graph)  # "id of the operation_ib-number of its call", for the config
    for key in list(keys):
        old, _, call = key.partition("_")
        if int(old) in memo:
            keys.remove(key)
            keys.add(f"{id(memo[int(old)])}_{call}")
    for nodes in NODES.of(graph).values():
        for node in nodes:
            old, new = node.operation, memo.get(id(node.operation))
            if new is None:
                continue
            CALLS.replace(new, CALLS.of(old))
            CALLED_BY.replace(new, CALLED_BY.of(old))
            for call in CALLS.of(old):
                _redirect(call, new)


def _redirect(node, new):
    node.operation = new
    for tensor in node.output_tensors:
        HISTORY.replace(tensor, HISTORY.of(tensor)._replace(operation=new))
    if "mask" in node.arguments.kwargs and not takes_mask(new):
        kwargs = {k: v for k, v in node.arguments.kwargs.items() if k != "mask"}
        node.arguments = type(node.arguments)(*node.arguments.args, **kwargs)


def takes_mask(operation: Any) -> bool:
    """Whether `mask` may be passed to a layer or operation."""
    parameters = getattr(operation, "call_signature_parameters", ("mask",))
    return "mask" in parameters or "kwargs" in parameters
