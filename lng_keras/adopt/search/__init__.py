"""Searches for the group size: Hyperband of KerasTuner, then a fair comparison.

Hyperband gives many candidates a few epochs and the best of them more, so its scores
have different budgets. What it found best is therefore trained once more from the
start, beside the model as it is, with the same epochs and seeds for all. That table is
the answer; accuracy and inference cost are in it, and the Pareto front is marked.
"""

import glob
import json
import os

import keras
import numpy as np

from lng_keras._base import files
from lng_keras._base.extras import needed
from lng_keras.adopt import cost, fingerprint
from lng_keras.adopt.search.candidates import best_of, builder, stage_of, stages_of
from lng_keras.adopt.search.directory import claim
from lng_keras.adopt.search.result import SearchResult, pareto_front
from lng_keras.adopt.search.training import (
    Rung,
    data_fingerprint,
    fit_arguments,
    followers,
    steps_of,
)
from lng_keras.adopt.trainings import cached, compiled, settle

__all__ = ["SearchResult", "pareto_front", "search_group_size", "stage_of"]


def search_group_size(
    model,
    train,
    validation,
    candidates=(4, 8, 16, 32),
    per_stage=False,
    max_epochs=9,
    factor=3,
    finalists=3,
    seeds=2,
    batch_size=32,
    learning_rate=1e-3,
    compile=None,
    objective="accuracy",
    directory="search",
    batch_sizes=(1, 32),
    inputs=None,
    progress=print,
    **swap_arguments,
):
    """Searches the group size of a model's normalizations.

    An interrupted search continues: run the same call with the same `directory`. On
    several machines with a shared `directory`, set KerasTuner's variables
    (KERASTUNER_TUNER_ID "chief" or "tuner0", "tuner1", ...; KERASTUNER_ORACLE_IP and
    _PORT); "tuner0" makes the final comparison, the others return None.

    Args:
        model: built `keras.Model`, which every candidate starts from, weights
            included; or a function from a group size, or None for the model as it
            is, to a new built model.
        train: `(x, y)` arrays; a dataset that `fit` takes; or a function from the
            number of an epoch, from 0, to a `keras.utils.PyDataset` of its batches,
            so that every candidate sees the same ones, augmented anew each epoch.
        validation: `(x, y)` arrays, or a dataset.
        candidates: sequence of ints >= 1, the group sizes.
        per_stage: bool, one group size a stage instead of one for the model; see
            `stage_of`. Needs a model, not a function.
        max_epochs: int, epochs of Hyperband's last rung and of the comparison.
        factor: int, Hyperband's: each rung keeps one in `factor`.
        finalists: int, how many of the best to compare.
        seeds: int, trainings of each in the comparison.
        batch_size: int, for arrays.
        learning_rate: float, of Adam, unless `compile` is given.
        compile: function that compiles a model, or None: Adam and cross-entropy.
        objective: str, the metric to maximize on validation.
        directory: folder for everything that is kept, one for each search.
        batch_sizes, inputs: of `lng_keras.cost.measure`.
        progress: function called with a line of text, or None.
        **swap_arguments: of `swap_normalization`.

    Returns:
        `SearchResult`, or None in a process that does not make the comparison.

    Raises:
        ValueError: for arguments out of range, a model without normalizations, or a
            `directory` that holds another search.
        ImportError: without KerasTuner.
    """
    tuners = needed("keras_tuner", "tune")
    say = progress or (lambda text: None)
    if not candidates or min(candidates) < 1 or min(max_epochs, finalists, seeds) < 1:
        raise ValueError(
            "`candidates`, `max_epochs`, `finalists` and `seeds` must be >= 1. "
            f"Received: candidates={candidates}, max_epochs={max_epochs}, "
            f"finalists={finalists}, seeds={seeds}"
        )
    if per_stage and not isinstance(model, keras.Model):
        raise ValueError("`per_stage` needs a model, not a function that makes one.")
    build = builder(model, swap_arguments)
    compile = compile or (lambda m: compiled(m, learning_rate))
    stages = stages_of(model) if per_stage else ["all"]
    fit = fit_arguments(train, validation, batch_size)
    steps = steps_of(fit["x"], batch_size)
    settings = dict(
        max_epochs=max_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        objective=objective,
        backend=keras.config.backend(),
        steps=steps,
        # A function's models have new weights, which depend on the seed alone.
        model=fingerprint.of_model(model) if isinstance(model, keras.Model) else None,
        candidates=_configurations(build, stages, candidates),
        data=data_fingerprint(fit),
    )
    # Where several share it, one notes it: two at a time would get in their way.
    who = os.environ.get("KERASTUNER_TUNER_ID", "tuner0")
    claim(directory, settings, note=who == "tuner0")

    def hypermodel(hp):
        # 0 is the model's own normalization, a candidate like the others.
        sizes = {
            stage: hp.Choice(f"group_size/{stage}", [0, *candidates])
            for stage in stages
        }
        keras.utils.set_random_seed(0)
        made = build(sizes)
        compile(made)
        if steps:
            settle(made, steps)
        return made

    tuner = tuners.Hyperband(
        hypermodel,
        objective=tuners.Objective(f"val_{objective}", "max"),
        max_epochs=max_epochs,
        factor=factor,
        directory=os.path.abspath(directory),
        project_name="hyperband",
        seed=0,
    )
    tuner.search(**fit, verbose=0, callbacks=[*followers(fit["x"]), Rung(say)])
    if who != "tuner0":
        say(f"{who}: done; tuner0 makes the comparison")
        return None
    trials = _trials(os.path.join(directory, "hyperband"))
    chosen = best_of(trials, stages, candidates, finalists)
    rows = _compare(
        build, compile, chosen, fit, objective, seeds, settings, directory, say
    )
    say("measuring cost")
    table = cost.measure(
        {name: build(sizes) for name, sizes in chosen.items()},
        batch_sizes=batch_sizes,
        inputs=inputs,
        per_layer=None,
        repeats=20,
        seconds=1.0,
    )
    for row, costs in zip(rows, table.rows, strict=True):
        row.update({k: v for k, v in costs.items() if k not in ("name", "layers")})
    result = SearchResult(rows, trials, dict(settings, seeds=seeds), table)
    files.write(
        os.path.join(directory, "search.json"), json.dumps(result.to_dict(), indent=1)
    )
    files.write(os.path.join(directory, "search.txt"), f"{result}\n")
    return result


