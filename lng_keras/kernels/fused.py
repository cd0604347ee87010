"""The reference in the order that XLA turns into one pass over memory, on GPU and TPU.

XLA makes one kernel of a chain of reductions over a last axis and what uses them. A
pivot taken by a slice breaks that chain, and so does a second result, such as
statistics kept for the derivatives. So the pivot is the group's maximum, a reduction
like the others and an element of the group, and nothing is kept.
"""

from keras import ops

from lng_keras.kernels import reference
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, View


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`; keeps nothing."""
    return reference.forward(x, gamma, beta, spec, _largest)[0], ()


def push(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dx: Tensor | None,
    dgamma: Tensor | None,
    dbeta: Tensor | None,
    spec: Spec,
) -> Tensor:
    """As `contract.Form.push`."""
    return reference.push(x, gamma, (), dx, dgamma, dbeta, spec, _largest)


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`."""
    return reference.pull(x, gamma, (), dy, spec, wanted, _largest)


def _largest(z: Tensor, view: View) -> Tensor:
    if 0 in z.shape:
        return reference.first(z, view)  # which Keras takes of an empty batch
    return ops.max(z, axis=view.axes, keepdims=True)
