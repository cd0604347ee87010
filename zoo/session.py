"""One session of a run: from settings to a run's folder, resumed where it stopped."""

import json
import math
import os
import time

import keras
import numpy as np

import zoo
from zoo import (
    augmentation,
    checkpoints,
    distribution,
    evaluation,
    export,
    optimization,
    run_folder,
    training,
)
from zoo import data as zoo_data
from zoo.batches import Batches
from zoo.errors import InputError
from zoo.interruption import StopRequest
from zoo.progress import Progress
from zoo.recipes import recipe

MODEL_ARGUMENTS = (
    *("depth", "width", "heads", "patch_size", "pool", "activation", "dropout"),
    "stochastic_depth",
)
_TRAIN_ACCURACY_IMAGES = 50_000  # at most this many training images are evaluated


def run(settings, folder, load_data, write_flags, started):
    """Runs a session on the devices that `settings["distribute"]` asks for.

    Arguments, result and errors are those of `_run`.
    """
    batch_size = settings["batch_size"]
    if batch_size is None and settings["model"] in zoo.MODELS:
        batch_size = recipe(settings["model"])["batch_size"]
    with distribution.data_parallel(settings["distribute"], batch_size or 1):
        return _run(settings, folder, load_data, write_flags, started)


def _run(settings, folder, load_data, write_flags, started):
    """Trains, or goes on training, in a folder that is locked for this process.

    Args:
        settings: dict, the flags of train.py; `None` is the model's recipe.
        folder: path of the run.
        load_data: function (settings) -> `zoo.data.Data`.
        write_flags: function (settings) -> the text of flags.txt.
        started: `time.time()` when the program began.
    Returns:
        The exit status: 0, or 128 + the signal that stopped the run.
    Raises:
        InputError: if the settings do not fit the data or the checkpoint.
    """
    run_folder.remove_temporary_files(folder)
    if (folder / "result.json").exists() and not settings["allow_changes"]:
        result = run_folder.read_json(folder / "result.json")
        print(f"Finished before. {_last_line(result, folder)}")
        return 0
    if settings["model"] not in zoo.MODELS:
        raise InputError(
            f"--model={settings['model']} is unknown; known: {', '.join(zoo.MODELS)}"
        )
    settings = resolve(settings)
    keras.utils.set_random_seed(settings["seed"])
    if settings["mixed_precision"] != "none":
        keras.config.set_dtype_policy(f"mixed_{settings['mixed_precision']}")
    if settings["augment"] in augmentation.NAMES:
        augmentation.check_installed(settings["augment"])

    data = prepare(load_data(settings), settings, folder)
    steps = len(data.train) // settings["batch_size"]
    if not steps:
        raise InputError(
            f"--batch_size={settings['batch_size']} is larger than the "
            f"{len(data.train)} training images; make it smaller"
        )
    if settings["search_group_size"]:
        return search(settings, data, steps, folder)
    checkpoint = checkpoints.load_newest(folder / "checkpoints")
    # A resumed run has its weights, and need not find the model it began from.
    init = None if checkpoint else settings["init"]
    model = build({**settings, "init": init}, data, steps)
    describe(settings, data, folder, write_flags, checkpoint)
    rows = checkpoint[1]["rows"] if checkpoint else []
    print(
        f"{model.name}, norm {settings['norm']}: "
        f"{evaluation.classifier(model).count_params():,} parameters; "
        f"{keras.backend.backend()}{', compiled' * bool(settings['jit_compile'])}; "
        f"{settings['epochs']} epochs of {steps} steps; folder {folder}",
        flush=True,
    )
    resume_line = f"continue with: python train.py --resume --run_dir={folder}"
    run_folder.write_metrics(folder, rows)
    with (
        run_folder.TensorBoard(folder, rows) as board,
        StopRequest(
            last_words="Stopped inside a long computation; the last checkpoint is "
            f"intact; {resume_line}"
        ) as stop,
        Progress(settings["epochs"], steps, settings["batch_size"], checkpoint) as bar,
    ):
        try:
            outcome = training.train(
                model,
                data,
                batch_maker(settings, data),
                epochs=settings["epochs"],
                batch_size=settings["batch_size"],
                folder=folder / "checkpoints",
                on_epoch=_Log(folder, settings, board, bar),
                on_batch=bar.on_batch,
                should_stop=stop,
                checkpoint_minutes=settings["checkpoint_minutes"],
                resume_from=checkpoint,
            )
        except training.Stopped as stopped:
            bar.say(f"{stopped}; {resume_line}".capitalize())
            return stop.exit_status
        except training.NonFiniteLoss as error:
            raise InputError(
                f"{error}; the last good checkpoint is in {folder / 'checkpoints'}; "
                "lower --learning_rate or set --clip_norm"
            ) from error
    result = finish(model, data, settings, folder, outcome, started)
    print(_last_line(result, folder), flush=True)
    return 0


