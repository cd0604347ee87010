"""The recommendation where placements were searched: which norms, of how many."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from lng_keras.adopt import verdict
from lng_keras.adopt.verdict import Verdict


def recommendation(
    said: Verdict,
    chosen: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
    ratios: Mapping[str, Mapping[int, str]],
) -> Verdict:
    """A verdict in the words of placements.

    Args:
        said: of `verdict.recommend`.
        chosen: dict, name -> `placement`, `form`, `group_size`, `replaced` and `of`.
        found: of `verdict.differences`.
        ratios: of `answers.latency_ratios`.
    """
    one = chosen[said.best]
    what = "{replaced} of {of}, groups of {group_size} {form}".format(**one)
    gain = f"{verdict.points(found[said.best])}{_latency(ratios.get(said.best, {}))}"
    if said.kind == verdict.TOO_EARLY:
        return said
    if said.kind == verdict.ADOPT:
        label = f"Replace {what}"
        text = f"Replace these {what} ({one['placement']}): {gain}."
        return dataclasses.replace(said, label=label, headline=text)
    seen = "visibly worse" if said.kind == verdict.REJECT else "not visible"
    text = (
        f"The closest call replaces {what} ({one['placement']}): {gain}, {seen}. "
        f"{len(chosen)} candidates were compared with the model as it is."
    )
    return dataclasses.replace(said, label="Leave it as it is", headline=text)


def _latency(texts):
    """Latency at the largest batch, such as " at +4 % latency (batch 32)"."""
    if not texts:
        return ""
    batch, text = max(texts.items())
    percent = 100 * (float(text.lstrip("≈x")) - 1)
    about = "≈" if text.startswith("≈") else ""
    return f" at {about}{percent:+.0f} % latency (batch {batch})"
