"""Claims about `lng_keras.cost`."""

import csv
import io
import json
import time

import keras
import numpy as np
import pytest

from lng_keras._base import machine, timing
from lng_keras.adopt import cost
from lng_keras.adopt.cost import analysis, latency

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def small():
    x = keras.Input((4, 4, 8), name="pixels")
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(16, 1)(x))
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))


@pytest.fixture(scope="module")
def table():
    return cost.compare(
        small(),
        group_sizes=(4, 8),
        batch_sizes=(1, 3),
        repeats=5,
        int8=True,
        evaluate=lambda model: 0.5,
    )


def test_rows_are_the_model_and_its_candidates(table):
    names = [row["name"] for row in table.rows]
    plain = ["as it is", "LN-G 4", "LN-G 8"]
    assert names == plain + [f"{name}, int8" for name in plain]
    # 144 + 2 * 16 of BatchNormalization's running statistics + affine + Dense.
    assert table.rows[0]["parameters"] == 8 * 16 + 16 + 4 * 16 + 256 * 2 + 2
    assert table.rows[1]["parameters"] == table.rows[0]["parameters"] - 2 * 16
    assert table.rows[0]["weight_bytes"] == 4 * table.rows[0]["parameters"]
    assert table.rows[3]["weight_bytes"] < table.rows[0]["weight_bytes"]
    assert table.rows[4]["accuracy"] == 0.5


def test_latency_has_both_batches_modes_and_a_spread(table):
    for row in table.rows:
        kinds = {(entry["batch"], entry["mode"]) for entry in row["latency"]}
        assert len(kinds) == 2 * len(latency.modes())
        for entry in row["latency"]:
            assert 0 < entry["q25_ms"] <= entry["median_ms"] <= entry["q75_ms"]
            assert entry["repeats"] >= 5


def test_layers_are_measured_by_themselves(table):
    assert [layer["path"] for layer in table.rows[0]["layers"]] == ["norm"]
    assert table.rows[1]["layers"][0]["class"] == "GroupLayerNormalization"
    assert table.rows[1]["layers"][0]["parameters"] == 32
    lines = table.layer_text().splitlines()
    assert lines[0].split()[:4] == ["path", "model", "class", "parameters"]
    assert len(lines) == 1 + len(table.rows)
    assert all(line.startswith("norm ") for line in lines[1:])
    assert (
        cost.CostTable.from_dict(
            {**table.to_dict(), "rows": [dict(table.rows[0], layers=[])]}
        ).layer_text()
        == ""
    )
    every = cost.measure({"": small()}, batch_sizes=(1,), repeats=5, per_layer="all")
    kinds = [layer["class"] for layer in every.rows[0]["layers"]]
    assert {"Conv2D", "BatchNormalization", "Dense"} <= set(kinds)


class Gated(layers.Layer):
    """Two inputs, one shape given to `build`."""

    def build(self, shape):
        self.dense = layers.Dense(shape[-1])
        self.dense.build(shape)

    def call(self, x, gate):
        return self.dense(x) * gate


class Scaled(Gated):
    """A second input that the layer can do without."""

    def call(self, x, gate=1.0):
        return super().call(x, gate)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.gated = Gated()
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(self.gated(x, x))


def test_a_layer_of_several_inputs_has_parameters_only():
    x = keras.Input((3, 8))
    y = layers.MultiHeadAttention(2, 4)(x, x)
    y = Scaled()(Gated()(y, x), gate=x)
    graph = keras.Model(x, layers.Dense(2)(y))
    subclassed = Subclassed()
    subclassed(np.ones((1, 3, 8), "float32"))
    for model, several in (
        (graph, ["MultiHeadAttention", "Gated", "Scaled"]),
        (subclassed, ["Gated"]),
    ):
        table = cost.measure({"": model}, (1,), repeats=5, per_layer="all")
        rows = table.rows[0]["layers"]
        alone = [row["class"] for row in rows if row["parameters"] and row["latency"]]
        assert alone == ["Dense"]
        rest = [row for row in rows if row["parameters"] and not row["latency"]]
        assert [row["class"] for row in rest] == several
        assert all(row["flops"] is None for row in rest)


