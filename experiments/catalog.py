"""What reproduce.py makes, by name; one module each.

Every module has `run(budget, seeds, only, output)`, which does what is not done yet,
writes the table's folder and returns the table as Markdown:

    budget: "smoke", "cpu" or "full".
    seeds: int or None, runs a row; None is the budget's own number.
    only: names of rows, or empty for all.
    output: folder of the table, such as results/resnet_na/cpu.
"""

import importlib
import pathlib

from experiments.machinery.runs import folder_of

# name -> module, imported when its table is asked for: each imports what it needs.
TABLES = {
    "resnet_na": "experiments.tables.resnet_na",
    "vit": "experiments.tables.vit",
    "depth_width": "experiments.tables.depth_width",
    "random_labels": "experiments.tables.memorized_by_norm",
    "cost": "experiments.tables.cost",
    "robustness": "experiments.tables.robustness",
    "swap": "experiments.tables.swap",
    "theory": "experiments.theory",
    "presets": "experiments.presets",  # no table: publishes the trained headline rows
}


def reproduce(table, budget, seeds, only, output=None):
    """Makes a table; returns it as Markdown, and its folder.

    Args:
        table: a key of `TABLES`.
        budget, seeds, only: as above.
        output: folder of the table, or None for its own.
    """
    module = importlib.import_module(TABLES[table])
    own = getattr(module, "OUTPUT", {}).get(budget)  # a folder the module names
    folder = pathlib.Path(output or own or folder_of(table, budget))
    return module.run(budget, seeds, only, folder), folder
