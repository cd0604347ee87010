"""Image files sorted into one folder a class, decoded when they are asked for."""

import concurrent.futures
import dataclasses
import pathlib

import numpy as np
from PIL import Image

from zoo.errors import InputError

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".gif"))
_TRAIN_NAMES = ("train", "training")
_TEST_NAMES = ("test", "val", "validation")
_LARGEST_PIXELS = 100_000_000  # an image that claims more is a bomb or a mistake
_TEST_EVERY = 10  # images of a class, in name order, where no test folder exists


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Looks like an array `(n, height, width, channels)` uint8, but reads files.

    Indexing with an array of ints decodes those files, in threads. Nothing is kept,
    so that memory does not depend on `n`.

    Args:
        paths: array of n strings.
        height, width: int, pixels. An image of another size is refused, unless
            `resize`.
        channels: 1 (grey) or 3.
        resize: bool, scale the shorter side and crop the middle to that size.
    """

    paths: np.ndarray
    height: int
    width: int
    channels: int = 3
    resize: bool = False

    def __len__(self):
        return len(self.paths)

    @property
    def shape(self):
        return (len(self.paths), self.height, self.width, self.channels)

    @property
    def dtype(self):
        return np.dtype(np.uint8)

    def __getitem__(self, indices):
        paths = self.paths[indices]
        if len(paths) < 8:
            return np.stack([self._read(path) for path in paths])
        # Pillow decodes without holding Python's lock.
        return np.stack(list(_THREADS.map(self._read, paths)))

    def subset(self, indices):
        return dataclasses.replace(self, paths=self.paths[indices])

    def _read(self, path):
        size = (self.width, self.height)
        pixels = read_image(path, self.channels, size if self.resize else None)
        if pixels.shape[:2] != (self.height, self.width):
            raise InputError(
                f"images differ in size: {path} is {pixels.shape[1]} x "
                f"{pixels.shape[0]}, the first one {self.width} x {self.height}; "
                "--image_size=N scales and crops all to N x N"
            )
        return pixels


_THREADS = concurrent.futures.ThreadPoolExecutor()


def read_image(path, channels=3, size=None):
    """Reads an image file as `(height, width, channels)` uint8.

    Args:
        path: of a file in a format that Pillow reads. Of an animation, the first image.
        channels: 1 (grey, ITU-R 601 luma) or 3.
        size: `(width, height)` in pixels to scale and crop to, or None.
    Raises:
        InputError: if the file is unreadable, truncated, larger than 100 megapixels
            or has pixels that are no bytes.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > _LARGEST_PIXELS:
                raise ValueError(f"it claims {image.width} x {image.height} pixels")
            if image.mode.startswith(("F", "I")):
                raise ValueError(f"its pixels are no bytes but of mode {image.mode}")
            if size is not None:
                # Lets the JPEG decoder skip detail beyond twice the wanted size.
                image.draft(None, (2 * size[0], 2 * size[1]))
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None and image.size != size:
                image = _scale_and_crop(image, size)
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} is no usable image ({error}); replace or delete it"
        ) from error
    return pixels[:, :, None] if channels == 1 else pixels


def _scale_and_crop(image, size):
    """Scales so that `size` just fits, and cuts out the middle."""
    width, height = size
    scale = min(image.width / width, image.height / height)
    crop_width, crop_height = width * scale, height * scale
    left = (image.width - crop_width) / 2
    top = (image.height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    return image.resize(size, Image.Resampling.BILINEAR, box=box)


def read_folder(folder, image_size=0):
    """Lists the images of a folder.

    It holds either `train/CLASS/*.png` and `test/CLASS/*.png` (also `val`), or
    `CLASS/*.png`; then every tenth image of a class, by name, is a test image.

    Args:
        folder: path.
        image_size: int, side in pixels to scale and crop all images to. 0: all must
            have the size of the first one.
    Returns:
        `{"train": (images, labels), "test": (images, labels)}` and the class names,
        images as `ImageFiles`, labels `(n,)` int64.
    Raises:
        InputError: for a missing folder, a class without images, fewer than two
            classes, or other classes in the test than in the training folder.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"--data_dir={folder} is no folder; give one with images")
    train = next((folder / n for n in _TRAIN_NAMES if (folder / n).is_dir()), None)
    test = next((folder / n for n in _TEST_NAMES if (folder / n).is_dir()), None)
    if train is None or test is None:
        paths, labels, names = _list_classes(folder)
        # Each class is listed on its own, so ranks restart at its first image.
        ranks = np.arange(len(labels)) - np.searchsorted(labels, labels)
        held_out = ranks % _TEST_EVERY == _TEST_EVERY - 1
        splits = {
            "train": (paths[~held_out], labels[~held_out]),
            "test": (paths[held_out], labels[held_out]),
        }
    else:
        paths, labels, names = _list_classes(train)
        test_paths, test_labels, test_names = _list_classes(test)
        if names != test_names:
            raise InputError(
                f"{train} and {test} differ in their classes: "
                f"{', '.join(sorted(set(names) ^ set(test_names)))}; "
                "give both the same class folders"
            )
        splits = {"train": (paths, labels), "test": (test_paths, test_labels)}
    if not len(splits["test"][0]):
        raise InputError(
            f"{folder} leaves no test image: no class has {_TEST_EVERY} images; "
            "add images, or train/ and test/ folders"
        )
    if image_size:
        height = width = image_size
    else:
        height, width = read_image(splits["train"][0][0]).shape[:2]
    arrays = {
        split: (ImageFiles(p, height, width, resize=bool(image_size)), y)
        for split, (p, y) in splits.items()
    }
    return arrays, names


def _list_classes(folder):
    """Returns paths, labels (sorted) and class names of `folder/CLASS/**`."""
    classes = sorted(
        p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")
    )
    if len(classes) < 2:
        raise InputError(
            f"{folder} has {len(classes)} class folder(s), a classifier needs at "
            "least 2; put the images of each class into a folder of its own"
        )
    paths, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(str(p) for p in name.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not files:
            raise InputError(
                f"class folder {name} has no images ({', '.join(sorted(SUFFIXES))}); "
                "add some or delete it"
            )
        paths += files
        labels += [label] * len(files)
    return np.array(paths), np.array(labels), tuple(p.name for p in classes)
