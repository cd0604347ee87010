"""Publishes the best run of each headline row as a preset of the zoo.

    python reproduce.py presets --budget=cpu

Takes what is trained; a row without a finished run is left out and named.
"""

import pathlib

from experiments.machinery import files, render, runs, statistics, training_table
from experiments.machinery.runs import folder_of
from experiments.tables import resnet_na, vit
from zoo.data.cifar import CLASS_NAMES
from zoo.runs import preset_store

# row of a table -> the preset's name; DEPTH is that of the budget's network.
HEADLINES = (
    (
        resnet_na.TABLE,
        {
            "ln": "resnetDEPTH_na_ln_cifar10",
            "gn": "resnetDEPTH_na_gn_cifar10",
            "lng_8": "resnetDEPTH_na_lng_cifar10",
            "lng_position_8": "resnetDEPTH_na_lng_position_cifar10",
            "relu_bn": "resnetDEPTH_bn_cifar10",
        },
    ),
    (vit.TABLE, {"ln": "vit_ln_cifar10", "lng_8": "vit_lng_cifar10"}),
)
# Where reproduce.py lets `run` write, by budget.
OUTPUT = {"cpu": preset_store.FOLDER, "full": preset_store.FOLDER}


def run(budget, seeds, only, output):
    """See experiments/catalog.py. `only` names presets; `seeds` is not used."""
    output = pathlib.Path(output)
    lines = ["| preset | test accuracy | parameters | bytes | SHA-256 |"]
    lines.append("|---|---|---|---|---|")
    missing = []
    for name, (table, schedule, row) in _selected(budget, only).items():
        source = folder_of(table.name, budget)
        records = training_table.read_all(table, schedule, source)
        if row.name not in records:
            missing.append(name)
            continue
        card = publish(name, table, row, records[row.name], schedule, output)
        lines.append(
            f"| {name} | {card['test_accuracy']:.4f} | {card['parameters']:,} | "
            f"{card['bytes']:,} | {card['sha256'][:16]}... |"
        )
    if missing:
        lines += ["", f"Not trained yet: {', '.join(missing)}."]
    return "\n".join(lines)


def _selected(budget, only):
    """Returns dict preset name -> (table, schedule, row), of those in `only` or all."""
    found = {}
    for table, rows in HEADLINES:
        schedule = training_table.schedule_of(table, budget)
        depth = str(schedule.flags.get("depth", ""))
        for row, name in rows.items():
            found[name.replace("DEPTH", depth)] = table, schedule, table.row(row)
    unknown = [name for name in only if name not in found]
    if unknown:
        raise ValueError(
            f"No preset {unknown[0]!r} is published. Those that are: "
            f"{', '.join(found)}."
        )
    return {name: found[name] for name in only or found}


def publish(name, table, row, records, schedule, output):
    """Writes NAME.keras, NAME.json and NAME.md; returns what NAME.json holds.

    The best of the row's runs by test accuracy is taken, and the card says so.
    """
    finished = {s: r for s, r in records.items() if "diverged" not in r}
    seed = max(finished, key=lambda s: finished[s]["result"]["test_accuracy"])
    record = finished[seed]
    model = runs.work_folder(record["flags"]) / "model.keras"
    path = output / f"{name}.keras"
    if model.exists():
        files.copy(model, path)
    elif not _is_published(name, record, output):
        raise runs.RunFailed(
            f"{name}: {model} is gone; delete "
            f"the record of {row.name} seed {seed} in results/{table.name} and train "
            "it again"
        )
    accuracies = [r["result"]["test_accuracy"] for r in finished.values()]
    card = {
        "sha256": preset_store.checksum(path),
        "bytes": path.stat().st_size,
        "row": f"{table.name}: {row.label}",
        "test_accuracy": record["result"]["test_accuracy"],
        "train_accuracy": record["result"]["train_accuracy"],
        "test_loss": record["result"]["test_loss"],
        "parameters": record["result"]["parameters"],
        "runs": len(finished),
        "mean_test_accuracy": sum(accuracies) / len(accuracies),
        "seed": seed,
        "dataset": record["flags"]["dataset"],
        "data": record["environment"]["data"],
        "classes": list(CLASS_NAMES),
        "command": record["command"],
        "environment": record["environment"],
    }
    files.write(output / f"{name}.md", text(name, card, accuracies, schedule))
    files.write_json(output / f"{name}.json", card)
    return card


def _is_published(name, record, output):
    """Tells whether NAME.keras is the model of this run, whose folder may be gone.

    Raises:
        ValueError: if it should be, and is damaged.
    """
    stored = preset_store.presets(output).get(name)
    if stored is None or stored["command"] != record["command"]:
        return False
    return preset_store.preset_path(name, output).exists()


def text(name, card, accuracies, schedule):
    """Returns the model card as Markdown."""
    environment = card["environment"]
    versions = ", ".join(f"{n} {v}" for n, v in environment["versions"].items())
    test = 100 * card["test_accuracy"]
    row = f"{render.percent(statistics.summarize(accuracies))} % (n = {card['runs']})"
    return f"""# {name}

An image classifier of ten classes, row "{card["row"]}" of the comparison tables.

```python
from zoo.models import registry

# Images (b, 32, 32, 3) in [-1, 1] -> logits (b, 10).
model = zoo.load("{name}")
```

| | |
|---|---|
| test accuracy, last epoch | {test:.2f} % (seed {card["seed"]}) |
| all runs of the row | {row}: this is the best of them by test accuracy |
| train accuracy | {100 * card["train_accuracy"]:.2f} % |
| test loss | {card["test_loss"]:.4f} nats |
| parameters | {card["parameters"]:,} |
| file | {name}.keras, {card["bytes"]:,} bytes |
| SHA-256 | `{card["sha256"]}` |

**Use.** Scale pixels as `pixels / 127.5 - 1`. Classes in order:
{", ".join(card["classes"])}.
`python train.py --evaluate={name} --data_dir=DIR`
gives the test accuracy again, `DIR` being the folder of the data; `--init={name}`
starts a training from these weights.

**Training.** {schedule.text}

```
{card["command"]}
```

{environment["backend"]} on {environment["processor"]}, cores: {environment["cores"]};
Python {environment["python"]}, {versions}; data SHA-256
`{card["data"]["sha256"]}`.

**Limits.** A short schedule made for comparing normalizations, not the best accuracy of
this architecture. It has seen 32 x 32 photographs of ten classes and nothing else; it
always answers with one of the ten. How it bears shifted images is in the table
`robustness`.

**Licence.** The weights are Apache-2.0 as the repository. CIFAR-10 carries no explicit
licence; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images,
University of Toronto, 2009.
"""
