"""The real images of the theory part's experiments."""

import os


def load(dataset, grayscale=False):
    """Loads a data set of `zoo.data`, from LNG_KERAS_DATA_DIR if that is set."""
    import zoo.data

    folder = os.environ.get("LNG_KERAS_DATA_DIR")
    return zoo.data.load(dataset, folder, grayscale=grayscale)


def random_labels(data, seed):
    """Returns the labels that `train.py --random_labels --seed=SEED` trains on."""
    import zoo.data

    return zoo.data.randomize_labels(data, seed).train.labels


def select(data, count):
    """Returns the data with the first training images of each class, `count` in all."""
    import zoo.data

    return zoo.data.select(data, train_examples=count)
