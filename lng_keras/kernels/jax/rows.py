"""Lets a form for rows `(n, s, c)` serve every input that can be seen as such."""

from lng_keras.kernels.contract import ALL, Form, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, space_and_channels


class OnRows:
    """A form for inputs of any rank with channels last.

    Args:
        form: of rows `(n, s, c)` whose statistics cover `s` and the channels.
    """

    def __init__(self, form: Form):
        self._form = form

    def forward(
        self, x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
    ) -> tuple[Tensor, Kept]:
        rows, of_rows = _seen_as_rows(x, spec)
        y, kept = self._form.forward(rows, gamma, beta, of_rows)
        return y.reshape(x.shape), kept

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
        rows, of_rows = _seen_as_rows(x, spec)
        dx = None if dx is None else dx.reshape(rows.shape)
        kept = _of_rows(kept, rows, spec)
        dy = self._form.push(rows, gamma, kept, dx, dgamma, dbeta, of_rows)
        return dy.reshape(x.shape)

    def pull(
        self,
        x: Tensor,
        gamma: Tensor | None,
        kept: Kept,
        dy: Tensor,
        spec: Spec,
        wanted: Wanted = ALL,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, of_rows = _seen_as_rows(x, spec)
        dx, dgamma, dbeta = self._form.pull(
            rows,
            gamma,
            _of_rows(kept, rows, spec),
            dy.reshape(rows.shape),
            of_rows,
            wanted,
        )
        return None if dx is None else dx.reshape(x.shape), dgamma, dbeta


def _seen_as_rows(x, spec):
    view = space_and_channels(x, spec)
    assert view is not None
    return x.reshape(view[0]), spec._replace(axes=(1, 2))


def _of_rows(kept, rows, spec):
    return tuple(
        None if k is None else k.reshape(rows.shape[0], 1, spec.groups) for k in kept
    )
