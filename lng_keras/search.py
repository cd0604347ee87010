"""`lng_keras.search` stands for `lng_keras.adopt.search`."""

import sys

from lng_keras.adopt import search

sys.modules[__name__] = search