def resolve(settings):
    """Fills the settings left open from the model's recipe, the data and the "
    "backend."""
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
        resolved["jit_compile"] = backend != "torch"
    if backend == "torch" and settings["steps_per_execution"] > 1:
        raise InputError(
            f"--steps_per_execution={settings['steps_per_execution']} does not exist "
            "on torch; leave it out, or use KERAS_BACKEND=tensorflow or jax"
        )
    return resolved


def prepare(data, settings, folder):
    """Selects the examples; draws random labels once and keeps them in the folder."""
    data = zoo_data.select(
        data, settings["train_examples"], settings["validation_examples"]
    )
    if not settings["random_labels"]:
        return data
    path = folder / "random_labels.json"
    if path.exists():
        labels = np.array(run_folder.read_json(path), np.int64)
        return zoo_data.with_train_labels(data, labels)
    data = zoo_data.randomize_labels(data, settings["seed"])
    run_folder.write_atomically(path, json.dumps(data.train.labels.tolist()))
    return data


def build(settings, data, steps):
    """Builds and compiles the model that the settings describe."""
    arguments = {
        name: settings[name] for name in MODEL_ARGUMENTS if settings[name] is not None
    }
    try:
        model = zoo.build(
            settings["model"],
            norm=settings["norm"],
            groups=settings["groups"],
            group_size=settings["group_size"],
            num_classes=len(data.class_names),
            input_shape=data.image_shape,
            **arguments,
        )
    except (ValueError, TypeError) as error:
        raise InputError(
            f"--model={settings['model']} --norm={settings['norm']}: {error}"
        ) from error
    if settings["init"]:
        path = export.find(settings["init"])
        taken, left = export.copy_weights(export.load(path), model)
        print(f"{taken} weights from {path}, {left} at their initial values.")
    if settings["teacher"]:
        from lng_keras.distillation import distiller

        teacher = export.load(export.find(settings["teacher"]))
        model = distiller(
            model, teacher, settings["temperature"], settings["teacher_weight"]
        )
    optimization.compile_model(
        model,
        total_steps=settings["epochs"] * steps,
        warmup_steps=math.floor(settings["warmup_epochs"] * steps),
        **{
            name: settings[name]
            for name in (
                *("optimizer", "learning_rate", "weight_decay", "label_smoothing"),
                *("clip_norm", "ema", "jit_compile", "steps_per_execution"),
            )
        },
    )
    return model


def search(settings, data, steps, folder):
    """Compares group sizes instead of training; prints the result. Returns 0."""
    import zoo.batches
    from lng_keras.search import search_group_size

    def build_with(size):
        """The model with groups of `size` channels, or with plain LN for None."""
        norm = settings["norm"] if size else "ln"
        changed = {"norm": norm, "group_size": size, "groups": None}
        return build({**settings, **changed}, data, steps)

    try:
        sizes = [int(size) for size in settings["search_group_size"]]
    except ValueError as error:
        raise InputError(
            f"--search_group_size={','.join(settings['search_group_size'])} must be "
            "whole numbers with commas between, such as 4,8,16"
        ) from error
    held_out = data.validation or data.test
    result = search_group_size(
        build_with,
        batch_maker(settings, data)(0, 0),
        (
            zoo.batches.normalize(held_out.images),
            zoo.batches.one_hot(held_out.labels, len(data.class_names)),
        ),
        candidates=sizes,
        max_epochs=settings["epochs"],
        compile=lambda model: model,
        directory=str(folder / "search"),
        inputs=np.zeros((1, *data.image_shape), np.float32),
    )
    print(result)
    return 0


def batch_maker(settings, data):
    """Returns the function (epoch, first_batch) -> batches that `train` asks for."""
    augment = settings["augment"]

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
        )
        if augment in augmentation.NAMES:
            return augmentation.augmented(batches, augment, settings["seed"])
        return batches

    return make_batches


