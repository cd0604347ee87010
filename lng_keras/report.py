"""`lng_keras.report` stands for `lng_keras.adopt.report`."""

import sys

from lng_keras.adopt.report import *  # noqa: F403  for type checkers, blind to the next line

sys.modules[__name__] = sys.modules["lng_keras.adopt.report"]
