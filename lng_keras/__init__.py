"""Group-based Layer Normalization (LN-G) for Keras 3."""

from lng_keras.functional import group_layer_normalization as group_layer_normalization
from lng_keras.normalization import GroupLayerNormalization as GroupLayerNormalization
from lng_keras.normalization import (
    PositionalGroupLayerNormalization as PositionalGroupLayerNormalization,
)
from lng_keras.version import __version__ as __version__
