"""Settings that leave nothing open, and those that cannot go together."""

import dataclasses

import keras

from lng_keras._base.errors import UsageError
from lng_keras.adopt import export
from zoo.data import augmentation
from zoo.devices import resident
from zoo.models import registry


def check(settings):
    """Refuses what cannot train, before the data are read.

    Raises:
        UsageError: naming the flag and what to give instead.
        ImportError: if an extra is not installed, naming it.
    """
    backend, steps = keras.backend.backend(), settings.steps_per_execution or 1
    with_recipe(settings)
    if backend == "torch" and steps > 1:
        raise UsageError(
            f"--steps_per_execution={steps} does not exist on torch; leave it out, or "
            "use KERAS_BACKEND=tensorflow or jax"
        )
    mixes = settings.augment in augmentation.NAMES
    if settings.distribute == "multi_worker":
        if mixes:
            raise UsageError(
                f"--augment={settings.augment} mixes whole batches, which no worker of "
                "--distribute=multi_worker has; use crop_flip, crop or none"
            )
        if settings.search_group_size:
            raise UsageError(
                "--search_group_size runs on one worker: --distribute=none"
            )
        if backend == "tensorflow" and steps > 1:
            raise UsageError(
                "--steps_per_execution above 1 does not exist on TensorFlow with "
                "several workers; leave it out, or use KERAS_BACKEND=jax"
            )
    for format in settings.export:
        export.check(format)
    if mixes:
        augmentation.check_installed(settings.augment)


def with_recipe(settings):
    """Returns the settings with what is open and in the model's recipe filled in."""
    return _filled(settings, **registry.MODELS[settings.model].recipe)


def complete(settings, data):
    """Returns the settings with nothing left open.

    What is open comes from the model's recipe, the data and the backend.

    Args:
        settings: `Settings`.
        data: `zoo.data.Data`.
    Raises:
        UsageError: for an unknown model, and for data that the settings do not fit.
    """
    settings = with_recipe(settings)
    if settings.batch_size > len(data.train):
        raise UsageError(
            f"--batch_size={settings.batch_size} is larger than the "
            f"{len(data.train)} training images; make it smaller"
        )
    settings = _filled(
        settings,
        augment=_augment(settings),
        group_size=_group_size(settings),
        jit_compile=_compiles(settings),
    )
    there = _on_device(settings, data)
    return _filled(
        dataclasses.replace(settings, data_on_device="true" if there else "false"),
        steps_per_execution=resident.STEPS if there and resident.accelerated() else 1,
    )


def _filled(settings, **values):
    open_ones = {n: v for n, v in values.items() if getattr(settings, n) is None}
    return dataclasses.replace(settings, **open_ones)


def _augment(settings):
    if settings.random_labels:
        return "none"
    return "crop" if settings.dataset == "mnist" else "crop_flip"


def _group_size(settings):
    """The model's own group size where no width and no groups are given, or None."""
    given = (settings.width, settings.groups, settings.group_size)
    grouped = settings.norm in ("lng", "lng_position")
    if not grouped or any(size is not None for size in given):
        return None
    return registry.MODELS[settings.model].group_size


def _compiles(settings):
    """Whether the step is compiled by XLA if no flag says so."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        return backend == "jax"
    if settings.distribute != "none":
        return False  # XLA does not compile what devices say to each other
    # TensorFlow's own convolutions (oneDNN) take two thirds of XLA's time on a CPU.
    return not settings.model.startswith("resnet") or resident.accelerated()


def _on_device(settings, data):
    """Whether the training images stay on the device."""
    wanted, reason = settings.data_on_device, resident.hindrance(settings, data)
    if wanted == "true" and reason:
        raise UsageError(
            f"--data_on_device=true: {reason}; use --data_on_device=auto or false"
        )
    # On a CPU the device is the host, whose batches are made beside the step.
    return wanted == "true" or (
        wanted == "auto" and not reason and resident.accelerated()
    )