def _configurations(build, stages, candidates):
    """Digest of the model of each group size: what `swap_arguments` do, if anything."""
    found = {}
    for size in (0, *candidates):
        keras.utils.set_random_seed(0)  # a layer may draw a seed for its config
        found[str(size)] = fingerprint.of_config(build(dict.fromkeys(stages, size)))
    return found


def _trials(folder):
    """Hyperband's finished trials, the best first, from the files it keeps.

    Not from the tuner, who on several machines asks the chief, who ends when the
    search does: its answer might never come.
    """
    trials = []
    for path in sorted(glob.glob(os.path.join(folder, "trial_*", "trial.json"))):
        with open(path, encoding="utf-8") as file:
            trial = json.load(file)
        if trial["status"] != "COMPLETED":
            continue
        values = trial["hyperparameters"]["values"]
        trials.append(
            {
                "group_sizes": {
                    k.split("/", 1)[1]: v
                    for k, v in values.items()
                    if k.startswith("group_size/")
                },
                "epochs": values.get("tuner/epochs"),
                "score": trial["score"],
            }
        )
    return sorted(trials, key=lambda trial: -trial["score"])


def _compare(build, compile, chosen, fit, objective, seeds, settings, directory, say):
    rows = []
    for name, sizes in chosen.items():
        scores = []
        for seed in range(seeds):

            def work(sizes=sizes, seed=seed):
                keras.utils.set_random_seed(seed)
                model = build(sizes)
                compile(model)
                if settings["steps"]:
                    settle(model, settings["steps"])
                history = model.fit(
                    **fit,
                    epochs=settings["max_epochs"],
                    verbose=0,
                    callbacks=followers(fit["x"]),
                )
                return {"score": float(history.history[f"val_{objective}"][-1])}

            key = dict(settings, sizes=sizes, seed=seed)
            folder = os.path.join(directory, "finals")
            result, reused = cached(folder, "run", key, work)
            say(
                f"comparison: {name}, seed {seed}: {result['score']:.4f}"
                + (" (already done)" if reused else "")
            )
            scores.append(result["score"])
        rows.append(
            {
                "name": name,
                "group_sizes": sizes,
                "accuracy": float(np.mean(scores)),
                "spread": float(np.std(scores, ddof=1)) if seeds > 1 else None,
                "seeds": seeds,
            }
        )
    return rows
