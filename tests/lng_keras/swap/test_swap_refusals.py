"""What `swap_normalization` refuses or keeps, in one line that says why."""

import keras
import pytest

from lng_keras import PositionalGroupLayerNormalization
from lng_keras.swap import swap_normalization
from tests.lng_keras.small_models import (
    Transformer,
    functional,
    sequential,
    transformer,
)

layers = keras.layers
# Keras' variables and NumPy 2 disagree on the arguments of `__array__`.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


def test_what_cannot_be_swapped_is_refused_in_one_line():
    x = keras.Input((8,))
    plain = keras.Model(x, layers.Dense(2)(x), name="plain")
    for arguments, message in [
        ((plain,), "No normalization layer found in model 'plain'"),
        ((Transformer(),), "must be built"),
        ((3,), "must be a Keras model or layer. Received: int"),
        ((transformer(), layers.Dense), "`to` must be one of GroupLayerNorm"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            swap_normalization(*arguments)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="not both"):
        swap_normalization(sequential(), group_size=4, groups=2)
    with pytest.raises(ValueError, match="`group_size` must be .*group_size=True"):
        swap_normalization(sequential(), group_size=True)
    with pytest.raises(ValueError, match='"nearest" or "refuse"'):
        swap_normalization(sequential(), indivisible="maybe")
    with pytest.raises(ValueError, match="`group_size` must be an int >= 1"):
        swap_normalization(sequential(), group_size=0)


IGNORED = [
    (PositionalGroupLayerNormalization, dict(over_space=True)),
    (layers.GroupNormalization, dict(over_space=False)),
    (layers.BatchNormalization, dict(over_space=False)),
    (layers.LayerNormalization, dict(group_size=4)),
    (layers.BatchNormalization, dict(groups=2)),
    (layers.RMSNormalization, dict(group_size=lambda norm: 4)),
    (lambda norm: None, dict(group_size=4)),
    (lambda norm: None, dict(over_space=True)),
]


@pytest.mark.parametrize(("to", "argument"), IGNORED)
def test_an_argument_that_would_be_ignored_is_refused(to, argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}` .*Received: {name}=") as error:
        swap_normalization(sequential(), to=to, **argument)
    assert "\n" not in str(error.value)


def test_what_a_class_does_anyway_may_be_asked_of_it():
    for to, over_space in (
        (PositionalGroupLayerNormalization, False),
        (layers.GroupNormalization, True),
        (layers.BatchNormalization, True),
    ):
        model = functional(layers.LayerNormalization)
        assert swap_normalization(model, to=to, over_space=over_space)[1].replaced


@pytest.mark.parametrize("to", [layers.LayerNormalization, layers.RMSNormalization])
def test_weights_over_unknown_space_cannot_be_made_so_the_norm_is_kept(to):
    model = functional(layers.GroupNormalization, (None, None, 8), groups=2)
    _, report = swap_normalization(model, to=to)
    assert report.kept[0].reason == "its size over space is unknown"
    assert swap_normalization(model, to=to, over_space=False)[1].replaced
