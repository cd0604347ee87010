"""Trains a model as it is and with each candidate, and keeps what is finished."""

import gc
import hashlib
import json
import os
import tempfile
import time

import keras
import numpy as np

from lng_keras._base import files
from lng_keras._base.errors import UsageError
from lng_keras.adopt import fingerprint
from lng_keras.adopt.activation import output_activation
from lng_keras.adopt.cost import quantized
from lng_keras.adopt.models import known_pixels
from lng_keras.swap import swap_normalization
from lng_keras.swap.api import copy_model

AS_IS = "as it is"
PROTOCOL = 3  # raise it when a training means something else than before


def writable(output):
    """Makes the output folder and returns it; refuses one that cannot be written."""
    if output is None:
        return None
    try:
        os.makedirs(output, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output):
            pass
    except OSError as error:
        raise UsageError(
            f"Cannot write to the output folder {output}: {error.strerror}"
        ) from error
    return output


def key_of(**settings):
    """A name for a finished piece of work: changes when any setting does."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cached(folder, name, settings, work):
    """Returns the result of `work()` as plain data, from `folder` if it is there."""
    path = os.path.join(folder, f"{name}-{key_of(**settings)}.json")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file), True
    except (OSError, ValueError):
        pass
    result = work()
    os.makedirs(folder, exist_ok=True)
    files.write(path, json.dumps(result))
    return result, False


PIXELS = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (2 / 255, -1.0)}


def pixel_range(model, pixels="auto", source=None):
    """The range in which a model takes images of bytes, a key of `PIXELS`.

    "auto": what the function says that the model's name `source` stands for, see
    `load_model`; else 0..255 if it has a layer that scales, else 0..1.
    """
    if pixels == "auto":
        pixels = known_pixels(source) or pixels
    if pixels != "auto":
        if pixels not in PIXELS:
            raise UsageError(
                f"Unknown range of pixels {pixels!r}. Known: auto, {', '.join(PIXELS)}."
            )
        return pixels
    scalers = (keras.layers.Rescaling, keras.layers.Normalization)
    found = any(isinstance(layer, scalers) for layer in model._flatten_layers())
    return "0..255" if found else "0..1"


def scaled(x, pixels):
    """Bytes as float32 in the range `pixels`; other inputs as they are."""
    if x.dtype != np.uint8:
        return x
    factor, offset = PIXELS[pixels]
    return x.astype("float32") * np.float32(factor) + np.float32(offset)


def compiled(model, learning_rate, metric="accuracy"):
    """Compiles a classifier for integer labels, logits or probabilities."""
    activation = output_activation(model)
    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=activation != "sigmoid")
        metrics = [keras.metrics.BinaryAccuracy(name=metric)]
        metrics[0].threshold = _threshold(model)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=activation != "softmax"
        )
        metrics = [keras.metrics.SparseCategoricalAccuracy(name=metric)]
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=metrics)
    return model


def candidate(model, size, **swap_arguments):
    """A copy of `model`, as it is for `size=None`, else with groups of `size`."""
    if size is None:
        return copy_model(model)
    return swap_normalization(model, group_size=size, **swap_arguments)[0]


def settle(model, steps):
    """Lets running statistics of BatchNormalization settle within `steps` steps.

    They start at 0 and 1 and forget that by a factor of `momentum` a step; Keras'
    MobileNetV3 has 0.999, so that after 150 steps 86 % of the start is left and the
    model fails on new images however well it was trained. A larger momentum than
    leaves 1 % after `steps` is lowered to that: only the way the statistics are
    averaged changes, and not a single gradient.

    Returns:
        `(before, after)`, the largest momentum that was lowered, or None.
    """
    after = 0.01 ** (1 / max(1, steps))
    lowered = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        and not layer.renorm  # there the statistics are part of the forward pass
        and layer.momentum > after
    ]
    before = max((layer.momentum for layer in lowered), default=None)
    for layer in lowered:
        layer.momentum = after
    return before and (before, after)


def train(
    model, data, epochs, batch_size, learning_rate, pixels, seed, say, int8=False
):
    """Trains one model; returns its history and which examples it got right."""
    keras.utils.set_random_seed(seed)
    x, x_val = scaled(data.x, pixels), scaled(data.x_val, pixels)
    settled = settle(model, -(-len(x) // batch_size))
    start = time.perf_counter()
    history = compiled(model, learning_rate).fit(
        x,
        data.y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(x_val, data.y_val),
        verbose=0,
        callbacks=[_Progress(say, epochs)],
    )
    result = {
        "history": {k: [float(v) for v in vs] for k, vs in history.history.items()},
        "seconds": time.perf_counter() - start,
        "right": correct(model, x_val, data.y_val, batch_size),
        "momentum": settled,
    }
    result["accuracy"] = float(np.mean(result["right"]))
    if int8:
        small = quantized(model)
        result["int8_accuracy"] = float(
            np.mean(correct(small, x_val, data.y_val, batch_size))
        )
    return result


def evaluator(data, pixels, batch_size=32):
    """A function from a classifier to its accuracy on the validation examples."""
    x = scaled(data.x_val, pixels)
    return lambda model: np.mean(correct(model, x, data.y_val, batch_size))


def correct(model, x, y, batch_size):
    """For each example 1 where the model is right and 0 where not."""
    outputs = model.predict(x, batch_size=batch_size, verbose=0)
    if outputs.shape[-1] == 1:
        predicted = outputs[:, 0] > _threshold(model)
    else:
        predicted = outputs.argmax(-1)
    return (predicted == y).astype(int).tolist()


def _threshold(model):
    """Above what the one output of a binary classifier means the second class."""
    return 0.5 if output_activation(model) == "sigmoid" else 0.0


class _Progress(keras.callbacks.Callback):
    """One line an epoch, and one every ten seconds within."""

    def __init__(self, say, epochs):
        super().__init__()
        self.say, self.epochs, self.epoch = say, epochs, 0
        self.last = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            self.say(f"epoch {self.epoch}/{self.epochs}, step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self.last = time.monotonic()
        self.say(
            f"epoch {self.epoch}/{self.epochs}: loss {logs['loss']:.3f}, "
            f"validation accuracy {logs['val_accuracy']:.3f}"
        )


def run_all(model, data, sizes, seeds, settings, folder, say, int8=False, swap=None):
    """Trains every candidate with every seed.

    Returns:
        dict, name of a candidate ("as it is" or its group size) -> list of results,
        one a seed.
    """
    results, done, spent = {}, 0, []
    jobs = [(size, seed) for seed in range(seeds) for size in (None, *sizes)]
    common = dict(
        settings,
        protocol=PROTOCOL,
        model=fingerprint.of_model(model),
        data=data.fingerprint(),
        backend=keras.config.backend(),
        swap=repr(sorted((swap or {}).items())),
        int8=int8,
    )
    for size, seed in jobs:
        name = AS_IS if size is None else str(size)
        label = name if size is None else f"group size {name}"
        done += 1

        def tell(text, label=label, seed=seed, done=done):
            left = np.mean(spent) * (len(jobs) - done + 1) if spent else None
            left = f", about {left / 60:.0f} min left" if left else ""
            say(f"[{done}/{len(jobs)}] {label}, seed {seed}: {text}{left}")

        def work(size=size, seed=seed, tell=tell):
            tell("preparing")
            keras.utils.set_random_seed(seed)
            trained = candidate(model, size, **(swap or {}))
            return train(trained, data, **settings, seed=seed, say=tell, int8=int8)

        start = time.perf_counter()
        result, reused = cached(folder, "run", dict(common, size=size, seed=seed), work)
        if reused:
            tell("already done")
        else:
            spent.append(time.perf_counter() - start)
        results.setdefault(name, []).append(result)
        gc.collect()
    return results
