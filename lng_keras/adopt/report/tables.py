"""The tables of the report, as a head and rows."""

import re
from typing import Any

from lng_keras.adopt import verdict
from lng_keras.adopt.report import answers
from lng_keras.adopt.trainings import AS_IS, label

Table = dict[str, list[Any]]


def accuracy(
    found: dict[str, dict[str, Any]], results: dict[str, list[dict[str, Any]]]
) -> Table:
    """One row a candidate; see `verdict.differences`."""
    int8 = "int8_accuracy" in next(iter(results.values()))[0]
    head = ["model", "accuracy, %", "std", "difference, points", "visible", "seeds"]
    rows = []
    for name, f in found.items():
        spread = "-" if f["spread"] is None else f"{100 * f['spread']:.1f}"
        row = [label(name), f"{100 * f['accuracy']:.1f}", spread]
        same = name == AS_IS
        row += ["-" if same else verdict.points(f).removesuffix(" points")]
        row += ["-" if same else ("yes" if f["visible"] else "no"), str(f["seeds"])]
        if int8:
            runs = [run["int8_accuracy"] for run in results[name]]
            row.append(f"{100 * sum(runs) / len(runs):.1f}")
        rows.append(row)
    return {"head": head + (["int8 accuracy, %"] if int8 else []), "rows": rows}


def swapped(swaps: dict[str, dict[str, Any]]) -> Table:
    """One row a normalization, one column a candidate."""
    names = [answers.named(name) for name in swaps]
    head = ["path", "channels", "before", *names, "followed by", "notes"]
    rows = []
    for same in zip(*(swap["rows"] for swap in swaps.values()), strict=True):
        first = same[0]
        channels = "" if first["channels"] is None else first["channels"]
        chosen = [size_used(row) or row["after"] or row["status"] for row in same]
        rows.append(
            [
                first["path"],
                channels,
                first["before"],
                *chosen,
                first["follows"],
                _swap_notes(first),
            ]
        )
    return {"head": head, "rows": rows}


def size_used(row: dict[str, Any]) -> int | None:
    """The group size a layer got, not always the one asked for; None if it got none."""
    found = re.search(r"group_size=(\d+)", row["after"])
    return int(found[1]) if found else None


def _swap_notes(row):
    notes = [row["reason"]] if row["reason"] and row["status"] == "kept" else []
    if row["lost"]:
        notes.append(f"not carried: {', '.join(row['lost'])}")
    return "; ".join(notes)
