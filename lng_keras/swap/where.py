"""Which normalizations `where` selects: by pattern, by placement or by a function."""

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

from lng_keras.swap.norms import Norm

Where = str | Sequence[str] | Callable[[Norm], Any] | None
PLACEMENTS = ("linear", "residual")  # words for what placement.py tells


def matches(where: Where, norm: Norm) -> bool:
    """Whether `where` selects a norm: None, a word, a pattern, several, a predicate."""
    if where is None:
        return True
    if callable(where):
        return bool(where(norm))
    return any(_matches(pattern, norm) for pattern in _patterns(where))


def _matches(pattern, norm):
    if pattern in PLACEMENTS:
        return norm.placement is not None and getattr(norm.placement, pattern)
    return any(
        fnmatch.fnmatchcase(name, pattern) for name in (norm.path, norm.layer.name)
    )


def _patterns(where):
    return (where,) if isinstance(where, str) else tuple(where)


def check(where: Where, norms: Sequence[Norm], problem: str) -> None:
    """Refuses a pattern or word that selects none of the norms.

    Args:
        problem: str, why some placements cannot be told, or "".

    Raises:
        ValueError: in one line, with the names there are.
    """
    if where is None or callable(where):
        return
    for pattern in _patterns(where):
        if any(_matches(pattern, norm) for norm in norms):
            continue
        placed = [norm.placement for norm in norms if norm.placement]
        if pattern in PLACEMENTS and len(placed) < len(norms) and problem:
            raise ValueError(
                f"`where={pattern!r}` cannot be told of this model: {problem}. Name "
                f"its normalizations instead: {_names(norms)}."
            )
        if pattern in PLACEMENTS:
            follow = sorted({str(placement) for placement in placed})
            raise ValueError(
                f"No normalization is in {pattern} position. What follows them: "
                f"{'; '.join(follow)}."
            )
        raise ValueError(
            f"`where={pattern!r}` matches no normalization. There are: {_names(norms)}."
        )


def _names(norms, most=12):
    names = [norm.path for norm in norms]
    left = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + left
