"""`lng_keras.report` stands for `lng_keras.adopt.report`."""

import sys

from lng_keras.adopt import report

sys.modules[__name__] = report
