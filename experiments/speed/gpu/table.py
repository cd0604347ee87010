"""The page: what is right, how fast, and whether the bars are reached."""

import math

from experiments.machinery import files
from experiments.speed.gpu import cases, records

NAME = "table.md"
OF_THE_COPY = 0.92  # at the tokens, every pass and group size


def write(folder, plan, problems=()):
    """Writes table.md of what there is so far.

    Args:
        problems: lines, of what kept a framework from its end.
    """
    times = records.read(folder, records.TIMES)
    lines = ["# Grouped normalization on a GPU", ""]
    if plan.rehearsal:
        lines += ["A rehearsal on a CPU: its times say nothing.", ""]
    lines += [f"- {line}" for line in _environment(folder)]
    lines += [f"- **{problem}**" for problem in problems]
    lines += ["", "## Right", "", *_checks(folder), "", "## Bars", "", *_bars(times)]
    lines += ["", "## Times", "", _HOW, "", *_times(times)]
    lines += ["", "## Not measured", "", *_missing(plan, times)]
    files.write(folder / NAME, "\n".join(lines) + "\n")


_HOW = (
    "Microseconds, median (quartiles); GB/s of the least bytes: each of x, dy, y and "
    "dx once; the share of a copy that moves the same bytes. torch: CUDA events, the "
    "cache emptied before each call; a gradient's forward pass is not in its time. "
    "JAX: calls in a row, the last awaited, inputs taking turns; a gradient computes "
    "again what it needs."
)


def wrong(folder):
    """Returns what of ours is not right, a line each."""
    found = [
        f"{r['framework']} {r['form']}, {r['dtype']}, groups of {r['size']}, offset "
        f"{r['offset']}, {r['pass']}: {r['verdict']} {r['error']}"
        for r in records.read(folder, records.CHECKS)
        if r["verdict"] != "right"
    ]
    return found + [
        f"{r['framework']} {r['where']}, {r['dtype']}, groups of {r['size']}, "
        f"{r['pass']}: {r['note'] or 'wrong ' + r['error']}"
        for r in records.read(folder, records.TIMES)
        if r["name"] == cases.OURS and not _is_right(r)
    ]


def _is_right(row):
    return not row["note"] and float(row["error"]) <= cases.BOUNDS[row["dtype"]]


def _environment(folder):
    for framework in cases.NAMES:
        path = folder / records.ENVIRONMENT.format(framework)
        if path.exists():
            yield f"{framework}: `{' '.join(path.read_text().split())}`"


def _checks(folder):
    rows = records.read(folder, records.CHECKS)
    yield "| framework | form | dtype | pass | right | largest error | bound |"
    yield "|---|---|---|---|---|---|---|"
    for key in dict.fromkeys(map(_kind, rows)):
        here = [r for r in rows if _kind(r) == key]
        right = sum(r["verdict"] == "right" for r in here)
        # One without an error is the worst.
        worst = max((float(r["error"] or "nan") for r in here), key=_nan_last)
        yield f"| {' | '.join(key)} | {right} of {len(here)} | {worst:.2g} | " + (
            f"{here[0]['bound']} |"
        )
    yield ""
    yield from [f"- {line}" for line in wrong(folder)] or ["Nothing is wrong."]


def _nan_last(value):
    return math.inf if math.isnan(value) else value


def _kind(row):
    return row["framework"], row["form"], row["dtype"], row["pass"]


def _bars(times):
    measured = [r for r in times if r["microseconds"]]
    for framework in cases.NAMES:
        ours = [
            r
            for r in measured
            if (r["framework"], r["name"]) == (framework, cases.OURS)
        ]
        tokens = [r for r in ours if r["where"] == "tokens"]
        low = [r for r in tokens if float(r["share_of_copy"]) < OF_THE_COPY]
        yield _verdict(
            f"{framework}: at least {OF_THE_COPY:.0%} of the copy on tokens",
            len(tokens),
            [f"{_case(r)}: {float(r['share_of_copy']):.0%}" for r in low],
        )
        slower = [line for r in ours if (line := _slower(r, measured))]
        yield _verdict(
            f"{framework}: never slower than the fastest peer", len(ours), slower
        )


def _verdict(bar, count, missed):
    if not count:
        return f"- {bar}: **not measured**."
    if not missed:
        return f"- {bar}: **reached** in all {count} cases."
    lines = "".join(f"\n  - {line}" for line in missed)
    return f"- {bar}: **missed** in {len(missed)} of {count} cases:{lines}"


def _slower(row, measured):
    """Says how much slower a row of ours is than the fastest peer on either framework.

    None where the quartiles overlap.
    """
    peers = [
        r
        for r in measured
        if _case(r) == _case(row) and r["name"] not in (cases.OURS, "copy")
    ]
    if not peers:
        return None
    fastest = min(peers, key=lambda r: float(r["microseconds"]))
    if float(row["low"]) <= float(fastest["high"]):
        return None
    ratio = float(row["microseconds"]) / float(fastest["microseconds"])
    peer = f"{fastest['name']} ({fastest['framework']})"
    return f"{_case(row)}: {ratio:.2f} times {peer}"


def _case(row):
    return f"{row['where']}, {row['dtype']}, groups of {row['size']}, {row['pass']}"


def _times(times):
    yield "| case | framework | name | µs | GB/s | of the copy | error |"
    yield "|---|---|---|---|---|---|---|"
    for r in sorted(times, key=_order(times)):
        head = f"| {_case(r)} | {r['framework']} | {r['name']} |"
        if r["note"]:
            yield f"{head} {r['note'].replace('|', '/')} | | | |"
            continue
        spread = f"{r['microseconds']} ({r['low']} to {r['high']})"
        share = f"{float(r['share_of_copy']):.0%}"
        error = f"{float(r['error']):.1g}" if r["error"] else ""
        yield f"{head} {spread} | {r['gb_per_s']} | {share} | {error} |"


def _order(times):
    """The cases as they were measured, those of both frameworks beside each other."""
    place = {case: i for i, case in enumerate(dict.fromkeys(map(_case, times)))}
    return lambda row: place[_case(row)]


def _missing(plan, times):
    columns = ("framework", "where", "dtype", "size", "pass", "name")
    measured = {tuple(r[c] for c in columns) for r in times}
    found = []
    for framework in cases.NAMES:
        for group in cases.groups(plan, framework):
            left = [k for k in group.keys() if (framework, *k) not in measured]
            if left:
                whole = len(left) == len(group.names) * len(cases.PASSES)
                names = group.names if whole else [f"{k[4]} {k[3]}" for k in left]
                where = f"{group.where}, {group.dtype}, groups of {group.size}"
                found.append(f"- {framework}, {where}: {'; '.join(names)}")
    return found or ["Everything was."]
