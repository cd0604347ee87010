"""Compares group sizes instead of training: --search_group_size."""

import dataclasses

import numpy as np

from lng_keras._base.errors import UsageError
from zoo import data as zoo_data
from zoo.data import augmentation, batches
from zoo.training.assembly import batch_maker, build

# What a model has whose groups are all channels: the row that others compare with.
_UNGROUPED = {"lng": "ln", "lng_position": "ln_position", "gn": "ln"}


def search(settings, data, steps, folder):
    """Compares group sizes and prints the result. Returns the exit status, 0."""
    from lng_keras.adopt.search import search_group_size

    sizes = _group_sizes(settings)

    def build_with(size):
        """The model with groups of `size` channels, or ungrouped for None."""
        norm = settings.norm if size else _UNGROUPED[settings.norm]
        changed = dataclasses.replace(settings, norm=norm, group_size=size, groups=None)
        return build(changed, data, steps)

    make_batches = batch_maker(settings, data)
    held_out = zoo_data.in_memory(data.validation)
    if not isinstance(held_out.images, np.ndarray):
        raise UsageError(
            f"--search_group_size keeps the {len(held_out):,} held-out images in "
            "memory, and they are too many; set --validation_examples to fewer"
        )
    result = search_group_size(
        build_with,
        lambda epoch: make_batches(epoch, 0),
        (
            batches.normalize(held_out.images),
            batches.one_hot(held_out.labels, len(data.class_names)),
        ),
        candidates=sizes,
        max_epochs=settings.epochs,
        compile=lambda model: model,
        directory=str(folder / "search"),
        inputs=np.zeros((1, *data.image_shape), np.float32),
    )
    print(result)
    return 0


def _group_sizes(settings):
    """The candidates of --search_group_size; refuses flags that do not go with it."""
    names = settings.search_group_size
    if settings.norm not in _UNGROUPED:
        raise UsageError(
            f"--norm={settings.norm} has no groups to search for; give "
            f"--norm={', '.join(_UNGROUPED)}"
        )
    if settings.augment in augmentation.NAMES:
        raise UsageError(
            f"--search_group_size does not go with --augment={settings.augment}; "
            "give crop_flip, crop or none"
        )
    if settings.teacher or settings.export:
        raise UsageError(
            "--search_group_size only compares: leave out --teacher and --export, and "
            "train with the --group_size it finds"
        )
    if not all(name.strip().isdecimal() and int(name) for name in names):
        raise UsageError(
            f"--search_group_size={','.join(names)} must be whole numbers from 1 with "
            "commas between, such as 4,8,16"
        )
    return [int(name) for name in names]
