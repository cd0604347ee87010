"""The construction as a Keras model: Dense and layer normalization, 3 neurons wide."""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from lng_keras.construction.plan import Plan, plan_layers
from lng_keras.construction.weights import WIDTH
from lng_keras.normalization import GroupLayerNormalization

# Variances here are 1/3 or more: this epsilon changes no digit of float32 or float64.
_EPSILON = 1e-30


@keras.saving.register_keras_serializable(package="lng_keras")
class LNNetClassifier(keras.Model):
    """An LN-Net of width 3: linear and LN layers alternating, and nothing else.

    `LNNetClassifier.from_samples(x, labels)` builds one that classifies the given
    samples exactly; see there. It is a functional model like any other: it can be
    trained further, saved, and taken apart.

    Args:
        input_dim: int >= 1, features of a sample.
        depth: int >= 0, LN layers. Layers: `hidden1`, `norm1`, ..., `logits`.
        classes: list of labels, one for each output, as `predict_labels` returns them.
        dtype: "float64" (default) or "float32".

    Input: `(b, input_dim)`. Output: logits `(b, classes)`.

    Reference: Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024.
    """

    def __init__(
        self,
        input_dim: int,
        depth: int,
        classes: Sequence[Any],
        dtype: str = "float64",
        name: str | None = None,
    ):
        inputs = keras.Input((input_dim,), dtype=dtype, name="samples")
        x = inputs
        for i in range(1, depth + 1):
            x = keras.layers.Dense(WIDTH, dtype=dtype, name=f"hidden{i}")(x)
            x = GroupLayerNormalization(
                groups=1,
                epsilon=_EPSILON,
                center=False,
                scale=False,
                dtype=dtype,
                name=f"norm{i}",
            )(x)
        logits = keras.layers.Dense(len(classes), dtype=dtype, name="logits")(x)
        with _room_for_recursion(depth):
            super().__init__(inputs, logits, name=name)
        self.input_dim = input_dim
        self.depth = depth
        self.classes = list(classes)

    @classmethod
    def from_samples(
        cls,
        x: Any,
        labels: Any,
        seed: int = 0,
        merge: str = "runs",
        dtype: str = "float64",
    ) -> "LNNetClassifier":
        """Builds a network that classifies the m given samples exactly.

        Args:
            x, labels, seed, merge: as in `plan_layers`; "runs" takes the fewest layers
                found, "points" the paper's m - C (and one for more than two classes).
            dtype: "float64" or "float32", of weights and forward pass. On JAX, float64
                needs `jax_enable_x64`.
        Returns:
            `LNNetClassifier`. Same input and seed: same network.
        Raises:
            ValueError: as `plan_layers`; and before building, if the dtype cannot keep
                the classes apart. `ExactLNNet` has no such limit.
        """
        plan = plan_layers(x, labels, seed, merge)
        return cls.from_plan(plan, x, labels, dtype)

    @classmethod
    def from_plan(
        cls, plan: Plan, x: Any, labels: Any, dtype: str = "float64"
    ) -> "LNNetClassifier":
        """Builds the network of a plan and checks it on its samples.

        Raises:
            ValueError: if the dtype cannot hold the plan, or is not to be had.
        """
        if not plan.holds(dtype):
            other = "construction.ExactLNNet (arbitrary precision, not Keras)"
            if dtype == "float32" and plan.holds("float64"):
                other = 'dtype="float64"'
            elif plan.merge == "points":
                other = f'merge="runs", which needs fewer layers, or {other}'
            raise ValueError(
                f"{dtype} cannot hold this network: where it is tightest, the classes "
                f"are {plan.quality:.1e} of their rounding error apart at a spacing "
                f"of 1, and {dtype} has {np.finfo(dtype).eps:.1e}. Received: {len(x)} "
                f"samples, {len(plan.folds)} layers; use {other}, or fewer samples"
            )
        model = cls(
            len(plan.direction), len(plan.folds), plan.classes.tolist(), dtype=dtype
        )
        made = keras.backend.standardize_dtype(model.weights[0].dtype)
        if made != dtype:
            raise ValueError(
                f"The backend made {made} of dtype={dtype}; on JAX set "
                'JAX_ENABLE_X64=1 before it is imported, or use dtype="float32"'
            )
        model.set_weights(plan.weights())
        wrong = np.flatnonzero(model.predict_labels(x) != np.asarray(labels))
        if len(wrong):
            raise ValueError(
                f"{dtype} lost {len(wrong)} of {len(x)} samples, the first {wrong[0]}, "
                "though its error bound, of first order, allows the network; use "
                "another seed, fewer layers or construction.ExactLNNet"
            )
        return model

    def predict_labels(self, x: Any) -> np.ndarray:
        """The label of each sample, array `(n,)`."""
        x = np.asarray(x, np.float64).reshape(len(x), -1)
        logits = keras.ops.convert_to_numpy(self(x.astype(self.input.dtype)))
        return np.array(self.classes)[logits.argmax(axis=1)]

    def get_config(self):
        return {
            "input_dim": self.input_dim,
            "depth": self.depth,
            "classes": self.classes,
            "dtype": self.input.dtype,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@contextlib.contextmanager
def _room_for_recursion(depth):
    """Lets Keras walk through the network: two of Python's frames for each LN layer."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 3 * depth + 1000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
