"""Each model and data set as a function: `zoo:NAME` for `python -m lng_keras`.

python -m lng_keras poc --model=zoo:vit --data=zoo:cifar10_sample

They are attributes of `zoo`, made when they are asked for. Other sets of
tensorflow-datasets are known to `--data` by their own names.
"""

import functools

import zoo.data
from zoo.models import registry

DATA_SETS = (
    *(zoo.data.SAMPLE, "cifar10", "mnist", "fashion_mnist"),
    *("folder", "tfrecord"),  # with --data_dir
)
# Those of images: `python -m lng_keras` trains and measures classifiers.
MODELS = tuple(
    name for name, model in registry.MODELS.items() if model.task == "classification"
)


def find(name):
    """Returns the function of a name.

    Raises:
        AttributeError: for an unknown one, listing the known ones.
    """
    if name in MODELS:
        build = functools.partial(_build, name)
        build.pixels = "-1..1"  # of bytes, as the models of train.py take them
        return build
    if name in DATA_SETS:
        return functools.partial(_load, name)
    raise AttributeError(
        f"zoo has no {name!r}; its models are {', '.join(MODELS)}, its data "
        f"sets {', '.join(DATA_SETS)}"
    )


def _build(name):
    """Builds a model with the normalization that its architecture is known with."""
    return registry.build(name, norm="bn" if name.startswith("resnet") else "ln")


def _load(name, data_dir=None):
    """Loads images and labels for training and for validation, those of the test."""
    data = zoo.data.load(name, data_dir)
    return data.train.images, data.train.labels, data.test.images, data.test.labels
