"""Whole epochs on the device, for data sets that fit into its memory.

The images stay on the device as uint8. For each batch the host draws which examples,
where to crop and whether to flip, a few hundred bytes, as zoo/data/batches.py draws
them; the compiled step picks, crops, flips and scales, bit for bit as that file does,
and trains. Several steps are one call of the compiled function.
"""

import keras
import numpy as np
from keras import ops

from zoo.data.batches import PAD, MadeAhead

# Larger data sets stay on the host: an eighth of the memory of a small accelerator.
LARGEST = 1 << 30  # bytes
# Steps a call on an accelerator, where a call costs the host about as much as a small
# step takes. A signal waits for their end: 10 s even if a step takes 0.6 s.
STEPS = 16


def hindrance(settings, data):
    """Says why the images cannot stay on the device, or nothing.

    Args:
        settings: `zoo.training.settings.Settings` whose augmentation is not open.
        data: `zoo.data.Data`.
    """
    images, engine = data.train.images, keras.backend.backend()
    if engine not in ("jax", "tensorflow"):
        return f"{engine} compiles no loop of training steps"
    how = settings.distribute
    if how == "multi_worker" or (engine == "tensorflow" and how != "none"):
        return f"--distribute={how} reads its batches on the host"
    if settings.augment not in ("none", "crop", "crop_flip"):
        return f"--augment={settings.augment} draws its batches on the host"
    if settings.search_group_size:
        return "--search_group_size reads its batches on the host"
    if not isinstance(images, np.ndarray):
        return "the images are read from files"
    if images.nbytes > LARGEST:
        return f"the images are {images.nbytes:,} bytes, more than {LARGEST:,}"
    return ""


def accelerated():
    """Whether the engine computes on something other than a CPU."""
    engine = keras.backend.backend()
    if engine == "jax":
        import jax

        return jax.default_backend() != "cpu"
    if engine == "torch":
        import torch

        return torch.cuda.is_available()
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


