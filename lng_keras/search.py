"""`lng_keras.search` stands for `lng_keras.adopt.search`."""

import sys

from lng_keras.adopt.search import *  # noqa: F403  for type checkers, blind to the next line

sys.modules[__name__] = sys.modules["lng_keras.adopt.search"]
