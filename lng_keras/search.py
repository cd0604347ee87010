"""Searches for the group size: Hyperband of KerasTuner, then a fair comparison.

Hyperband gives many candidates a few epochs and the best of them more, so its scores
have different budgets. What it found best is therefore trained once more from the
start, beside the model as it is, with the same epochs and seeds for all. That table is
the answer; accuracy and inference cost are in it, and the Pareto front is marked.
"""

import json
import os
import re

import keras
import numpy as np

from lng_keras import cost
from lng_keras.extras import needed
from lng_keras.report.experiment import AS_IS, cached, compiled, fingerprint, write
from lng_keras.swap import find_normalizations, swap_normalization
from lng_keras.swap.api import copy_model

_STAGE = re.compile(r"((?:stage|block|stack|layer|conv|encoder)_?\d+)", re.IGNORECASE)


def stage_of(norm):
    """The stage a norm belongs to by its path: "stage2", "block_3", or "rest"."""
    found = _STAGE.search(norm.path)
    return found[1].lower() if found else "rest"


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
        train, validation: `(x, y)` arrays, or datasets that `fit` takes.
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
        directory: folder for everything that is kept.
        batch_sizes, inputs: of `lng_keras.cost.measure`.
        progress: function called with a line of text, or None.
        **swap_arguments: of `swap_normalization`.

    Returns:
        `SearchResult`, or None in a process that does not make the comparison.

    Raises:
        ValueError: for arguments out of range, or a model without normalizations.
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
    build = _builder(model, swap_arguments)
    compile = compile or (lambda m: compiled(m, learning_rate))
    stages = _stages(model) if per_stage else ["all"]

    def hypermodel(hp):
        # 0 is the model's own normalization, a candidate like the others.
        sizes = {
            stage: hp.Choice(f"group_size/{stage}", [0, *candidates])
            for stage in stages
        }
        keras.utils.set_random_seed(0)
        made = build(sizes)
        compile(made)
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
    fit = _fit_arguments(train, validation, batch_size)
    tuner.search(**fit, verbose=0, callbacks=[_Rung(say)])
    who = os.environ.get("KERASTUNER_TUNER_ID", "tuner0")
    if who != "tuner0":
        say(f"{who}: done; tuner0 makes the comparison")
        return None
    # Now: on several machines, the chief that knows of the trials ends soon.
    trials = _trials(tuner)
    chosen = _finalists(trials, stages, finalists)
    settings = dict(
        max_epochs=max_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        backend=keras.config.backend(),
        examples=_count(train),
        model=fingerprint(build(dict.fromkeys(stages, 0))),
    )
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
    write(
        os.path.join(directory, "search.json"), json.dumps(result.to_dict(), indent=1)
    )
    write(os.path.join(directory, "search.txt"), f"{result}\n")
    return result


class SearchResult:
    """What a search found; prints as a table.

    Attributes:
        rows: list of dicts: `name`, `group_sizes`, `accuracy` (mean over seeds),
            `spread` (std), `seeds`, costs, and `pareto`: whether no other row is
            better in accuracy and latency at once. The first is the model as it is.
        trials: list of dicts, Hyperband's: `group_sizes`, `epochs`, `score`.
        settings: dict, the budget, the same for every row.
    """

    def __init__(self, rows, trials, settings, table):
        self.rows, self.trials, self.settings = rows, trials, settings
        self.environment = table.environment
        for row, best in zip(
            rows, pareto_front([_point(r) for r in rows]), strict=True
        ):
            row["pareto"] = best

    @property
    def best(self):
        """The row of the highest mean accuracy."""
        return max(self.rows, key=lambda row: row["accuracy"])

    def to_dict(self):
        return {
            "rows": self.rows,
            "trials": self.trials,
            "settings": self.settings,
            "environment": self.environment,
        }

    def _cells(self):
        last = self.rows[0]["latency"][-1]
        head = ["", "group size", "accuracy, %", "std", "seeds", "parameters", "MFLOPs"]
        yield [*head, f"ms, batch {last['batch']}, {last['mode']} (quartiles)"]
        for row in self.rows:
            entry = row["latency"][-1]
            quartiles = f"{entry['q25_ms']:.3g}-{entry['q75_ms']:.3g}"
            flops = row["flops"]
            yield [
                "*" if row["pareto"] else "",
                row["name"],
                f"{100 * row['accuracy']:.2f}",
                "-" if row["spread"] is None else f"{100 * row['spread']:.2f}",
                str(row["seeds"]),
                f"{row['parameters']:,}",
                "-" if flops is None else f"{flops / 1e6:.3g}",
                f"{entry['median_ms']:.3g} ({quartiles})",
            ]

    def __str__(self):
        table = list(self._cells())
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
            for line in table
        ]
        s, e = self.settings, self.environment
        lines.append(
            f"* on the Pareto front of accuracy and latency. Each row: "
            f"{s['max_epochs']} epochs, seeds 0 to {s['seeds'] - 1}. {e['backend']} "
            f"{e['backend_version']}, {e['device']}, {e['threads']} threads."
        )
        return "\n".join(lines)


