"""Where in a network nonlinearity lives: H of every layer, LSSR of its output."""

import csv
import dataclasses
import io
import os
from typing import Any

import keras
import numpy as np

from lng_keras._base import files
from lng_keras._base.private.graph import first_call
from lng_keras.measures.derivatives import compute_dtype
from lng_keras.measures.hessian import squared_derivatives
from lng_keras.measures.separability import linear_sum_of_squares_ratio


@dataclasses.dataclass(frozen=True)
class LayerNonlinearity:
    """One row of a profile.

    Attributes:
        name, kind: the layer's name and class.
        inputs, outputs: numbers in one sample's inputs and output.
        h: mean of H over the samples, estimated, in squared units of the output over
            units of the input to the fourth power: compares only like with like.
        nonlinearity: dimensionless, >= 0, 0 for a linear layer: see
            `profile_nonlinearity`. nan where the layer has no slope either.
        standard_error: of `nonlinearity`, from the spread over samples.
        lssr: of the layer's output, in [0, 1], or None without labels or where the
            output has as many numbers as there are samples, and LSSR says nothing.
    """

    name: str
    kind: str
    inputs: int
    outputs: int
    h: float
    nonlinearity: float
    standard_error: float
    lssr: float | None


@dataclasses.dataclass(frozen=True)
class NonlinearityProfile:
    """The rows of `profile_nonlinearity`, in the order of the model's layers."""

    rows: tuple[LayerNonlinearity, ...]

    def __str__(self):
        """The rows as a Markdown table."""
        head = "| layer | kind | in | out | H | nonlinearity | LSSR |"
        lines = [head, "|---|---|---:|---:|---:|---:|---:|"]
        for r in self.rows:
            lssr = "" if r.lssr is None else f"{r.lssr:.4f}"
            lines.append(
                f"| {r.name} | {r.kind} | {r.inputs} | {r.outputs} | {r.h:.3g} | "
                f"{r.nonlinearity:.3g} ± {r.standard_error:.1g} | {lssr} |"
            )
        return "\n".join(lines)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes one line a layer, the file whole or not at all."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([f.name for f in dataclasses.fields(LayerNonlinearity)])
        writer.writerows(dataclasses.astuple(r) for r in self.rows)
        files.write(path, text.getvalue())

    def plot(self) -> Any:
        """Draws nonlinearity and LSSR along the layers. Needs matplotlib.

        Returns:
            A `matplotlib.figure.Figure`; `figure.savefig(path)` writes it.
        """
        from matplotlib.figure import Figure

        measured = [r for r in self.rows if r.lssr is not None]
        figure = Figure(figsize=(8, 1.5 + 0.28 * len(self.rows)), layout="tight")
        axes = figure.subplots(1, 2 if measured else 1, sharey=True, squeeze=False)[0]
        position = np.arange(len(self.rows))
        errors = [r.standard_error for r in self.rows]
        axes[0].barh(position, [r.nonlinearity for r in self.rows], xerr=errors)
        axes[0].set_yticks(position, [r.name for r in self.rows])
        axes[0].invert_yaxis()
        axes[0].set_xlabel("nonlinearity, curvature over slope")
        if measured:
            at = [i for i, r in enumerate(self.rows) if r.lssr is not None]
            axes[1].plot([r.lssr for r in measured], at, marker="o", color="C1")
            axes[1].set_xlim(-0.02, 1.02)
            axes[1].set_xlabel("LSSR of the output")
        return figure


