"""The three questions of the report's first screen, answered from what was measured.

Each answer is a dict: `question`, `short` (the answer in a few words), `table` (`head`
and `rows`, or None) and `note` (what it rests on).
"""

from typing import Any

from lng_keras.adopt import verdict
from lng_keras.adopt.cost import CostTable
from lng_keras.adopt.trainings import AS_IS


def compatibility(swaps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Whether the model's normalizations can be replaced.

    Args:
        swaps: dict, name of a candidate -> `SwapReport.to_dict()`.
    """
    rows = max(swaps.values(), key=lambda swap: len(_replaced(swap)))["rows"]
    replaced = _replaced({"rows": rows})
    kinds = ", ".join(sorted({row["before"].split("(")[0] for row in replaced}))
    whole = len(replaced) == len(rows)
    short = f"Yes, all {len(rows)}" if whole else f"{len(replaced)} of {len(rows)}"
    if not replaced:
        short = f"No, none of {len(rows)}"
    note = f"{len(replaced)} of {len(rows)} normalizations ({kinds}) can be replaced. "
    note += "All other weights are carried over bit for bit."
    if any(name.startswith("moving") for row in rows for name in row["lost"]):
        note += (
            " BatchNormalization's running statistics have no place in LN-G, so the "
            "model needs training after the swap."
        )
    other = [name for row in rows for name in row["lost"] if name[:6] != "moving"]
    if other:
        note += f" Not carried: {', '.join(sorted(set(other)))}."
    adapted = {size: _adapted(swap) for size, swap in swaps.items()}
    if any(adapted.values()):
        counts = [f"{n} with {named(name)}" for name, n in adapted.items() if n]
        note += f" Layers whose channels a size does not divide: {', '.join(counts)}; "
        note += "they get the nearest divisor."
    return _answer("Is it compatible?", short, None, note)


def _replaced(swap):
    return [row for row in swap["rows"] if row["status"] == "replaced"]


def _adapted(swap):
    return sum(bool(row["reason"]) for row in _replaced(swap))


def named(name: str) -> str:
    """A candidate in a table's cell: "size 8", or what was searched as it is called."""
    return f"size {name}" if name.isdigit() else name


def cost_name(name: str) -> str:
    """What the cost table calls a candidate."""
    return f"LN-G {name}" if name.isdigit() else name


def candidate_of(cost_name: str) -> str:
    """The candidate that a row of the cost table is of."""
    name = cost_name.removesuffix(", int8")
    size = name.removeprefix("LN-G ")
    return size if size.isdigit() else name


def accuracy(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What each group size does to accuracy.

    Args:
        found: of `verdict.differences`.
    """
    sizes = {n: f for n, f in found.items() if n != AS_IS}
    best = max(sizes, key=lambda n: sizes[n]["difference"])
    short = f"{capital(named(best))}: {verdict.points(sizes[best])}"
    if not sizes[best]["visible"]:
        short += ", not visible"
    rows = [[AS_IS, f"{100 * found[AS_IS]['accuracy']:.1f} %", "", ""]]
    for name, f in sizes.items():
        change = verdict.points(f).removesuffix(" points")
        seen = "visible" if f["visible"] else "not visible"
        rows.append([name, f"{100 * f['accuracy']:.1f} %", change, seen])
    which = "group size" if best.isdigit() else "norms"
    head = ["size" if best.isdigit() else "norms", "accuracy", "points", ""]
    note = "Validation accuracy after the same training. ± is a standard error."
    question = f"Which {which}, and what does it gain?"
    return _answer(question, short, {"head": head, "rows": rows}, note)


def capital(text: str) -> str:
    """A text with its first letter large."""
    return text[:1].upper() + text[1:]


def cost(table: CostTable) -> dict[str, Any]:
    """What inference costs.

    Args:
        table: `CostTable`.
    """
    ratios = latency_ratios(table)
    base, *others = _plain(table)
    fastest = _fastest(table)
    first = "size" if all(name.isdigit() for name in ratios) else "norms"
    head = [first, *(f"batch {batch}" for batch in fastest)]
    rows = [[AS_IS, *(f"{e['median_ms']:.3g} ms" for e in fastest.values())]]
    rows += [[name, *texts.values()] for name, texts in ratios.items()]
    memory = base["activation_bytes"]
    if memory:
        head.append("memory")
        rows[0].append(f"{memory / 1e6:.3g} MB")
        for row, other in zip(rows[1:], others, strict=True):
            row.append(f"x{other['activation_bytes'] / memory:.2f}")
    modes = sorted({entry["mode"] for entry in fastest.values()})
    note = f"Latency ({', '.join(modes)}) of a whole batch"
    note += ", and peak activations of one example." if memory else "."
    if any("≈" in text for texts in ratios.values() for text in texts.values()):
        note += " ≈: the quartiles overlap, no difference is visible."
    change = others[-1]["parameters"] - base["parameters"]
    note += f" Parameters: {change:+,}." if change else " Parameters: the same number."
    if table.busy():
        note += " The machine was busy: do not trust these times."
    short = _range([text for texts in ratios.values() for text in texts.values()])
    answer = {"head": head, "rows": rows}
    return _answer("What does it cost at inference?", short, answer, note)


def _range(texts):
    """The span of some ratios, such as "x0.83 to x2.28 in latency"."""
    if not texts:
        return "Not measured"
    values = sorted(float(text.lstrip("≈x")) for text in texts)
    if values[0] == values[-1]:
        return f"x{values[0]:.2f} in latency"
    return f"x{values[0]:.2f} to x{values[-1]:.2f} in latency"


def _answer(question, short, table, note):
    return {"question": question, "short": short, "table": table, "note": note}


def latency_ratios(table: CostTable) -> dict[str, dict[int, str]]:
    """Candidate -> {batch: text}: latency over the model's own, in its fastest mode.

    "x1.20", or "≈x1.20" where the quartiles of the two overlap.
    """
    base = _fastest(table)
    ratios: dict[str, dict[int, str]] = {}
    for row in _plain(table)[1:]:
        texts = ratios.setdefault(candidate_of(row["name"]), {})
        for batch, own in base.items():
            entry = _entry(row, batch, own["mode"])
            apart = entry["q25_ms"] > own["q75_ms"] or entry["q75_ms"] < own["q25_ms"]
            ratio = entry["median_ms"] / own["median_ms"]
            texts[batch] = f"{'' if apart else '≈'}x{ratio:.2f}"
    return ratios


def front(
    found: dict[str, dict[str, Any]], table: CostTable
) -> tuple[dict[str, tuple[float, float]], int]:
    """Accuracy and latency of each candidate, and at which batch, the largest.

    Args:
        found: of `verdict.differences`.
    """
    batch, own = max(_fastest(table).items())
    points = {}
    for row in _plain(table):
        name = candidate_of(row["name"])
        entry = _entry(row, batch, own["mode"])
        points[name] = found[name]["accuracy"], entry["median_ms"]
    return points, batch


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
