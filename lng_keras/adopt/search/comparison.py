"""The best candidates beside the model as it is, with the same epochs and seeds."""

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from lng_keras.adopt.search.space import Candidate
from lng_keras.adopt.search.training import Trainer
from lng_keras.adopt.trainings import cached


def compare(
    trainer: Trainer,
    chosen: dict[str, Candidate],
    key: str,
    seeds: int,
    settings: dict[str, Any],
    directory: str,
    say: Callable[[str], object],
) -> list[dict[str, Any]]:
    """Trains each candidate from the start with each seed; finished ones are kept.

    Args:
        chosen: dict, name -> candidate, of `Space.best_of`.
        key: str, what a candidate is called in its row.
        settings: dict of plain data; a kept training of other ones is not used.

    Returns:
        One dict a candidate: `name`, itself at `key`, `accuracy`, `spread`, `seeds`.
    """
    rows = []
    for name, candidate in chosen.items():
        scores = []
        for seed in range(seeds):
            result, reused = cached(
                os.path.join(directory, "finals"),
                "run",
                dict(settings, sizes=candidate, seed=seed),
                functools.partial(_score, trainer, candidate, seed),
            )
            say(
                f"comparison: {name}, seed {seed}: {result['score']:.4f}"
                + (" (already done)" if reused else "")
            )
            scores.append(result["score"])
        rows.append(
            {
                "name": name,
                key: candidate,
                "accuracy": float(np.mean(scores)),
                "spread": float(np.std(scores, ddof=1)) if seeds > 1 else None,
                "seeds": seeds,
            }
        )
    return rows


def _score(trainer, candidate, seed):
    return {"score": trainer.score(candidate, seed)}