def describe(settings, data, folder, write_flags, checkpoint):
    """Writes flags.txt and env.json; on resuming compares with what was written."""
    environment = run_folder.describe_environment()
    environment["seed"] = settings["seed"]
    environment["data"] = {
        "name": data.name,
        "source": data.source,
        "train": len(data.train),
        "validation": len(data.validation) if data.validation else 0,
        "test": len(data.test),
        "sha256": zoo_data.checksum(data),
    }
    path = folder / "env.json"
    if checkpoint and path.exists():
        _compare(run_folder.read_json(path), environment, settings["allow_changes"])
    run_folder.write_json(path, environment)
    run_folder.write_atomically(folder / "flags.txt", write_flags(settings))


def _compare(old, new, allow_changes):
    """Refuses to go on with other data or another backend; warns of other versions."""
    for what, before, now in (
        ("backend", old["backend"], new["backend"]),
        ("data set", old["data"]["sha256"], new["data"]["sha256"]),
    ):
        if before != now and not allow_changes:
            raise InputError(
                f"the run's {what} was {before}, now it is {now}, which changes the "
                f"result; use the same {what}, or say --allow_changes"
            )
    differing = [
        f"{name} {old['versions'].get(name, 'absent')} -> {version}"
        for name, version in new["versions"].items()
        if old["versions"].get(name) != version
    ]
    if differing:
        print(f"Warning: other versions than before: {', '.join(differing)}.")


class _Log:
    """Writes down each epoch: files, TensorBoard, a line on the console, curves."""

    _SECONDS_BETWEEN_CURVES = 30

    def __init__(self, folder, settings, board, bar):
        self._folder, self._board, self._bar = folder, board, bar
        self._title = f"{settings['model']} {settings['norm']}, {settings['dataset']}"
        self._epochs, self._drawn = settings["epochs"], -math.inf

    def __call__(self, rows):
        run_folder.write_metrics(self._folder, rows)
        self._board.write(rows[-1])
        self._bar.say(_epoch_line(rows[-1], self._epochs))
        due = time.monotonic() - self._drawn > self._SECONDS_BETWEEN_CURVES
        if due or rows[-1]["epoch"] == self._epochs:
            run_folder.draw_curves(self._folder, rows, self._title)
            self._drawn = time.monotonic()


def _epoch_line(row, epochs):
    name = "validation" if "validation_loss" in row else "test"
    return (
        f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  train loss "
        f"{row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  {name} loss "
        f"{row[f'{name}_loss']:.4f} accuracy {row[f'{name}_accuracy']:.4f}  "
        f"{row['images_per_second']:,.0f} images/s"
    )


def finish(model, data, settings, folder, outcome, started):
    """Evaluates the chosen epoch, writes model.keras and result.json."""
    if outcome["best_epoch"] != settings["epochs"]:
        arrays, _ = checkpoints.load(folder / "checkpoints" / checkpoints.BEST)
        training.restore_state(model, arrays)
    student = evaluation.classifier(model)
    train = data.train
    if len(train) > _TRAIN_ACCURACY_IMAGES:
        train = train.take(np.arange(_TRAIN_ACCURACY_IMAGES))
    with evaluation.averaged_weights(model):
        scores = {
            name: evaluation.evaluate(model, split)
            for name, split in (
                *(("test", data.test), ("train", train)),
                *([("validation", data.validation)] if data.validation else []),
            )
        }
        export.save(student, folder / "model.keras")
        for kind in settings["export"]:
            from lng_keras.export import export as export_model

            done = export_model(student, str(folder / f"model_{kind}"), kind)
            print(
                f"Exported {done['path']}: {done['difference']:.1g} from Keras, "
                f"{done['bytes'] / 1e6:.1f} MB."
            )
    rows = outcome["rows"]
    result = {
        f"{name}_{quantity}": value
        for name, score in scores.items()
        for quantity, value in score.items()
    }
    result |= {
        "epochs": settings["epochs"],
        "best_epoch": outcome["best_epoch"],
        "parameters": student.count_params(),
        # Of all sessions of the run, without their starts but the last one's.
        "seconds": round(
            sum(row["seconds"] + row["evaluation_seconds"] for row in rows), 1
        ),
        "images_per_second": float(np.median([r["images_per_second"] for r in rows])),
        "session_seconds": round(time.time() - started, 1),
        "dataset": settings["dataset"],
        "train_examples": len(data.train),
        "seed": settings["seed"],
        "model": settings["model"],
        "norm": settings["norm"],
        "backend": keras.backend.backend(),
        "cores": os.cpu_count(),
    }
    run_folder.write_json(folder / "result.json", result)
    return result


def _last_line(result, folder):
    return (
        f"Test accuracy {result['test_accuracy']:.4f} after {result['epochs']} epochs, "
        f"{result['seconds']:.0f} s of training; everything is in {folder}"
    )
