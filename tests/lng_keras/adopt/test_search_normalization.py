"""Claims about `search_normalization`."""

import keras
import pytest

from lng_keras._base.errors import UsageError
from lng_keras.adopt.search import search_normalization
from lng_keras.adopt.search.normalization import latency_ratios, pruned
from lng_keras.adopt.search.placements import space_of
from lng_keras.swap import find_normalizations
from tests.lng_keras.adopt.test_search import data

pytest.importorskip("keras_tuner")
layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore")  # of KerasTuner


def model(follow="relu", norm=layers.BatchNormalization):
    """Two convolutions and their norms; `follow` comes after the first."""
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 4, 3))
    y = norm(name="first")(layers.Conv2D(8, 1)(x))
    y = layers.Conv2D(8, 1)(layers.Activation(follow)(y))
    y = norm(name="second")(y)
    return keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))


def names(*arguments):
    return [space.name(c) for space in [space_of(*arguments)] for c in space.single]


def test_a_candidate_is_a_placement_a_form_and_a_size():
    assert names(model(), None, None, (4, 8)) == [
        "all, over space, 4",
        "linear, over space, 4",
        "all, by position, 4",
        "linear, by position, 4",
        "all, over space, 8",
        "linear, over space, 8",
        "all, by position, 8",
        "linear, by position, 8",
    ]
    space = space_of(model(), ["linear"], ["over space"], (4,))
    assert space.choices == {"candidate": ["as it is", "linear, over space, 4"]}
    swapped = space.build(space.single[0])
    first, second = (norm for _, norm in find_normalizations(swapped))
    assert type(first.layer) is layers.BatchNormalization
    assert (second.groups, second.axes) == (2, (1, 2, 3))
    assert (space.single[0]["replaced"], space.single[0]["of"]) == (1, 2)
    for _, norm in find_normalizations(space.build(space.as_is)):
        assert type(norm.layer) is layers.BatchNormalization


def test_candidates_that_do_the_same_are_one():
    # Nothing nonlinear follows: linear is all. 16 and 8 are both all channels.
    assert names(model("linear"), None, ["by position"], (4, 8, 16)) == [
        "all, by position, 4",
        "all, by position, 8",
    ]


def test_norms_of_each_position_by_itself_stay_so_unless_asked():
    own = model(norm=layers.LayerNormalization)
    assert {name.split(", ")[1] for name in names(own, None, None, (4,))} == {
        "by position"
    }
    assert "all, over space, 4" in names(own, None, ["over space"], (4,))


def test_placements_are_whatever_where_takes():
    by_name = {"mine": lambda norm: norm.path == "second"}
    for placements in (["sec*"], by_name):
        space = space_of(model(), placements, ["by position"], (4,))
        assert [c["replaced"] for c in space.single] == [1]
    with pytest.raises(UsageError, match="residual position"):
        space_of(model(), ["residual"], None, (4,))
    with pytest.raises(UsageError, match="`forms` must be.*Received: 'space'"):
        space_of(model(), None, ["space"], (4,))
    with pytest.raises(UsageError, match="nothing to search"):
        space_of(model(), {"none": lambda norm: False}, None, (4,))


def test_what_is_too_slow_is_not_trained():
    space = space_of(model(), ["all", "linear"], ["over space"], (4,))
    ratios = latency_ratios(space, batch=2)
    assert list(ratios) == ["as it is", "all, over space, 4", "linear, over space, 4"]
    assert ratios["as it is"] == 1
    assert min(ratios.values()) > 0
    ratios = dict(zip(ratios, (1.0, 1.3, 1.05), strict=True))
    said = []
    left = pruned(space, ratios, 1.1, said.append)
    assert left.choices["candidate"] == ["as it is", "linear, over space, 4"]
    assert list(left.best_of([], 3)) == ["as it is", "linear, over space, 4"]
    assert said == ["above max_latency=1.1, not trained: all, over space, 4 x1.30"]
    with pytest.raises(UsageError, match="fastest takes x1.05"):
        pruned(space, ratios, 1.01)


def test_wrong_arguments_are_refused(tmp_path, monkeypatch):
    def search(subject=None, **arguments):
        arguments = dict(directory=str(tmp_path), **arguments)
        search_normalization(subject or model(), *data(), **arguments)

    for arguments, message in [
        (dict(group_sizes=()), "must be >= 1"),
        (dict(max_latency=0.0), "`max_latency` must be > 0"),
        (dict(subject=lambda size: model()), "must be a keras.Model"),
        (dict(placements=["stage9*"]), "matches no normalization.*first, second"),
    ]:
        with pytest.raises(ValueError, match=message):
            search(**arguments)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner0")
    with pytest.raises(UsageError, match="measured on one machine"):
        search(max_latency=1.1)


@pytest.mark.slow
def test_the_answer_has_the_model_as_it_is_and_continues(tmp_path):
    said = []
    for _ in range(2):
        said.clear()
        result = search_normalization(
            model(),
            *data(),
            group_sizes=(4,),
            max_latency=1000.0,
            max_epochs=2,
            finalists=2,
            batch_sizes=(1,),
            directory=str(tmp_path),
            progress=said.append,
        )
    assert sum("already done" in text for text in said) == 6
    assert "measuring the latency of every candidate" not in said
    assert len(result.rows) == 3
    assert result.rows[0]["name"] == "as it is"
    assert result.rows[0]["swap"]["replaced"] == 0
    assert any(row["pareto"] for row in result.rows)
    assert "over space, 4" in str(result)
    assert all(trial["swap"]["of"] == 2 for trial in result.trials)
