"""The LN-Net of width 3 that gives any samples any labels."""

from lng_keras.construction.classifier import LNNetClassifier as LNNetClassifier
from lng_keras.construction.exact import ExactLNNet as ExactLNNet
from lng_keras.construction.plan import Plan as Plan
from lng_keras.construction.plan import plan_layers as plan_layers
from lng_keras.construction.search import Fold as Fold
from lng_keras.construction.verify import Verification as Verification
from lng_keras.construction.verify import verify as verify
