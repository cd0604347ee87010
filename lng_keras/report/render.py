"""Writes the report: one page of HTML, the same in Markdown, and the data in JSON."""

import os

import numpy as np

from lng_keras.extras import needed
from lng_keras.report import pictures, verdict
from lng_keras.report.experiment import AS_IS
from lng_keras.version import __version__


def content(model_name, swap, found, results, table, profile, data, settings):
    """Everything the page shows, as plain data; see `poc` for the arguments."""
    ratios = latency_ratios(table)
    chance = float(np.bincount(data.y_val).max() / len(data.y_val))
    headline, sureness = verdict.recommend(found, ratios, chance, len(data.y_val))
    note = ""
    if profile:
        note = (
            "Each point: a normalization's inputs on validation images, in the model "
            "as it is; the median over positions of H(LN-G)/H(LN), both in closed "
            "form. 1 is as nonlinear as LayerNormalization over all channels."
        )
    return {
        "version": __version__,
        "model_name": model_name,
        "headline": headline,
        "sureness": sureness,
        "answers": {
            "compatibility": _compatibility(swap),
            "accuracy": _accuracy(found),
            "cost": _cost(table, ratios),
        },
        "accuracy_table": _accuracy_table(found, results),
        "protocol": _protocol(data, settings),
        "cost_table": {
            "head": ["model", *table.columns()],
            "rows": [list(cells) for cells in table.cells()],
            "footer": table.footer(),
        },
        "layer_table": _layer_table(table),
        "swap": swap,
        "swap_table": [_swap_row(row) for row in swap["rows"]],
        "environment": _environment(table.environment),
        "pictures": {
            "accuracy": pictures.accuracy(found),
            "curves": pictures.curves(results),
            "costs": pictures.costs(table),
            "profile": pictures.profile(profile) if profile else None,
        },
        "profile_note": note,
    }


def html(report):
    """The page, self-contained."""
    jinja2 = needed("jinja2", "report")
    path = os.path.join(os.path.dirname(__file__), "page.html.jinja")
    with open(path, encoding="utf-8") as file:
        template = file.read()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(r=report)


def markdown(report):
    """The same without pictures."""
    answers = report["answers"]
    parts = [
        f"# LN-G for `{report['model_name']}`: should you adopt it?",
        f"**{report['headline']}**",
        f"How sure: {report['sureness']}",
        f"- **Is it compatible?** {answers['compatibility']}\n"
        f"- **What does the group size do to accuracy?** {answers['accuracy']}\n"
        f"- **What does it cost at inference?** {answers['cost']}",
        "## Accuracy by group size",
        _table(**report["accuracy_table"]),
        report["protocol"],
        "## Latency and memory",
        _table(report["cost_table"]["head"], report["cost_table"]["rows"]),
        report["cost_table"]["footer"],
        "## Swapped layers",
        report["swap"]["summary"] + ".",
        _table(_SWAP_HEAD, report["swap_table"]),
        report["environment"],
    ]
    return "\n\n".join(parts) + "\n"


_SWAP_HEAD = ["path", "status", "before", "after", "channels", "notes"]


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(c).replace("|", "\\|") for c in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def latency_ratios(table):
    """Candidate -> {batch: text}: latency over the model's own, in its fastest mode.

    "x1.20", or "≈x1.20" where the quartiles of the two overlap.
    """
    base = _fastest(table)
    ratios = {}
    for row in _plain(table)[1:]:
        texts = ratios.setdefault(row["name"].split()[-1], {})
        for batch, own in base.items():
            entry = _entry(row, batch, own["mode"])
            apart = entry["q25_ms"] > own["q75_ms"] or entry["q75_ms"] < own["q25_ms"]
            ratio = entry["median_ms"] / own["median_ms"]
            texts[batch] = f"{'' if apart else '≈'}x{ratio:.2f}"
    return ratios


def _plain(table):
    return [row for row in table.rows if not row["name"].endswith("int8")]


def _fastest(table):
    """Batch -> the entry of the mode in which the model as it is runs fastest.

    Compiling is not always faster: XLA takes many times as long as TensorFlow's graph
    for depthwise convolutions on a CPU.
    """
    entries = sorted(table.rows[0]["latency"], key=lambda e: -e["median_ms"])
    fastest = {entry["batch"]: entry for entry in entries}
    return dict(sorted(fastest.items()))


def _entry(row, batch, mode):
    return next(e for e in row["latency"] if e["batch"] == batch and e["mode"] == mode)


