"""Where a run begins or goes on: its folder, its settings, its newest checkpoint."""

import pathlib

from lng_keras._base.errors import UsageError
from zoo.devices import workers
from zoo.runs import checkpoints, run_folder
from zoo.training import early, flags


def place(settings, given):
    """Returns a run's settings, those of its folder included, and its folder.

    Args:
        settings, given: of the command line, as from `flags.parse`.
    Raises:
        UsageError: if the command line would change the result of the run.
    """
    if not settings.run_dir:
        return settings, run_folder.default_path(settings)
    folder, changes = pathlib.Path(settings.run_dir), []
    if (folder / "flags.txt").is_file():  # else it begins, see early.py
        settings, changes = flags.adopt(settings, given, folder / "flags.txt")
    early.check_data_dir(settings, given)
    if changes and not settings.allow_changes:
        raise UsageError(
            f"{', '.join(changes)} would change the result of the run in {folder}; "
            "leave them out, or say --allow_changes"
        )
    return settings, folder


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
