"""One session of a run: from settings to a run's folder, resumed where it stopped."""

import dataclasses

import keras

from zoo.devices import distribution
from zoo.errors import NonFiniteLoss
from zoo.runs import records, run_folder
from zoo.training import completion, continuation, evaluation, examples, flags, loop
from zoo.training.assembly import batch_maker, build
from zoo.training.finish import finish
from zoo.training.group_sizes import search
from zoo.training.loop.interruption import StopRequest
from zoo.training.loop.progress import Progress


def run(settings, given, started):
    """Trains as a command line says, from the beginning or from a checkpoint.

    Args:
        settings, given: of the command line, as from `flags.parse`.
        started: `time.time()` when the program began.
    Returns:
        The exit status: 0, or 128 + the signal that stopped the run.
    Raises:
        UsageError: if the settings do not fit each other, the data or the checkpoint.
        NonFiniteLoss: if the training diverged.
    """
    settings, folder = continuation.place(settings, given)
    batch_size = completion.with_recipe(settings).batch_size
    with distribution.data_parallel(settings.distribute, batch_size) as worker:
        if not worker.chief:  # it reads the folder, and leaves it as it is
            return _run(settings, folder, started)
        with run_folder.claimed(folder):
            run_folder.remove_temporary_files(folder)
            return _run(settings, folder, started)


def _run(settings, folder, started):
    """As `run`, in a folder that is locked for the chief worker."""
    if (folder / "result.json").exists() and not settings.allow_changes:
        names = ("test_accuracy", "epochs", "seconds")
        result = run_folder.read_json(folder / "result.json", names)
        print(f"Finished before. {records.last_line(result, folder)}")
        return 0
    completion.check(settings)
    keras.utils.set_random_seed(settings.seed)
    if settings.mixed_precision != "none":
        keras.config.set_dtype_policy(f"mixed_{settings.mixed_precision}")
    data = examples.prepare(examples.load(settings), settings, folder)
    settings = completion.complete(settings, data)
    steps = len(data.train) // settings.batch_size
    if settings.search_group_size:
        return search(settings, data, steps, folder)
    checkpoint = continuation.newest_checkpoint(folder)
    if checkpoint:
        continuation.check_position(checkpoint[1], settings.epochs, steps, folder)
    # A resumed run has its weights, and need not find the model it began from.
    init = None if checkpoint else settings.init
    model = build(dataclasses.replace(settings, init=init), data, steps)
    records.describe(settings, data, folder, flags.write(settings), checkpoint)
    print(
        f"{model.name}, norm {settings.norm}: "
        f"{evaluation.classifier(model).count_params():,} parameters; "
        f"{keras.backend.backend()}{', compiled' * bool(settings.jit_compile)}"
        f"{', data on the device' * (settings.data_on_device == 'true')}; "
        f"{settings.epochs} epochs of {steps} steps; folder {folder}",
        flush=True,
    )
    outcome, status = _train(model, data, settings, steps, folder, checkpoint)
    if outcome is None:
        return status
    result = finish(model, data, settings, folder, outcome, started)
    print(records.last_line(result, folder), flush=True)
    return 0


def _train(model, data, settings, steps, folder, checkpoint):
    """Returns what `loop.train` returns, None if it was stopped, and a status."""
    rows = checkpoint[1]["rows"] if checkpoint else []
    resume_line = f"continue with: python train.py --resume --run_dir={folder}"
    last_words = (
        "Stopped inside a long computation; the last checkpoint is intact; "
        f"{resume_line}"
    )
    with (
        records.Log(folder, settings, rows) as log,
        StopRequest(last_words=last_words) as stop,
        Progress(settings.epochs, steps, settings.batch_size, checkpoint) as bar,
    ):
        try:
            outcome = loop.train(
                model,
                data,
                batch_maker(settings, data),
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                folder=folder / "checkpoints",
                on_epoch=lambda rows: bar.say(log(rows)),
                on_batch=bar.on_batch,
                should_stop=stop,
                checkpoint_minutes=settings.checkpoint_minutes,
                resume_from=checkpoint,
            )
        except loop.Stopped as stopped:
            bar.say(f"{stopped}; {resume_line}".capitalize())
            return None, stop.exit_status
        except NonFiniteLoss as error:
            raise NonFiniteLoss(
                f"{error}; the last good checkpoint is in {folder / 'checkpoints'}; "
                "lower --learning_rate or set --clip_norm"
            ) from error
    return outcome, 0
