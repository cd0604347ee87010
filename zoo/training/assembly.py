"""From settings to what trains: every setting's value, the model, the batches."""

import math

import keras

from lng_keras._base.errors import UsageError
from zoo.data import augmentation
from zoo.data.batches import Batches
from zoo.devices import resident, tensorflow_cpu, workers
from zoo.models import registry
from zoo.models.recipes import recipe
from zoo.runs import model_files, preset_store
from zoo.training import optimization

MODEL_ARGUMENTS = (
    *("depth", "width", "heads", "patch_size", "pool", "activation", "dropout"),
    "stochastic_depth",
)


def resolve(settings):
    """Fills the settings left open from the model's recipe, data and backend."""
    resolved = dict(settings)
    for name, value in recipe(settings["model"]).items():
        if resolved[name] is None:
            resolved[name] = value
    sizes = ("width", "groups", "group_size")
    if settings["model"] == "ln_net" and all(settings[s] is None for s in sizes):
        if settings["norm"] in ("lng", "lng_position"):
            resolved["group_size"] = 10  # the layer's 8 does not divide its width 100
    if resolved["augment"] is None:
        default = "crop" if settings["dataset"] == "mnist" else "crop_flip"
        resolved["augment"] = "none" if settings["random_labels"] else default
    backend = keras.backend.backend()
    if resolved["jit_compile"] is None:
        resolved["jit_compile"] = _compiles(settings, backend)
    if backend == "torch" and (settings["steps_per_execution"] or 1) > 1:
        raise UsageError(
            f"--steps_per_execution={settings['steps_per_execution']} does not exist "
            "on torch; leave it out, or use KERAS_BACKEND=tensorflow or jax"
        )
    if settings["distribute"] == "multi_worker":
        _check_multi_worker(resolved, backend)
    return resolved


def _compiles(settings, backend):
    """Whether the step is compiled by XLA if no flag says so."""
    if backend != "tensorflow":
        return backend == "jax"
    if settings["distribute"] != "none":
        return False  # XLA does not compile what devices say to each other
    # TensorFlow's own convolutions (oneDNN) take two thirds of XLA's time on a CPU.
    return not settings["model"].startswith("resnet") or resident.accelerated()


def _on_plain_cpu(settings):
    """Whether TensorFlow's own operations run, on a CPU, in one process."""
    return (
        keras.backend.backend() == "tensorflow"
        and not settings["jit_compile"]
        and settings["distribute"] == "none"
        and not resident.accelerated()
    )


def _check_multi_worker(settings, backend):
    if settings["augment"] in augmentation.NAMES:
        raise UsageError(
            f"--augment={settings['augment']} mixes whole batches, which no worker of "
            "--distribute=multi_worker has; use crop_flip, crop or none"
        )
    if settings["search_group_size"]:
        raise UsageError("--search_group_size runs on one worker: --distribute=none")
    if backend == "tensorflow" and (settings["steps_per_execution"] or 1) > 1:
        raise UsageError(
            "--steps_per_execution above 1 does not exist on TensorFlow with several "
            "workers; leave it out, or use KERAS_BACKEND=jax"
        )


def build(settings, data, steps):
    """Builds and compiles the model that the settings describe."""
    arguments = {
        name: settings[name] for name in MODEL_ARGUMENTS if settings[name] is not None
    }
    try:
        model = registry.build(
            settings["model"],
            norm=settings["norm"],
            groups=settings["groups"],
            group_size=settings["group_size"],
            num_classes=len(data.class_names),
            input_shape=data.image_shape,
            **arguments,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"--model={settings['model']} --norm={settings['norm']}: {error}"
        ) from error
    if settings["init"]:
        path = preset_store.find(settings["init"])
        taken, left = model_files.copy_weights(model_files.load(path), model)
        print(f"{taken} weights from {path}, {left} at their initial values.")
    if settings["teacher"]:
        from lng_keras.adopt.distillation import distiller

        teacher = model_files.load(preset_store.find(settings["teacher"]))
        model = distiller(
            model, teacher, settings["temperature"], settings["teacher_weight"]
        )
    on_device = settings["data_on_device"] == "true"
    if _on_plain_cpu(settings):
        tensorflow_cpu.speed_up(model)
    optimization.compile_model(
        model,
        total_steps=settings["epochs"] * steps,
        warmup_steps=math.floor(settings["warmup_epochs"] * steps),
        **{
            name: settings[name]
            for name in (
                *("optimizer", "learning_rate", "weight_decay", "label_smoothing"),
                *("clip_norm", "ema", "jit_compile"),
            )
        },
        steps_per_execution=1 if on_device else settings["steps_per_execution"],
    )
    if on_device:
        resident.train_from(model, data.train, len(data.class_names))
    return model


def batch_maker(settings, data):
    """Returns the function (epoch, first_batch) -> batches that `train` asks for."""
    augment, worker = settings["augment"], workers.current()

    def make_batches(epoch, first_batch):
        batches = Batches(
            data.train.images,
            data.train.labels,
            len(data.class_names),
            settings["batch_size"],
            settings["seed"],
            epoch,
            first_batch,
            crop=augment != "none",
            flip=augment not in ("none", "crop"),
            worker=worker.index,
            workers=worker.count,
        )
        if augment in augmentation.NAMES:
            return augmentation.augmented(batches, augment, settings["seed"])
        if settings["data_on_device"] == "true":
            return resident.Plans(batches, settings["steps_per_execution"])
        return worker.batches(batches)

    return make_batches