def _compatibility(swap):
    rows = swap["rows"]
    replaced = [row for row in rows if row["status"] == "replaced"]
    adapted = [row for row in replaced if row["reason"]]
    kinds = sorted({row["before"].split("(")[0] for row in replaced})
    text = (
        f"{'Yes' if len(replaced) == len(rows) else 'In part'}: {len(replaced)} of "
        f"{len(rows)} normalizations ({', '.join(kinds)}) can be replaced, with all "
        "other weights carried over bit for bit."
    )
    lost = sorted({name for row in rows for name in row["lost"]})
    if lost:
        text += f" Not carried: {', '.join(lost)}, so the model needs training."
    if adapted:
        text += f" {len(adapted)} get another group size, as theirs does not divide."
    return text


def _accuracy(found):
    base = found[AS_IS]
    parts = [f"As it is: {100 * base['accuracy']:.1f} %."]
    for name, f in found.items():
        if name != AS_IS:
            seen = "visible" if f["visible"] else "not visible"
            parts.append(f"Size {name}: {verdict.points(f)}, {seen}.")
    return " ".join(parts)


def _cost(table, ratios):
    rows = _plain(table)
    base = rows[0]
    text = []
    for batch, entry in _fastest(table).items():
        sizes = ", ".join(f"size {n}: {r[batch]}" for n, r in ratios.items())
        text.append(
            f"Latency at batch {batch} ({entry['mode']}, {entry['median_ms']:.3g} ms "
            f"as it is): {sizes}."
        )
    if any("≈" in text for texts in ratios.values() for text in texts.values()):
        text.append("≈: the quartiles overlap, no difference is visible.")
    if base["activation_bytes"]:
        peaks = [row["activation_bytes"] / base["activation_bytes"] for row in rows]
        text.append(f"Peak activations: up to x{max(peaks[1:], default=1):.2f}.")
    change = rows[-1]["parameters"] - base["parameters"]
    text.append(
        f"Parameters: {change:+,}." if change else "Parameters: the same number."
    )
    return " ".join(text)


def _accuracy_table(found, results):
    int8 = "int8_accuracy" in next(iter(results.values()))[0]
    head = ["model", "accuracy, %", "std", "difference, points", "visible", "seeds"]
    rows = []
    for name, f in found.items():
        spread = "-" if f["spread"] is None else f"{100 * f['spread']:.1f}"
        row = [pictures.label(name), f"{100 * f['accuracy']:.1f}", spread]
        same = name == AS_IS
        row += ["-" if same else verdict.points(f).removesuffix(" points")]
        row += ["-" if same else ("yes" if f["visible"] else "no"), str(f["seeds"])]
        if int8:
            runs = [run["int8_accuracy"] for run in results[name]]
            row.append(f"{100 * sum(runs) / len(runs):.1f}")
        rows.append(row)
    return {"head": head + (["int8 accuracy, %"] if int8 else []), "rows": rows}


def _protocol(data, settings):
    return (
        f"{data.description}: {len(data.x)} training and {len(data.x_val)} validation "
        f"examples. Every model starts from the same weights and has the same budget: "
        f"{settings['epochs']} epochs, batches of {settings['batch_size']}, Adam at "
        f"{settings['learning_rate']:g}, no augmentation, the same seeds and order, "
        f"pixels as {settings['pixels']}. "
        "Accuracy is after the last epoch. ± is a standard error."
    )


def _layer_table(table):
    head = ["path", "model", "class", "parameters", "kFLOPs"]
    head += [f"ms, batch {e['batch']}, {e['mode']}" for e in table.rows[0]["latency"]]
    rows = []
    for layer in sorted(table.layer_rows(), key=lambda row: row["path"]):
        flops = layer["flops"]
        row = [layer["path"], layer["model"], layer["class"], layer["parameters"]]
        row.append("-" if flops is None else f"{flops / 1e3:.3g}")
        times = [f"{e['median_ms']:.3g}" for e in layer["latency"]]
        rows.append(row + (times or ["-"] * len(table.rows[0]["latency"])))
    return {"head": head, "rows": rows}


def _swap_row(row):
    notes = [row["reason"]] if row["reason"] else []
    notes += [f"{name} not carried: {why}" for name, why in row["lost"].items()]
    channels = "" if row["channels"] is None else str(row["channels"])
    cells = [row["path"], row["status"], row["before"], row["after"], channels]
    return [*cells, "; ".join(notes)]


def _environment(e):
    return (
        f"Keras {e['keras']} on {e['backend']} {e['backend_version']}, {e['device']}, "
        f"{e['threads']} threads, Python {e['python']}."
    )