def test_text_csv_json_and_picture_say_the_same(table, tmp_path):
    text = str(table)
    assert keras.config.backend() in text
    assert "threads" in text
    assert "median (quartiles)" in text
    assert analysis.sources()["flops"] in text
    assert "LN-G 4" in table._repr_html_()
    lines = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(lines) == 2 * len(table.rows)
    assert int(lines[0]["parameters"]) == table.rows[0]["parameters"]
    again = cost.CostTable.from_dict(json.loads(table.to_json()))
    assert str(again) == text
    pytest.importorskip("matplotlib")
    table.picture().savefig(tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 5000


def test_the_weights_of_a_layer_are_counted_as_they_are_stored():
    x = keras.Input((8,))
    model = keras.Model(x, layers.LayerNormalization(dtype="float16")(x))
    table = cost.measure({"half": model}, batch_sizes=())
    model_line, layer_line = csv.DictReader(io.StringIO(table.to_csv()))
    assert float(layer_line["weight MB"]) == 2 * 16 / 1e6
    assert layer_line["weight MB"] == model_line["weight MB"]


def test_flops_of_a_matrix_product_are_known():
    x = keras.Input((8,))
    model = keras.Model(x, layers.Dense(16, use_bias=False)(x))
    result = analysis.analyze(model, np.ones((4, 8), "float32"))
    assert result.flops == 2 * 4 * 8 * 16


def test_peak_memory_counts_what_lives_at_once():
    x = keras.Input((1000,))
    # x + 1 is still needed when its double exists, then all but the sum is free.
    y = x + 1.0
    model = keras.Model(x, keras.ops.sum(y * 2.0 + y, axis=-1, keepdims=True))
    peak = analysis.analyze(model, np.ones((1, 1000), "float32")).activation_bytes
    if keras.config.backend() == "jax":
        assert 0 < peak <= 12_000  # XLA fuses it
    else:
        assert 12_000 <= peak <= 12_100


def test_timing_takes_turns_and_reports_what_was_slow():
    calls = []

    def work(name, seconds):
        calls.append(name)
        time.sleep(seconds)

    timed = latency.time_in_turns(
        {"a": lambda: work("a", 0.001), "b": lambda: work("b", 0.02)}, repeats=6
    )
    warm = 2 * timing.WARM_UP
    assert calls[warm:] == ["a", "b"] * 6
    assert timed["b"]["median_ms"] > 19 > timed["a"]["median_ms"]
    assert timed["a"]["repeats"] == 6


def test_other_programs_are_noticed(table, monkeypatch):
    # Wall time, CPU time of all programs, and of this one: 2 s, 3 s and 1 s.
    moments = iter([(0, 10, 1), (2, 13, 2)])
    monkeypatch.setattr(machine.Others, "_now", lambda self: next(moments))
    assert machine.Others().cpus() == 1.0
    monkeypatch.setattr(machine.Others, "_now", lambda self: None)
    assert machine.Others().cpus() is None  # not Linux
    for other, busy in ((None, False), (0.1, False), (1.0, True)):
        environment = {**table.environment, "other_cpus": other, "threads": 2}
        found = cost.CostTable(table.rows, environment, table.sources)
        assert found.busy() == busy
        assert ("busy (other programs used" in found.footer()) == busy


def test_what_cannot_be_measured_is_refused():
    x = keras.Input((None, 8))
    with pytest.raises(ValueError, match="unknown sizes"):
        cost.compare(keras.Model(x, layers.LayerNormalization()(x)), batch_sizes=(1,))
    with pytest.raises(ValueError, match="`per_layer` must be"):
        cost.compare(small(), per_layer="some")
    y = keras.Input((8,))
    without = keras.Model(y, layers.Dense(2)(y))
    with pytest.raises(ValueError, match="No normalization"):
        cost.compare(without)
