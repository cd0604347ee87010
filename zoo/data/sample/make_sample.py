"""Makes the bundled sample from the official CIFAR-10 python or binary batches.

python -m zoo.data.sample.make_sample FOLDER_WITH_THE_OFFICIAL_BATCHES

Of each class the first 400 training and the first 100 test images, in the order of
the official batches. A sheet is a PNG of 32 x 32 tiles, 50 a row: class 0 fills the
first rows, class 1 the next, and so on, so that a tile's row tells its label.
"""

import pathlib
import sys

import numpy as np
from PIL import Image

from zoo.data import cifar

FOLDER = pathlib.Path(__file__).parent
CLASSES, TILES_A_ROW, SIDE = 10, 50, 32
SHEETS = {"train": 400, "test": 100}  # images a class


def make_sheet(images, labels, images_a_class):
    """Returns the sheet of the first images of each class, `(h, w, 3)` uint8."""
    chosen = [images[labels == k][:images_a_class] for k in range(CLASSES)]
    tiles = np.concatenate(chosen).reshape(-1, TILES_A_ROW, SIDE, SIDE, 3)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(-1, TILES_A_ROW * SIDE, 3)


def read_sheet(path):
    """Returns images `(n, 32, 32, 3)` uint8 and labels `(n,)`, sorted by class."""
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet)
    rows = pixels.shape[0] // SIDE
    tiles = pixels.reshape(rows, SIDE, TILES_A_ROW, SIDE, 3).transpose(0, 2, 1, 3, 4)
    images = tiles.reshape(-1, SIDE, SIDE, 3)
    return images, np.repeat(np.arange(CLASSES), len(images) // CLASSES)


def main(folder):
    arrays = cifar.read(folder)
    for split, images_a_class in SHEETS.items():
        sheet = make_sheet(*arrays[split], images_a_class)
        Image.fromarray(sheet).save(FOLDER / f"cifar10_{split}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
