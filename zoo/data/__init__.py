"""Data sets for image classification, and the batches of an epoch.

data = zoo.data.load("cifar10_sample")
data = zoo.data.select(data, train_examples=1000, validation_examples=500)
"""

from zoo.data.load import SAMPLE as SAMPLE
from zoo.data.load import load as load
from zoo.data.splits import Data as Data
from zoo.data.splits import Split as Split
from zoo.data.splits import balanced_choice as balanced_choice
from zoo.data.splits import check as check
from zoo.data.splits import checksum as checksum
from zoo.data.splits import in_memory as in_memory
from zoo.data.splits import randomize_labels as randomize_labels
from zoo.data.splits import select as select
from zoo.data.splits import with_train_labels as with_train_labels
