"""Every test runs on every backend, but for a marker that says why it need not."""

import pytest

BACKENDS = ("tensorflow", "jax", "torch")
EXCUSED = "excused: "  # before the reason, among all that is skipped
MARKERS = (
    "only(*backends, reason): what it claims is said of these backends alone",
    "once(reason): touches no backend, so that the first one is enough",
)


def excuse(markers, backend):
    """Returns why a test with these markers is not run on `backend`, or None.

    Raises:
        pytest.UsageError: for a marker that gives no reason or no such backend.
    """
    for marker in markers:
        if marker.name not in ("only", "once"):
            continue
        backends = marker.args if marker.name == "only" else BACKENDS[:1]
        reason = marker.kwargs.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            raise pytest.UsageError(f"{marker} gives no reason")
        known = backends and set(backends) < set(BACKENDS)
        if not known or set(marker.kwargs) != {"reason"}:
            raise pytest.UsageError(f"{marker} names no part of {BACKENDS}")
        if marker.name == "once" and marker.args:
            raise pytest.UsageError(f"{marker} takes a reason alone")
        if backend not in backends:
            return reason
    return None
