"""Evaluates a model that was saved, on the data it was trained for."""

import dataclasses

from zoo.runs import model_files, preset_store
from zoo.training import early, evaluation, examples, flags

# What says which test images: taken from the model's run where nobody says it.
_OF_TEST_IMAGES = ("dataset", "data_dir", "image_size", "grayscale")


def evaluate(settings, given):
    """Evaluates the model of --evaluate on the test images and prints one line.

    Args:
        settings, given: of the command line, as from `flags.parse`.
    Returns:
        The exit status, 0.
    """
    path = preset_store.find(settings.evaluate)
    of_zoo = path.resolve().parent == preset_store.FOLDER
    card = preset_store.presets().get(path.stem) if of_zoo else None
    stored = path.parent / "flags.txt"
    if card:
        if "dataset" not in given:
            settings = dataclasses.replace(settings, dataset=card["dataset"])
    elif stored.is_file():
        settings, _ = flags.adopt(settings, given, stored, only=_OF_TEST_IMAGES)
    early.check_data_dir(settings, given)
    model = model_files.load(path)
    data = examples.load(settings)
    result = evaluation.evaluate(model, data.test)
    print(
        f"Test accuracy {result['accuracy']:.4f}, loss {result['loss']:.4f} on "
        f"{len(data.test):,} images: {path}"
    )
    if card and data.name == card["dataset"]:
        print(f"Its card says {card['test_accuracy']:.4f}.")
    return 0
