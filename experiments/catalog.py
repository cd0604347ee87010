"""What reproduce.py makes, by name; one module each.

Every module has `run(budget, seeds, only, output)`, which does what is not done yet,
writes the table's folder and returns the table as Markdown:

    budget: "smoke", "cpu" or "full".
    seeds: int or None, runs a row; None is the budget's own number.
    only: names of rows, or empty for all.
    output: folder of the table, such as results/resnet_na/cpu.
"""

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
