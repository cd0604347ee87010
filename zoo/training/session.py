"""One session of a run: from settings to a run's folder, resumed where it stopped."""

import json

import keras
import numpy as np

from lng_keras._base import files
from lng_keras._base.errors import UsageError
from lng_keras.adopt import export
from zoo import data as zoo_data
from zoo.data import augmentation, batches
from zoo.devices import distribution, resident, workers
from zoo.models import registry
from zoo.models.recipes import recipe
from zoo.runs import checkpoints, records, run_folder
from zoo.training import evaluation, loop
from zoo.training.assembly import batch_maker, build, resolve
from zoo.training.finish import finish
from zoo.training.interruption import StopRequest
from zoo.training.progress import Progress


def run(settings, folder, load_data, write_flags, started):
    """Runs a session on the devices that `settings["distribute"]` asks for.

    Arguments, result and errors are those of `_run`.
    """
    batch_size = settings["batch_size"]
    if batch_size is None and settings["model"] in registry.MODELS:
        batch_size = recipe(settings["model"])["batch_size"]
    how, arguments = settings["distribute"], (load_data, write_flags, started)
    with distribution.data_parallel(how, batch_size or 1) as worker:
        if not worker.chief:  # it reads the folder, and leaves it as it is
            return _run(settings, folder, *arguments)
        with run_folder.claimed(folder, settings["resume"]):
            run_folder.remove_temporary_files(folder)
            return _run(settings, folder, *arguments)


def _run(settings, folder, load_data, write_flags, started):
    """Trains, or goes on training, in a folder that is locked for the chief worker.

    Args:
        settings: dict, the flags of train.py; `None` is the model's recipe.
        folder: path of the run.
        load_data: function (settings) -> `zoo.data.Data`.
        write_flags: function (settings) -> the text of flags.txt.
        started: `time.time()` when the program began.
    Returns:
        The exit status: 0, or 128 + the signal that stopped the run.
    Raises:
        UsageError: if the settings do not fit the data or the checkpoint.
    """
    if (folder / "result.json").exists() and not settings["allow_changes"]:
        result = run_folder.read_json(folder / "result.json")
        print(f"Finished before. {records.last_line(result, folder)}")
        return 0
    if settings["model"] not in registry.MODELS:
        raise UsageError(
            f"--model={settings['model']} is unknown; known: "
            f"{', '.join(registry.MODELS)}"
        )
    settings = resolve(settings)
    for kind in settings["export"]:
        export.check(kind)
    keras.utils.set_random_seed(settings["seed"])
    if settings["mixed_precision"] != "none":
        keras.config.set_dtype_policy(f"mixed_{settings['mixed_precision']}")
    if settings["augment"] in augmentation.NAMES:
        augmentation.check_installed(settings["augment"])

    data = prepare(load_data(settings), settings, folder)
    steps = len(data.train) // settings["batch_size"]
    if not steps:
        raise UsageError(
            f"--batch_size={settings['batch_size']} is larger than the "
            f"{len(data.train)} training images; make it smaller"
        )
    settings = resident.resolve(settings, data)
    if settings["search_group_size"]:
        return search(settings, data, steps, folder)
    checkpoint = newest_checkpoint(folder)
    if checkpoint:
        check_position(checkpoint[1], settings["epochs"], steps, folder)
    # A resumed run has its weights, and need not find the model it began from.
    init = None if checkpoint else settings["init"]
    model = build({**settings, "init": init}, data, steps)
    records.describe(settings, data, folder, write_flags, checkpoint)
    rows = checkpoint[1]["rows"] if checkpoint else []
    print(
        f"{model.name}, norm {settings['norm']}: "
        f"{evaluation.classifier(model).count_params():,} parameters; "
        f"{keras.backend.backend()}{', compiled' * bool(settings['jit_compile'])}"
        f"{', data on the device' * (settings['data_on_device'] == 'true')}; "
        f"{settings['epochs']} epochs of {steps} steps; folder {folder}",
        flush=True,
    )
    resume_line = f"continue with: python train.py --resume --run_dir={folder}"
    with (
        records.Log(folder, settings, rows) as log,
        StopRequest(
            last_words="Stopped inside a long computation; the last checkpoint is "
            f"intact; {resume_line}"
        ) as stop,
        Progress(settings["epochs"], steps, settings["batch_size"], checkpoint) as bar,
    ):
        try:
            outcome = loop.train(
                model,
                data,
                batch_maker(settings, data),
                epochs=settings["epochs"],
                batch_size=settings["batch_size"],
                folder=folder / "checkpoints",
                on_epoch=lambda rows: bar.say(log(rows)),
                on_batch=bar.on_batch,
                should_stop=stop,
                checkpoint_minutes=settings["checkpoint_minutes"],
                resume_from=checkpoint,
            )
        except loop.Stopped as stopped:
            bar.say(f"{stopped}; {resume_line}".capitalize())
            return stop.exit_status
        except loop.NonFiniteLoss as error:
            raise UsageError(
                f"{error}; the last good checkpoint is in {folder / 'checkpoints'}; "
                "lower --learning_rate or set --clip_norm"
            ) from error
    result = finish(model, data, settings, folder, outcome, started)
    print(records.last_line(result, folder), flush=True)
    return 0


