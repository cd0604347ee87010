"""The experiments of the paper's theory part, each with its numbers and a picture.

python reproduce.py theory --budget=cpu               # what is not done yet
python reproduce.py theory --budget=cpu --only=approximation,amplification

separability and random_labels train on MNIST and CIFAR-10, read from --data_dir.
"""

import importlib
import pathlib

EXPERIMENTS = {
    "amplification": "H(LN-G) / H(LN) by the number of groups",
    "separability": "LSSR through the layers of trained nets",
    "construction": "the width-3 LN-Net that realizes any labels",
    "approximation": "cos(pi x) by linear -> LN-G -> linear",
    "random_labels": "random labels learned, by depth and group size",
}
_MODULES = {"random_labels": "memorized_by_depth"}  # the others have their names
# Published results stand beside docs/theory.md, which quotes them.
OUTPUT = {"cpu": "results/theory"}
_SEEDS = {"smoke": 1, "cpu": 3, "full": 3}


def run(budget, seeds, only, output):
    """See experiments/catalog.py. `only` names experiments."""
    unknown = sorted(set(only) - set(EXPERIMENTS))
    if unknown:
        raise ValueError(
            f"theory has no experiment {unknown[0]!r}; known: {', '.join(EXPERIMENTS)}"
        )
    if budget not in _SEEDS:
        raise ValueError(f"theory has no budget {budget!r}; known: {', '.join(_SEEDS)}")
    seeds = _SEEDS[budget] if seeds is None else seeds
    lines = ["| experiment | rows | files |", "|---|---:|---|"]
    for name, title in EXPERIMENTS.items():
        if only and name not in only:
            continue
        print(f"theory, {name}: {title}.", flush=True)
        file = _MODULES.get(name, name)
        module = importlib.import_module(f"experiments.theory.{file}")
        module.run(budget, seeds, pathlib.Path(output))
        written = sorted(p for p in pathlib.Path(output).glob(f"{name}*.csv"))
        count = sum(len(p.read_text().splitlines()) - 1 for p in written)
        files = ", ".join(p.name for p in written)
        lines.append(f"| {title} | {count} | {files}, {name}.png |")
    return "\n".join(lines)
