"""The comparison tables of reproduce.py, one module each.

Every module has `run(budget, seeds, only, output)`, which does what is not done yet,
writes the table's folder and returns the table as Markdown:

    budget: "smoke", "cpu" or "full".
    seeds: int or None, runs a row; None is the budget's own number.
    only: names of rows, or empty for all.
    output: folder of the table, such as results/resnet_na/cpu.
"""

import pathlib

# name -> module, imported when its table is asked for: each imports what it needs.
TABLES = {
    "resnet_na": "tables.resnet_na",
    "vit": "tables.vit",
    "depth_width": "tables.depth_width",
    "random_labels": "tables.random_labels",
    "cost": "tables.cost",
    "robustness": "tables.robustness",
    "swap": "tables.swap",
    "theory": "tables.theory",
    "presets": "tables.presets",  # no table: publishes the trained headline rows
}


def folder_of(table, budget):
    """Returns the folder of a table, by name, unless `--output` names another."""
    root = pathlib.Path(__file__).resolve().parent.parent
    kept = "runs/smoke" if budget == "smoke" else "results"
    return root / kept / table / budget
