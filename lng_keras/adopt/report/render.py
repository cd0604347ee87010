"""Writes the report: one page of HTML, the same in Markdown, and the data in JSON."""

import dataclasses
import os
from typing import Any

import numpy as np

from lng_keras._base.extras import needed
from lng_keras.adopt import verdict
from lng_keras.adopt.cost import CostTable
from lng_keras.adopt.inputs import Data
from lng_keras.adopt.report import answers, pictures, placement, tables
from lng_keras.version import __version__


def content(
    model_name: str,
    swaps: dict[str, dict[str, Any]],
    results: dict[str, list[dict[str, Any]]],
    table: CostTable,
    profile: dict[str, list[list[Any]]] | None,
    data: Data,
    settings: dict[str, Any],
    chosen: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything the page shows, as plain data; see `poc` for the arguments.

    Args:
        chosen: dict, name of a candidate -> where and what it replaces, or None where
            the candidates are group sizes.
    """
    ratios = answers.latency_ratios(table)
    chance = float(np.bincount(data.y_val).max() / len(data.y_val))
    found = verdict.differences(results)
    said = verdict.recommend(results, ratios, chance)
    if chosen:
        said = placement.recommendation(said, chosen, found, ratios)
    best = swaps[said.best]
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
        **dataclasses.asdict(said),
        "by": "candidate" if chosen else "group size",
        "answers": [
            answers.compatibility(swaps),
            answers.accuracy(found),
            answers.cost(table),
        ],
        "accuracy_table": tables.accuracy(found, results),
        "protocol": _protocol(data, settings, results),
        "cost_table": {
            "head": ["model", *table.columns()],
            "rows": [list(cells) for cells in table.cells()],
            "footer": table.footer(),
        },
        "layer_table": {
            "head": table.layer_columns(),
            "rows": list(table.layer_cells()),
        },
        "swap_summary": f"{answers.capital(answers.named(said.best))}: "
        f"{best['summary']}",
        "swap_table": tables.swapped(swaps),
        "environment": _environment(table.environment),
        "pictures": {
            "accuracy": pictures.accuracy(results, chance),
            "network": pictures.network(best["rows"]),
            "front": pictures.front(*answers.front(found, table)) if chosen else None,
            "curves": pictures.curves(results),
            "costs": pictures.costs(table),
            "profile": pictures.profile(profile) if profile else None,
        },
        "profile_note": note,
    }


def html(report: dict[str, Any]) -> str:
    """The page, self-contained."""
    jinja2 = needed("jinja2", "report")
    path = os.path.join(os.path.dirname(__file__), "page.html.jinja")
    with open(path, encoding="utf-8") as file:
        template = file.read()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(r=report)


def markdown(report: dict[str, Any]) -> str:
    """The same without pictures."""
    parts = [
        f"# LN-G for `{report['model_name']}`: should you adopt it?",
        f"**{report['label']}.** {report['headline']}",
        f"How sure: {report['sureness']}",
    ]
    for answer in report["answers"]:
        parts.append(f"**{answer['question']}** {answer['short']}.")
        if answer["table"]:
            parts.append(_table(**answer["table"]))
        parts.append(answer["note"])
    parts += [
        f"## Accuracy by {report['by']}",
        _table(**report["accuracy_table"]),
        report["protocol"],
        "## Latency and memory",
        _table(report["cost_table"]["head"], report["cost_table"]["rows"]),
        report["cost_table"]["footer"],
        "## Swapped layers",
        f"{report['swap_summary']}.",
        _table(**report["swap_table"]),
        report["environment"],
    ]
    return "\n\n".join(parts) + "\n"


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(c).replace("|", "\\|") for c in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def _protocol(data, settings, results):
    text = (
        f"{data.description}: {len(data.x):,} training and {len(data.x_val):,} "
        "validation examples. Every model starts from the same weights and has the "
        f"same budget: {settings['epochs']} epochs, batches of "
        f"{settings['batch_size']}, Adam at {settings['learning_rate']:g}, no "
        f"augmentation, the same seeds and order, pixels as {settings['pixels']}. "
        "Accuracy is after the last epoch. ± is a standard error."
    )
    settled = [run["momentum"] for runs in results.values() for run in runs]
    if any(settled):
        before, after = next(filter(None, settled))
        text += (
            f" The momentum of BatchNormalization's running statistics was {after:.3g} "
            f"instead of {before:g}, so that they settle within an epoch."
        )
    return text


def _environment(e):
    return (
        f"Keras {e['keras']} on {e['backend']} {e['backend_version']}, {e['device']}, "
        f"{e['threads']} threads, Python {e['python']}."
    )
