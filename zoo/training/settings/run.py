"""Settings of the run itself: where, from what, how often saved."""

import dataclasses

from zoo.training.settings.field import setting


@dataclasses.dataclass(frozen=True)
class Run:
    """Where a run is, what it goes on from, and its seed."""

    run_dir: str | None = setting(
        None,
        "Folder of the run. Default: runs/MODEL_NORM_DATASET_seedN_DATE, so that no "
        "run overwrites another.",
        kept=False,
    )
    resume: bool = setting(
        False,
        "Continue the run in --run_dir with its own flags from its last checkpoint; "
        "refused if there is no run. Default off: a folder that holds a run is "
        "refused.",
        kept=False,
    )
    resume_or_start: bool = setting(
        False,
        "As --resume, but start the run if there is none: for schedulers and "
        "notebooks, which give the same command again. Default off: a misspelt folder "
        "would begin another run.",
        kept=False,
    )
    allow_changes: bool = setting(
        False,
        "With --resume or --resume_or_start: accept flags, or a backend, that change "
        "the run's result. Default off: such a result cannot be repeated from its "
        "flags.",
        kept=False,
    )
    evaluate: str | None = setting(
        None,
        "A model.keras, or the name of a preset, to evaluate on the test images "
        "instead of training. The flags of its data set come from the flags.txt "
        "beside it or the preset's card, unless given. Default none: train.",
        kept=False,
    )
    checkpoint_minutes: float = setting(
        10.0,
        "Minutes between checkpoints within an epoch; one is also written after each "
        "epoch. Default 10: what a killed machine may lose.",
        at_least=0.0,
        result=False,
    )
    seed: int = setting(
        0,
        "Seed of weights, order, augmentation and random labels. Default 0: runs "
        "repeat.",
        at_least=0,
        at_most=2**31 - 1,
    )