def profile_nonlinearity(
    model: keras.Model,
    x: Any,
    labels: Any = None,
    num_points: int = 16,
    num_samples: int = 8,
    seed: int = 0,
    batch_size: int = 64,
) -> NonlinearityProfile:
    """Measures every layer of a model at the activations that reach it.

    H itself does not compare layers: it has units, and it grows with width. Next to it
    stands a layer's curvature over its slope,

        tau^2 H(f; z) / ||J(z)||_F^2

    with J the Jacobian at the layer's input z and tau the standard deviation of the
    numbers in z, both sums averaged over the samples before dividing. It is the energy
    of the mixed second-order term over that of the first-order term when z moves by
    random steps of its own size; scaling input or output changes nothing, and neither
    does a copy of the layer beside it. LN of d channels has 3 / d, LN-G with groups of
    c has 3 / c where groups share their variance.

    Piecewise linear layers (ReLU, max pooling) count as linear: see
    `hessian_nonlinearity`. A layer that is called several times is measured at its
    first call, with the arguments of that call, a model within the model as one layer.
    Where these are several tensors, z is all of them, each tensor once: attention of a
    sequence to itself has one input. Layers that take or give other than floats, masks
    included, or give several tensors are left out.

    Args:
        model: Functional or Sequential Keras model with one input.
        x: array `(n, ...)`, samples.
        labels: array `(n,)` or None, for the LSSR of every output over all n samples.
        num_points: int >= 2, the first samples of `x`, at which H is estimated.
        num_samples: int >= 1, random direction pairs for each of them.
        seed: int, of the directions.
        batch_size: int >= 1, rows evaluated at once.
    Returns:
        `NonlinearityProfile`.
    Raises:
        ValueError: for a model without a graph of layers, or fewer than 2 points.
    """
    if not getattr(model, "inputs", None) or not hasattr(model, "layers"):
        raise ValueError(
            "A Functional or Sequential model that is built is needed: its graph names "
            f"what each layer receives. Received: {model!r}"
        )
    x = np.asarray(x)
    points = x[:num_points]
    if len(points) < 2:
        raise ValueError(
            f"2 points or more are needed. Received: {len(x)} samples, "
            f"num_points={num_points}"
        )
    layers = [layer for layer in model.layers if _is_measured(layer)]
    rng = np.random.default_rng(seed)
    rows = []
    for layer in layers:
        fn, inputs = _as_called(layer)
        values = keras.Model(model.inputs, inputs).predict(points, verbose=0)
        values = [v.astype(compute_dtype(layer, v)) for v in keras.tree.flatten(values)]
        h, nonlinearity, error = _measure(fn, values, num_samples, rng, batch_size)
        rows.append(
            LayerNonlinearity(
                layer.name,
                type(layer).__name__,
                sum(v[0].size for v in values),
                int(np.prod(layer.output.shape[1:])),
                h,
                nonlinearity,
                error,
                None if labels is None else _lssr(model, layer, x, labels),
            )
        )
    return NonlinearityProfile(tuple(rows))


def _is_measured(layer):
    """One float tensor out of one or more float tensors."""
    if isinstance(layer, keras.layers.InputLayer):
        return False
    tensors = keras.tree.flatten(layer.input) + keras.tree.flatten(layer.output)
    floats = all(keras.backend.is_float_dtype(t.dtype) for t in tensors)
    return floats and len(keras.tree.flatten(layer.output)) == 1


def _as_called(layer):
    """The first call of a layer as a function of the tensors it takes, and these."""
    arguments = first_call(layer)
    tensors = list({id(t): t for t in arguments.keras_tensors}.values())

    def fn(*xs):
        args, kwargs = arguments.fill_in(
            {id(t): x for t, x in zip(tensors, xs, strict=True)}
        )
        return layer(*args, **{**kwargs, "training": False})

    return fn, tensors


def _measure(fn, values, num_samples, rng, batch_size):
    """Returns mean H, curvature over slope, and the standard error of the latter."""
    taus = [v.reshape(len(v), -1).std(axis=1) for v in values]

    def directions(rows):
        drawn = []
        for v, tau in zip(values, taus, strict=True):
            uv = rng.standard_normal((2, len(rows), v[0].size), dtype=np.float32)
            drawn.append((uv * tau[rows // num_samples, None]).astype(v.dtype))
        return drawn

    slope, curvature = squared_derivatives(
        fn, values, num_samples, directions, batch_size
    )
    slope, curvature = slope.mean(axis=1), curvature.mean(axis=1)
    tau = np.sqrt(np.mean(np.square(taus), axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        h = np.mean(np.where(curvature > 0, curvature / tau**4, 0.0))
        ratio = curvature.mean() / slope.mean()
        # First order in the errors of both means, which are correlated.
        residual = (curvature - ratio * slope) / slope.mean()
    return h, ratio, residual.std(ddof=1) / np.sqrt(len(residual))


def _lssr(model, layer, x, labels):
    if np.prod(layer.output.shape[1:]) >= len(x) - 1:
        return None
    outputs = keras.Model(model.inputs, layer.output).predict(x, verbose=0)
    return linear_sum_of_squares_ratio(outputs, labels)
