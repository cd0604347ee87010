"""`lng_keras.cost` stands for `lng_keras.adopt.cost`."""

import sys

from lng_keras.adopt.cost import *  # noqa: F403  for type checkers, blind to the next line

sys.modules[__name__] = sys.modules["lng_keras.adopt.cost"]
