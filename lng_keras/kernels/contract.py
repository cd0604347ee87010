"""What every form of the arithmetic offers: one value and its two derivatives.

A form is a module or an object with three functions of the same tensors:

    forward  the normalized x, and what the form keeps for its derivatives
    push     the tangent of the result, from those of x, gamma and beta (forward mode)
    pull     the gradients of x, gamma and beta, from that of the result (reverse mode)

push and pull are linear in what they are given last, and each is the other's
transpose. Statistics are taken in float32 or wider, whatever the dtype of `x`.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from lng_keras.kernels.spec import Spec, Tensor

# What a form keeps of the forward pass: each group's mean less the pivot (None in the
# RMS form) and inverse deviation; or nothing, and they are computed again.
Kept = tuple[Tensor | None, ...]
# Which of the gradients of x, gamma and beta are asked for.
Wanted = tuple[bool, bool, bool]
ALL: Wanted = (True, True, True)


def at_places(values: Iterable[Any], present: Iterable[bool]) -> list[Any]:
    """The values at the places that are present, None at the others."""
    values = iter(values)
    return [next(values) if here else None for here in present]


class Form(Protocol):
    """One way to compute a grouped normalization."""

    def forward(
        self, x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
    ) -> tuple[Tensor, Kept]:
        """The normalized groups, and what is kept.

        Args:
            x: floating tensor of the axes that `spec` names.
            gamma, beta: `(c,)`, or None for 1 and 0.

        Returns:
            Tensor of the shape and dtype of `x`, and the tuple for push and pull.
        """
        ...

    def push(
        self,
        x: Tensor,
        gamma: Tensor | None,
        kept: Kept,
        dx: Tensor | None,
        dgamma: Tensor | None,
        dbeta: Tensor | None,
        spec: Spec,
    ) -> Tensor:
        """The tangent of the result, of the shape and dtype of `x`.

        Args:
            dx, dgamma, dbeta: tangents of x, gamma and beta, or None for zero.
        """
        ...

    def pull(
        self,
        x: Tensor,
        gamma: Tensor | None,
        kept: Kept,
        dy: Tensor,
        spec: Spec,
        wanted: Wanted = ALL,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The gradients of x, gamma and beta; None for what is not `wanted`.

        Those of gamma and beta are `(c,)` in the dtype of the statistics.
        """
        ...
