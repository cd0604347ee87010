"""`lng_keras.cost` stands for `lng_keras.adopt.cost`."""

import sys

from lng_keras.adopt import cost

sys.modules[__name__] = cost