def prepare(data, settings, folder):
    """Selects the examples; draws random labels once and keeps them in the folder."""
    held_out = settings["validation_examples"]
    if settings["search_group_size"] and not held_out:
        # A group size is chosen like a learning rate: not by the test images.
        held_out = max(1, len(data.train) // 10)
    data = zoo_data.select(data, settings["train_examples"], held_out)
    if not settings["random_labels"]:
        return data
    path = folder / "random_labels.json"
    if path.exists():
        labels = np.array(run_folder.read_json(path), np.int64)
        return zoo_data.with_train_labels(data, labels)
    data = zoo_data.randomize_labels(data, settings["seed"])
    if workers.current().chief:
        files.write(path, json.dumps(data.train.labels.tolist()))
    return data


def newest_checkpoint(folder):
    """Returns the run's newest checkpoint, the same on all workers, or None."""
    checkpoint = checkpoints.load_newest(folder / "checkpoints")
    position = checkpoint[1]["position"] if checkpoint else {"epoch": 0, "batch": 0}
    for part in ("epoch", "batch"):
        if len(set(workers.current().gather(position[part]))) > 1:
            raise UsageError(
                f"the workers find different checkpoints in {folder}; --run_dir must "
                "be on a disk that all of them see"
            )
    return checkpoint


def check_position(meta, epochs, steps, folder):
    """Refuses to go on from a place that these settings do not have."""
    position = meta["position"]
    if position["epoch"] > epochs:
        raise UsageError(
            f"the run in {folder} has {position['epoch']} epochs; --epochs={epochs} is "
            "fewer; give as many or more"
        )
    if position["batch"] and meta["steps"] != steps:
        raise UsageError(
            f"the run in {folder} stopped within an epoch of {meta['steps']} steps, "
            f"and now one has {steps}; finish the epoch with the --batch_size and data "
            "it began with"
        )


# What a model has whose groups are all channels: the row that others compare with.
_UNGROUPED = {"lng": "ln", "lng_position": "ln_position", "gn": "ln"}


def search(settings, data, steps, folder):
    """Compares group sizes instead of training; prints the result. Returns 0."""
    from lng_keras.adopt.search import search_group_size

    sizes = _group_sizes(settings)

    def build_with(size):
        """The model with groups of `size` channels, or ungrouped for None."""
        norm = settings["norm"] if size else _UNGROUPED[settings["norm"]]
        changed = {"norm": norm, "group_size": size, "groups": None}
        return build({**settings, **changed}, data, steps)

    make_batches = batch_maker(settings, data)
    held_out = zoo_data.in_memory(data.validation)
    if not isinstance(held_out.images, np.ndarray):
        raise UsageError(
            f"--search_group_size keeps the {len(held_out):,} held-out images in "
            "memory, and they are too many; set --validation_examples to fewer"
        )
    result = search_group_size(
        build_with,
        lambda epoch: make_batches(epoch, 0),
        (
            batches.normalize(held_out.images),
            batches.one_hot(held_out.labels, len(data.class_names)),
        ),
        candidates=sizes,
        max_epochs=settings["epochs"],
        compile=lambda model: model,
        directory=str(folder / "search"),
        inputs=np.zeros((1, *data.image_shape), np.float32),
    )
    print(result)
    return 0


def _group_sizes(settings):
    """The candidates of --search_group_size; refuses flags that do not go with it."""
    names = settings["search_group_size"]
    if settings["norm"] not in _UNGROUPED:
        raise UsageError(
            f"--norm={settings['norm']} has no groups to search for; give "
            f"--norm={', '.join(_UNGROUPED)}"
        )
    if settings["augment"] in augmentation.NAMES:
        raise UsageError(
            f"--search_group_size does not go with --augment={settings['augment']}; "
            "give crop_flip, crop or none"
        )
    if settings["teacher"] or settings["export"]:
        raise UsageError(
            "--search_group_size only compares: leave out --teacher and --export, and "
            "train with the --group_size it finds"
        )
    if not all(name.strip().isdecimal() and int(name) for name in names):
        raise UsageError(
            f"--search_group_size={','.join(names)} must be whole numbers from 1 with "
            "commas between, such as 4,8,16"
        )
    return [int(name) for name in names]
