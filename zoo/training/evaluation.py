"""Loss and accuracy of a model, the same numbers on every backend."""

import contextlib

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from zoo.data import batches
from zoo.devices import workers
from zoo.training.optimization import innermost

_BATCHES_AT_ONCE = 128  # outputs of so many are held together


class _Images(batches.MadeAhead):
    """Images in order; the last batch is filled up to one constant shape."""

    def __init__(self, images, batch_size, first, last):
        super().__init__()
        self.images, self.batch_size = images, batch_size
        self.first, self.last = first, last

    def __len__(self):
        return self.last - self.first

    def make(self, i):
        start = (self.first + i) * self.batch_size
        indices = np.arange(start, start + self.batch_size) % len(self.images)
        return (batches.normalize(self.images[indices]),)


def classifier(model):
    """Returns the model that classifies: the student of a distiller, or itself."""
    return getattr(model, "student", model)


def evaluate(model, split, batch_size=256):
    """Returns `{"loss", "accuracy"}` of a model that maps images to logits.

    Args:
        model: `keras.Model` from `(b, h, w, c)` in [-1, 1] to `(b, classes)`.
        split: `zoo.data.Split`.
        batch_size: int.
    Returns:
        dict: mean cross entropy in nats without label smoothing, computed in
        float64, and the fraction of images whose largest logit is the label.
    Raises:
        UsageError: if the model takes other images, or has fewer outputs than there
            are classes.
    """
    model = classifier(model)
    shape = tuple(model.input_shape[1:])
    if len(shape) != 3 or any(
        size not in (None, wanted)
        for size, wanted in zip(shape, split.images.shape[1:], strict=True)
    ):
        raise UsageError(
            f"the model takes images of shape {shape}, these have "
            f"{split.images.shape[1:]}; use the --dataset, --grayscale and "
            "--image_size it was trained with"
        )
    if model.output_shape[-1] <= split.labels.max():
        raise UsageError(
            f"the model has {model.output_shape[-1]} outputs, the labels go to "
            f"{split.labels.max()}; use the --dataset it was trained with"
        )
    worker = workers.current()
    batch_size = min(batch_size, len(split))
    batch_size += -batch_size % worker.devices  # they share each batch equally
    losses, hits, steps = [], [], -(-len(split) // batch_size)
    for first in range(0, steps, _BATCHES_AT_ONCE):
        last = min(first + _BATCHES_AT_ONCE, steps)
        logits = worker.predict(model, _Images(split.images, batch_size, first, last))
        labels = split.labels[first * batch_size : last * batch_size]
        loss, hit = _score_each(logits[: len(labels)], labels)
        losses.append(loss)
        hits.append(hit)
    return _means(np.concatenate(losses), np.concatenate(hits))


def score(logits, labels):
    """Cross entropy in nats and accuracy of logits `(n, classes)`, in float64."""
    return _means(*_score_each(logits, labels))


def _score_each(logits, labels):
    """Returns the cross entropy and the hit or miss of each row: two arrays `(n,)`."""
    logits = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf: the loss is NaN, and told
        logits = logits - logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits).sum(axis=-1))
    loss = log_sum - logits[np.arange(len(labels)), labels]
    return loss, logits.argmax(axis=-1) == labels


def _means(loss, hit):
    return {"loss": float(np.mean(loss)), "accuracy": float(np.mean(hit))}


@contextlib.contextmanager
def averaged_weights(model):
    """Puts the moving average of the weights, if there is one, into the model."""
    if not innermost(model.optimizer).use_ema:
        yield
        return
    # Copied and put back: Keras' SwapEMAWeights swaps by adding and subtracting on
    # TensorFlow, which changes the last bits.
    raw = [keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:
        # An array of its own: on JAX the model's arrays are given away at each call,
        # and the optimizer's averages would go with them.
        variable.assign(keras.ops.convert_to_numpy(variable).copy())
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, raw, strict=True):
            variable.assign(value)
