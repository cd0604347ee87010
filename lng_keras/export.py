"""`lng_keras.export` stands for `lng_keras.adopt.export`."""

import sys

from lng_keras.adopt import export

sys.modules[__name__] = export