def pareto_front(points):
    """For each `(benefit, cost)`, whether no other has more benefit at no more cost.

    Equal points are all on the front.
    """
    return [
        not any(
            (b >= benefit and c <= price) and (b > benefit or c < price)
            for b, c in points
        )
        for benefit, price in points
    ]


def _point(row):
    return row["accuracy"], row["latency"][-1]["median_ms"]


def _builder(model, swap_arguments):
    """A function from `{stage: group size or 0}` to a new model."""

    def from_model(sizes):
        if not any(sizes.values()):
            return copy_model(model)
        whole = sizes.get("all")

        def size(norm):
            return whole or sizes[stage_of(norm)]

        where = swap_arguments.get("where")
        rest = {k: v for k, v in swap_arguments.items() if k != "where"}
        if whole is None:
            kept = {stage for stage, chosen in sizes.items() if not chosen}
            given = where

            def where(norm):
                from lng_keras.swap.walk import matches

                return stage_of(norm) not in kept and matches(given, norm)

        return swap_normalization(model, group_size=size, where=where, **rest)[0]

    if isinstance(model, keras.Model):
        list(find_normalizations(model))  # raises if there is none
        return from_model
    if not callable(model):
        raise ValueError(
            "`model` must be a keras.Model or a function from a group size to one. "
            f"Received: {type(model).__name__}"
        )
    return lambda sizes: model(sizes["all"] or None)


def _stages(model):
    return sorted({stage_of(norm) for _, norm in find_normalizations(model)})


def _fit_arguments(train, validation, batch_size):
    if isinstance(train, tuple):
        return dict(
            x=train[0], y=train[1], validation_data=validation, batch_size=batch_size
        )
    return dict(x=train, validation_data=validation)


def _count(train):
    if isinstance(train, tuple):
        return len(train[0])
    return len(train) if hasattr(train, "__len__") else None


def name_of(sizes):
    """How a candidate is called: "as it is", "8", or "stage1=4 stage2=8"."""
    if not any(sizes.values()):
        return AS_IS
    if set(sizes) == {"all"}:
        return str(sizes["all"])
    return " ".join(f"{stage}={size or 'own'}" for stage, size in sizes.items())


def _finalists(trials, stages, count):
    """Name -> sizes: the model as it is first, then the best that Hyperband found."""
    chosen = {AS_IS: dict.fromkeys(stages, 0)}
    for trial in trials:
        if len(chosen) <= count:
            sizes = trial["group_sizes"]
            chosen.setdefault(name_of(sizes), sizes)
    return chosen


def _trials(tuner):
    return [
        {
            "group_sizes": {
                k.split("/", 1)[1]: v
                for k, v in trial.hyperparameters.values.items()
                if k.startswith("group_size/")
            },
            "epochs": trial.hyperparameters.values.get("tuner/epochs"),
            "score": trial.score,
        }
        for trial in tuner.oracle.get_best_trials(10**6)
    ]


def _compare(build, compile, chosen, fit, objective, seeds, settings, directory, say):
    rows = []
    for name, sizes in chosen.items():
        scores = []
        for seed in range(seeds):

            def work(sizes=sizes, seed=seed):
                keras.utils.set_random_seed(seed)
                model = build(sizes)
                compile(model)
                history = model.fit(**fit, epochs=settings["max_epochs"], verbose=0)
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


class _Rung(keras.callbacks.Callback):
    """One line for each of Hyperband's trainings."""

    def __init__(self, say):
        super().__init__()
        self.say = say

    def __deepcopy__(self, memo):
        return _Rung(self.say)  # KerasTuner copies callbacks; a print stays itself

    def on_train_end(self, logs=None):
        scores = {k: round(float(v), 4) for k, v in (logs or {}).items()}
        self.say(f"hyperband: {scores}")
