"""The table depth_width: its picture."""

import numpy as np
import pytest

from experiments.tables import depth_width

pytestmark = pytest.mark.once(reason="draws numbers of records")


def test_picture_has_mean_and_spread_at_the_parameters():
    rows = {
        "ln_depth8_width8": {0: 0.25, 1: 0.75},
        "ln_depth8_width16": {0: 0.5},  # one run has no spread
        "lng_position_depth20_width8": {0: 0.5, 1: 0.5},
    }
    parameters = dict(zip(rows, (10_000, 40_000, 30_000), strict=True))
    records = {name: {0: {"result": {"parameters": parameters[name]}}} for name in rows}
    [axes] = depth_width.picture(depth_width.TABLE, rows, records).axes
    ln, lng = axes.containers
    assert ln.get_label() == "LN (space and channels), depth 8"
    assert lng.get_label() == "LN-G-Position, 8, depth 20"
    line, _, [bars] = ln.lines
    np.testing.assert_allclose(line.get_xdata(orig=False), (10_000, 40_000))
    np.testing.assert_allclose(line.get_ydata(orig=False), (50, 50))
    spread = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    np.testing.assert_allclose(spread, (100 * np.std([0.25, 0.75], ddof=1), 0))
