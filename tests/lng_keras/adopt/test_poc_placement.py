"""`poc` where it searches which norms to replace, and how it says what it found."""

import json

import keras
import pytest

from lng_keras._base.errors import UsageError
from lng_keras.adopt import report, verdict
from lng_keras.adopt.arguments import parser
from lng_keras.adopt.report import pictures
from lng_keras.adopt.report.placement import recommendation
from lng_keras.adopt.verdict import Verdict
from tests.lng_keras.adopt.poc import arrays

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def two_norms():
    """ReLU follows the first of two norms, and nothing nonlinear the second."""
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 4, 3))
    y = layers.BatchNormalization(name="first")(layers.Conv2D(8, 1)(x))
    y = layers.Conv2D(8, 1)(layers.ReLU()(y))
    y = layers.BatchNormalization(name="second")(y)
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(y)))


def run(**arguments):
    x, y = arrays()
    data = x[:40], y[:40], x[40:], y[40:]
    small = dict(group_sizes=(4,), epochs=1, seeds=1, batch_sizes=(1,))
    return report.poc(two_norms(), data, **small, **arguments)


def test_the_best_of_the_candidates_is_compared_and_drawn(tmp_path):
    said = []
    result = run(
        placements=["all", "linear"],
        forms=["over space"],
        max_latency=1000.0,
        finalists=1,
        output=str(tmp_path),
        progress=said.append,
    )
    assert "one epoch of each of 2 candidates, for the best 1" in said
    names = ["all, over space, 4", "linear, over space, 4"]
    tried = [t for t in said if t.startswith("[") and "preparing" in t]
    assert [text.split("] ")[1].split(", seed")[0] for text in tried] == [
        "as it is",
        *names,
    ]
    data = json.loads((tmp_path / "report.json").read_text())
    (best,) = data["placements"]
    assert best in names
    assert list(data["results"]) == ["as it is", best]
    assert [row["name"] for row in data["cost"]["rows"]] == ["as it is", best]
    replaced = [r["path"] for r in data["swaps"][best]["rows"] if r["after"]]
    assert len(replaced) == data["placements"][best]["replaced"]
    page = (tmp_path / "report.html").read_text()
    assert "Each normalization from input to output" in page
    assert "Accuracy against latency" in page
    assert "Accuracy by candidate" in (tmp_path / "report.md").read_text()
    assert "followed by" in result.content["swap_table"]["head"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(max_latency=1.1), "`max_latency` has no effect without `placements`"),
        (dict(forms=["over space"]), "`forms` has no effect without `placements`"),
        (dict(placements="auto", where="first"), "`where` does not go with"),
        (dict(placements="auto", over_space=True), "`over_space` does not go with"),
        (dict(placements=["third"]), "matches no normalization.*first, second"),
    ],
)
def test_what_has_no_effect_is_refused_before_the_work(arguments, message, tmp_path):
    said = []
    with pytest.raises(UsageError, match=message):
        run(**arguments, output=str(tmp_path / "never"), progress=said.append)
    assert not said
    assert not (tmp_path / "never").exists()


@pytest.mark.once(reason="words")
def test_the_answer_names_how_many_of_how_many():
    name = "linear, over space, 8"
    one = dict(placement="linear", form="over space", group_size=8, replaced=11, of=34)
    found = {name: {"difference": 0.021, "error": 0.004}}

    def said(kind, ratio="x1.04"):
        plain = Verdict(kind, "label", "headline", "sure", name)
        ratios = {name: {1: "x1.50", 32: ratio}}
        return recommendation(plain, {name: one}, found, ratios)

    adopt = said(verdict.ADOPT)
    assert adopt.label == "Replace 11 of 34, groups of 8 over space"
    assert adopt.headline == (
        "Replace these 11 of 34, groups of 8 over space (linear): +2.1 ± 0.4 points "
        "at +4 % latency (batch 32)."
    )
    assert "at ≈-10 % latency" in said(verdict.ADOPT, "≈x0.90").headline
    for kind, seen in (
        (verdict.REJECT, "visibly worse"),
        (verdict.NO_DIFFERENCE, "not visible"),
    ):
        assert said(kind).label == "Leave it as it is"
        assert seen in said(kind).headline
    assert said(verdict.TOO_EARLY).label == "label"


@pytest.mark.once(reason="draws")
def test_the_picture_shows_what_each_norm_is_and_becomes(monkeypatch):
    pytest.importorskip("matplotlib")
    shown = []

    class Axes:
        def __getattr__(self, name):
            def note(*args, **kwargs):
                shown.extend(a for a in args if isinstance(a, str))

            return note

    class Figure:
        def subplots(self):
            return Axes()

    monkeypatch.setattr(pictures, "both", lambda draw, size: draw(Figure(), str))
    before = "BatchNormalization"
    rows = [
        dict(path="a", status="left out", before=before, after="", follows="relu"),
        dict(
            path="b" * 60,
            status="replaced",
            before=before,
            after="GroupLayerNormalization(group_size=8)",
            follows="Conv2D",
        ),
    ]
    pictures.network(rows)
    assert "BN, then relu" in shown
    assert "BN → LN-G 8, then Conv2D" in shown
    assert [text for text in shown if text.startswith("bb") and "…" in text]


@pytest.mark.once(reason="parses")
def test_placements_on_the_command_line():
    def parsed(*flags):
        arguments = ["poc", "--model=m", "--data=d", *flags]
        return parser().parse_args(arguments)

    assert parsed().placements is None
    assert parsed("--placements=auto").placements == "auto"
    assert parsed("--placements=all,stage2*").placements == ("all", "stage2*")
    assert parsed("--max_latency=1.1").max_latency == 1.1
