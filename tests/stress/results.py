"""What a stress command tried and lost, written down and read back as a table."""

import dataclasses
import json
import pathlib
import time

from tests.stress.runs import ROOT
from zoo.runs import environment, run_folder

FOLDER = ROOT / "results" / "reliability"
BACKENDS = ("tensorflow", "jax", "torch")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a stress command.

    Args:
        tried: int, faults that took place.
        summary: str, lines that say what was done and found.
        lost: list of str, one for each thing that should not have happened.
    """

    tried: int
    summary: str
    lost: list


def write(folder, fault, outcome, seconds):
    """Writes FAULT_BACKEND.json: the outcome, the command, hardware and versions."""
    facts = environment.describe()
    folder.mkdir(parents=True, exist_ok=True)
    kept = ("backend", "processor", "cores", "python", "versions", "git")
    run_folder.write_json(
        folder / f"{fault}_{facts['backend']}.json",
        {
            "fault": fault,
            "tried": outcome.tried,
            "lost": len(outcome.lost),
            "summary": outcome.summary.splitlines(),
            "losses": outcome.lost,
            "command": _command(facts),
            "seconds": round(seconds),
            "finished": time.strftime("%Y-%m-%d"),
            **{name: facts[name] for name in kept},
        },
    )


def _command(facts):
    arguments = [a for a in facts["command"][1:] if not a.startswith("--output")]
    backend = facts["backend"]
    return f"KERAS_BACKEND={backend} python -m tests.stress {' '.join(arguments)}"


def table(folder):
    """Returns a Markdown table of all results: fault by backend, tried and lost."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*_*.json")):
        result = json.loads(path.read_text())
        found[result["fault"], result["backend"]] = result
    lines = [
        f"| fault | {' | '.join(BACKENDS)} | lost |",
        f"|---|{'---|' * len(BACKENDS)}---|",
    ]
    for fault in dict.fromkeys(fault for fault, _ in found):
        row = [found.get((fault, backend)) for backend in BACKENDS]
        cells = [f"{r['tried']:,}" if r else "" for r in row]
        lost = sum(r["lost"] for r in row if r)
        lines.append(f"| `{fault}` | {' | '.join(cells)} | {lost} |")
    return "\n".join(lines)
