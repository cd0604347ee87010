"""docs/norms.md: the layer is the norm that other models define."""

import pathlib
import re

import numpy as np
import pytest

import lng_keras
from tests.lng_keras.gradients import to_numpy

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "norms.md"
HEADS, SIZE = 4, 6


def layer_of(model):
    """Built by the code in the last column of the page's table."""
    (row,) = (r for r in PAGE.read_text().splitlines() if r.startswith(f"| {model}"))
    code = re.findall(r"`(GroupLayerNormalization\(.*?\))`", row)[0]
    names = {"heads": HEADS, "groups": HEADS, **vars(lng_keras)}
    return eval(code, names)


def by_head(x, centred):
    """Each head of `(b, n, heads, size)` by itself, in float64."""
    x = x - x.mean(-1, keepdims=True) if centred else x
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize(
    ("model", "centred", "weights"),
    [
        ("RetNet", False, None),
        ("xLSTM", True, HEADS * SIZE),
        ("Mamba-2", False, HEADS * SIZE),
        ("differential attention", False, SIZE),
    ],
)
def test_is_the_norm_of(model, centred, weights):
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 2.0, size=(2, 3, HEADS, SIZE))
    layer = layer_of(model)
    given = x if weights == SIZE else x.reshape(2, 3, -1)
    layer.build(given.shape)
    assert [w.shape for w in layer.weights] == ([(weights,)] if weights else [])
    wanted = by_head(x, centred).reshape(given.shape)
    if weights:
        gamma = rng.normal(size=weights)
        layer.gamma.assign(gamma)
        wanted = wanted * gamma
    found = to_numpy(layer(given.astype("float32")))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_example_of_the_page_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    assert names["gated_after"].shape == names["gated_before"].shape == (4, 10, 64)
    first, second = (to_numpy(names[f"gated_{when}"]) for when in ("after", "before"))
    assert not np.allclose(first, second)
