"""`lng_keras.distillation` stands for `lng_keras.adopt.distillation`."""

import sys

from lng_keras.adopt.distillation import distiller as distiller

sys.modules[__name__] = sys.modules["lng_keras.adopt.distillation"]
