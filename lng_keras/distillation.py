"""`lng_keras.distillation` stands for `lng_keras.adopt.distillation`."""

import sys

from lng_keras.adopt import distillation

sys.modules[__name__] = distillation
