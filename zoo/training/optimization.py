"""Loss, optimizer and learning-rate schedule."""

import keras

from lng_keras._base.private.training import sum_then_clip
from zoo.devices import workers

OPTIMIZERS = ("adamw", "sgd")
# Parameters that weight decay would only pull away from where they work: scales,
# offsets, positions and class tokens.
_NOT_DECAYED = frozenset(("gamma", "beta", "bias", "embedding", "token"))


def compile_model(
    model,
    optimizer,
    learning_rate,
    total_steps,
    warmup_steps=0,
    weight_decay=0.0,
    label_smoothing=0.0,
    clip_norm=0.0,
    ema=0.0,
    jit_compile=True,
    steps_per_execution=1,
):
    """Compiles a classifier that returns logits.

    Args:
        model: `keras.Model`.
        optimizer: "adamw", or "sgd" with Nesterov momentum 0.9.
        learning_rate: float > 0, reached after the warm-up.
        total_steps: int, batches until the cosine ends at 0, warm-up included.
        warmup_steps: int, batches of linear rise from 0.
        weight_decay: float >= 0, the fraction of a kernel removed by a step at
            learning rate 1; other parameters are left alone.
        label_smoothing: fraction in [0, 1) of a label spread over all classes.
        clip_norm: float, the largest norm of the gradient of all parameters
            together; 0 is no limit.
        ema: momentum in [0, 1) of an exponential moving average of the parameters,
            which is what is evaluated and saved; 0 is none.
        jit_compile: bool, compile with XLA (with torch.compile on torch).
        steps_per_execution: int, batches a call of the compiled function.
    """
    warmup_steps = min(warmup_steps, total_steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else learning_rate,
        decay_steps=total_steps - warmup_steps,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    arguments = dict(
        learning_rate=schedule,
        weight_decay=weight_decay,
        global_clipnorm=clip_norm or None,
        use_ema=ema > 0,
        ema_momentum=ema,
    )
    if optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(**arguments)
    else:
        optimizer = keras.optimizers.SGD(momentum=0.9, nesterov=True, **arguments)
    if clip_norm and _strategy() is not None:
        sum_then_clip(optimizer)
    optimizer.exclude_from_weight_decay(
        var_list=[v for v in model.trainable_variables if not decays(v)]
    )
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    # All variables exist from now on, so that a checkpoint can be put back.
    model.optimizer.build(model.trainable_variables)
    student = getattr(model, "student", model)  # of a distiller
    labels = keras.ops.eye(student.output_shape[-1])
    if _strategy() is None:
        model.compute_metrics(None, labels, labels)
    else:
        import tensorflow as tf

        compute = tf.function(model.compute_metrics)
        tf.function(_strategy().run)(compute, (None, labels, labels))
    model.reset_metrics()
    workers.current().before_fit(model)


def learning_rate(optimizer):
    """Returns the rate of the next step, as a float.

    On JAX, Keras' schedule compiles two new functions each time it is called outside of
    a compiled step: 0.1 s, and 2 MB that are never given back. Interpreted: neither.
    """
    if keras.backend.backend() != "jax":
        return float(optimizer.learning_rate)
    import jax

    with jax.disable_jit():
        return float(optimizer.learning_rate)


def _strategy():
    """Returns the `tf.distribute.Strategy` whose scope this is, or None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    return tf.distribute.get_strategy() if tf.distribute.has_strategy() else None


def decays(variable):
    """Tells whether weight decay applies: to kernels, not to scales and offsets."""
    return len(variable.shape) >= 2 and variable.name not in _NOT_DECAYED


def innermost(optimizer):
    """Returns the optimizer inside a loss scale (float16), or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)
