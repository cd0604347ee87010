"""From complete settings to what trains: the compiled model and its batches."""

import dataclasses
import math

from lng_keras._base.errors import UsageError
from zoo.data import augmentation
from zoo.data.batches import Batches
from zoo.devices import cpu, resident, workers
from zoo.models import registry
from zoo.runs import model_files, preset_store
from zoo.training import optimization
from zoo.training.settings import Settings

# The settings that are arguments of models.
_MODEL_ARGUMENTS = tuple(
    field.name
    for field in dataclasses.fields(Settings)
    if any(field.name in registry.arguments(name) for name in registry.MODELS)
)


def build(settings, data, steps):
    """Builds and compiles the model that the settings describe."""
    arguments = {
        name: getattr(settings, name)
        for name in _MODEL_ARGUMENTS
        if getattr(settings, name) is not None
    }
    try:
        model = registry.build(
            settings.model,
            norm=settings.norm,
            groups=settings.groups,
            group_size=settings.group_size,
            num_classes=len(data.class_names),
            input_shape=data.image_shape,
            **arguments,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"--model={settings.model} --norm={settings.norm}: {error}"
        ) from error
    if settings.init:
        path = preset_store.find(settings.init)
        taken, left = model_files.copy_weights(model_files.load(path), model)
        print(f"{taken} weights from {path}, {left} at their initial values.")
    if settings.teacher:
        from lng_keras.adopt.distillation import distiller

        teacher = model_files.load(preset_store.find(settings.teacher))
        model = distiller(model, teacher, settings.temperature, settings.teacher_weight)
    on_device = settings.data_on_device == "true"
    if settings.distribute == "none" and not resident.accelerated():
        cpu.speed_up(model, settings.jit_compile)
    optimization.compile_model(
        model,
        total_steps=settings.epochs * steps,
        warmup_steps=math.floor(settings.warmup_epochs * steps),
        **{
            name: getattr(settings, name)
            for name in (
                *("optimizer", "learning_rate", "weight_decay", "label_smoothing"),
                *("clip_norm", "ema", "jit_compile"),
            )
        },
        steps_per_execution=1 if on_device else settings.steps_per_execution,
    )
    if on_device:
        resident.train_from(model, data.train, len(data.class_names))
    return model


def batch_maker(settings, data):
    """Returns the function (epoch, first_batch) -> batches that `train` asks for."""
    augment, worker = settings.augment, workers.current()

    def make_batches(epoch, first_batch):
        batches = Batches(
            data.train.images,
            data.train.labels,
            len(data.class_names),
            settings.batch_size,
            settings.seed,
            epoch,
            first_batch,
            crop=augment != "none",
            flip=augment not in ("none", "crop"),
            worker=worker.index,
            workers=worker.count,
        )
        if augment in augmentation.NAMES:
            return augmentation.augmented(batches, augment, settings.seed)
        if settings.data_on_device == "true":
            return resident.Plans(batches, settings.steps_per_execution)
        return worker.batches(batches)

    return make_batches
