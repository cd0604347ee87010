"""Statistics by products with constant matrices, for runtimes of exported models.

They know no axis as short as a group: sums over one, and what is broadcast along it,
take them several times as long as a whole LayerNormalization. Products with a matrix
`(c, groups)` they do well, so that no axis here is shorter than the channels.
"""

import numpy as np
from keras import ops

from lng_keras.kernels.spec import Spec, Tensor, statistics_dtype

# The work grows with the groups; beyond, the reference is faster in onnxruntime.
MOST_GROUPS = 64


def supports(x: Tensor, spec: Spec) -> bool:
    """Whether this form pays: positions by themselves, channels last, some groups."""
    return spec.axes == (len(x.shape) - 1,) and 1 < spec.groups <= MOST_GROUPS


def normalize(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> Tensor:
    """As `reference.normalize`, for inputs that `supports` takes."""
    dtype, size = statistics_dtype(x), x.shape[-1] // spec.groups
    members = np.kron(np.eye(spec.groups), np.ones((1, size)))  # (groups, c)
    spread = ops.convert_to_tensor(members, dtype)
    mean = ops.convert_to_tensor(members.T / size, dtype)
    u = ops.cast(x, dtype)
    if spec.subtract_mean:
        # The pivot first, as `reference.forward` says: products by 1 and 0 are exact.
        u = u - ops.matmul(u[..., ::size], spread)
        u = u - ops.matmul(ops.matmul(u, mean), spread)
    variance = ops.matmul(u * u, mean)
    # gamma in the matrix, both known when a file is loaded: a pass less over `u`.
    scaled = spread if gamma is None else spread * ops.cast(gamma, dtype)
    y = u * ops.matmul(ops.rsqrt(variance + spec.epsilon), scaled)
    if beta is not None:
        y = y + ops.cast(beta, dtype)
    return ops.cast(y, x.dtype)