class Plans(MadeAhead):
    """What `zoo.data.batches.Batches` would make, as plans for `train_from`.

    A plan is for `steps` batches: `(indices, offsets, flips)` of shapes
    `(b, steps)`, `(b, steps, 2)` and `(b, steps)`, the batch first so that devices can
    share it. The last plan of an epoch is filled up with indices -1.

    Args:
        batches: `zoo.data.batches.Batches`.
        steps: int.
    """

    def __init__(self, batches, steps):
        super().__init__()
        self.batches, self.steps = batches, steps

    def __len__(self):
        return -(-len(self.batches) // self.steps)

    def make(self, i):
        first = i * self.steps
        drawn = [
            self.batches.draw(j)
            for j in range(first, min(first + self.steps, len(self.batches)))
        ]
        indices, offsets, flips = (
            np.stack(part, 1) for part in zip(*drawn, strict=True)
        )
        missing = [(0, 0), (0, self.steps - len(drawn))]
        return (
            {
                "indices": np.pad(indices, missing, constant_values=-1).astype("int32"),
                "offsets": np.pad(offsets, [*missing, (0, 0)]).astype("int32"),
                "flips": np.pad(flips, missing),
            },
        )


def batch(images, labels, plan, classes):
    """Returns what `zoo.data.batches.Batches.make` returns, the same bits.

    Rows and columns are picked by products with matrices of zeros and ones: exact in
    every precision that holds a pixel, black where the crop leaves the image, and what
    accelerators do best.

    Args:
        images: `(n, h, w, c)` uint8 on the device.
        labels: `(n,)` int32 on the device.
        plan: dict of `indices` and `flips` `(b,)`, `offsets` `(b, 2)`.
        classes: int.
    """
    _, height, width, _ = images.shape
    pixels = ops.cast(ops.take(images, plan["indices"], axis=0), "float32")
    rows = plan["offsets"][:, :1] - PAD + ops.arange(height, dtype="int32")
    columns = ops.arange(width, dtype="int32")
    columns = ops.where(plan["flips"][:, None], width - 1 - columns, columns)
    columns = plan["offsets"][:, 1:] - PAD + columns
    pixels = ops.einsum("brh,bhwc->brwc", _one_hot(rows, height), pixels)
    pixels = ops.einsum("bsw,brwc->brsc", _one_hot(columns, width), pixels)
    # As zoo.data.batches.normalize.
    x = (pixels * 2.0 - 255.0) * np.float32(1 / 255)
    return x, _one_hot(ops.take(labels, plan["indices"], axis=0), classes)


def _one_hot(numbers, size):
    """A new last axis, 1 where it counts the number; 0 everywhere if none is it."""
    return ops.cast(numbers[..., None] == ops.arange(size, dtype="int32"), "float32")


def train_from(model, split, classes):
    """Makes `model.fit` take `Plans` for the images of a split.

    The logs of a call are arrays, one number a step.

    Args:
        model: compiled by `zoo.training.optimization.compile_model`.
        split: `zoo.data.Split`, copied to the device.
        classes: int.
    """
    model.train_function = _FUNCTIONS[keras.backend.backend()](model, split, classes)
    # What is not built yet `fit` would try to build from a plan. Not a distiller's own
    # loss, which asks the teacher.
    labels = ops.eye(classes)
    keras.Model.compute_loss(model, None, labels, labels)


def _jax(model, split, classes):
    import jax

    layout = shardings = None
    if distribution := keras.distribution.distribution():
        mesh = distribution.device_mesh.backend_mesh
        layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        state = (
            *(model.trainable_variables, model.non_trainable_variables),
            *(model.optimizer.variables, model.metrics_variables),
        )
        shardings = (None, tuple([v.value.sharding for v in part] for part in state))
    names = list(model.get_metrics_result())
    images = jax.device_put(split.images, layout)
    labels = jax.device_put(split.labels.astype(np.int32), layout)

    def train(state, images, labels, plan):
        def body(i, carry):
            state, logs = carry
            now = {name: values[:, i] for name, values in plan.items()}
            new, state = model.train_step(state, batch(images, labels, now, classes))
            return state, {name: logs[name].at[i].set(new[name]) for name in logs}

        logs = {name: jax.numpy.zeros(plan["indices"].shape[1]) for name in names}
        # One program for plans full and filled up, so that they give the same bits.
        filled = jax.numpy.sum(plan["indices"][0] >= 0)
        state, logs = jax.lax.fori_loop(0, filled, body, (state, logs))
        return logs, state

    if model.jit_compile:
        train = jax.jit(train, donate_argnums=0, out_shardings=shardings)
    return lambda state, plans: train(state, images, labels, next(plans)[0])


def _tensorflow(model, split, classes):
    import tensorflow as tf

    names = list(model.get_metrics_result())
    images = tf.constant(split.images)
    labels = tf.constant(split.labels.astype(np.int32))

    @tf.function(jit_compile=model.jit_compile, autograph=False)
    def step(images, labels, plan):
        return model.train_step(batch(images, labels, plan, classes))

    @tf.function(autograph=False)
    def train(images, labels, plan):
        # One program for plans full and filled up, so that they give the same bits.
        filled = tf.reduce_sum(tf.cast(plan["indices"][0] >= 0, tf.int32))
        steps = plan["indices"].shape[1]

        def body(i, logs):
            now = {name: values[:, i] for name, values in plan.items()}
            new = step(images, labels, now)
            return i + 1, {name: logs[name].write(i, new[name]) for name in logs}

        logs = {name: tf.TensorArray(tf.float32, steps) for name in names}
        _, logs = tf.while_loop(
            lambda i, logs: i < filled, body, (0, logs), parallel_iterations=1
        )
        return {name: values.stack() for name, values in logs.items()}

    return lambda plans: train(images, labels, next(plans)[0])


_FUNCTIONS = {"jax": _jax, "tensorflow": _tensorflow}
