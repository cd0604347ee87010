"""Hyperband of KerasTuner: many candidates get a few epochs, the best of them more."""

import glob
import json
import os
from collections.abc import Callable
from typing import Any

from lng_keras._base.extras import needed
from lng_keras.adopt.search.space import Space
from lng_keras.adopt.search.training import Rung, Trainer


def run(
    trainer: Trainer,
    space: Space,
    factor: int,
    directory: str,
    say: Callable[[str], object],
) -> None:
    """Tries the candidates, or goes on trying them; its trials stay in `directory`."""
    tuners = needed("keras_tuner", "tune")

    def hypermodel(hp):
        values = {name: hp.Choice(name, list(v)) for name, v in space.choices.items()}
        return trainer.made(space.candidate(values), seed=0)

    tuner = tuners.Hyperband(
        hypermodel,
        objective=tuners.Objective(f"val_{trainer.objective}", "max"),
        max_epochs=trainer.epochs,
        factor=factor,
        directory=os.path.abspath(directory),
        project_name="hyperband",
        seed=0,
    )
    tuner.search(**trainer.fit, verbose=0, callbacks=[*trainer.callbacks(), Rung(say)])


def trials(directory: str, space: Space) -> list[dict[str, Any]]:
    """Hyperband's finished trials, the best first, from the files it keeps.

    Not from the tuner, who on several machines asks the chief, who ends when the
    search does: its answer might never come.
    """
    found = []
    pattern = os.path.join(directory, "hyperband", "trial_*", "trial.json")
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding="utf-8") as file:
            trial = json.load(file)
        if trial["status"] != "COMPLETED":
            continue
        values = trial["hyperparameters"]["values"]
        found.append(
            {
                space.key: space.candidate(values),
                "epochs": values.get("tuner/epochs"),
                "score": trial["score"],
            }
        )
    return sorted(found, key=lambda trial: -trial["score"])
