"""Images with labels, from what the user names."""

from lng_keras.adopt.inputs.data import Data, check
from lng_keras.adopt.inputs.load import load_data

__all__ = ["Data", "check", "load_data"]
