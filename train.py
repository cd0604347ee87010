"""Trains an image classifier of the zoo and writes a run's folder.

python train.py --model=vit --norm=lng            # the bundled sample, a few minutes
python train.py --flagfile=examples/vit_cifar10.flags --data_dir=DIR --seed=3
python train.py --resume --run_dir=runs/NAME      # goes on with an interrupted run
python train.py --evaluate=runs/NAME/model.keras

The backend is chosen by KERAS_BACKEND (tensorflow, jax or torch) before Python starts.
"""

import os
import pathlib
import sys
import time

from zoo.errors import fail, within
from zoo.training import flags as train_flags

# Keras and its backend take seconds to import: they wait until the flags are read.


def main(argv):
    started = time.time()
    train_flags.parse(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    settings = train_flags.settings()
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in ("tensorflow", "jax", "torch"):
        fail(f"KERAS_BACKEND={backend} does not train; give tensorflow, jax or torch")
    try:
        if settings["evaluate"]:
            evaluate(settings["evaluate"])
        else:
            run(started)
    except OSError as error:  # full disk, read-only folder
        fail(f"{error}; earlier checkpoints are intact", status=1)
    except ValueError as error:
        # Our own errors are one line that says what to do. Others come from Keras or a
        # data library and mean that the flags do not fit together.
        if os.environ.get("LNG_KERAS_TRACEBACK"):
            raise
        fail(error)
    except ModuleNotFoundError as error:
        fail(
            f"the package {error.name} is not installed; install it, or choose a "
            "backend that is: KERAS_BACKEND=tensorflow, jax or torch (pip install "
            "'.[train]', '.[jax]' or '.[torch]')"
        )
    except ImportError as error:  # of an extra, which it names
        fail(error)
    except Exception as error:
        # TensorFlow's, of an image that cannot be read in the middle of an epoch, say.
        if told := within(error):
            fail(told)
        raise


def load_data(settings):
    """Loads the data set that the settings name and prints what it is."""
    import zoo.data

    data = zoo.data.load(
        settings["dataset"],
        settings["data_dir"],
        settings["image_size"],
        settings["grayscale"],
    )
    print(f"Data: {data.source}.", flush=True)
    return data


def evaluate(name):
    """Evaluates a saved model on the test images and prints one line."""
    from zoo.runs import model_files, preset_store
    from zoo.training import evaluation

    path = preset_store.find(name)
    of_zoo = path.resolve().parent == preset_store.FOLDER
    card = preset_store.presets().get(path.stem) if of_zoo else None
    stored = path.parent / "flags.txt"
    if card:
        train_flags.prefer(dataset=card["dataset"])
    elif stored.is_file():
        train_flags.adopt(stored, only=train_flags.DATA_FLAGS)
    model = model_files.load(path)
    data = load_data(train_flags.settings())
    result = evaluation.evaluate(model, data.test)
    print(
        f"Test accuracy {result['accuracy']:.4f}, loss {result['loss']:.4f} on "
        f"{len(data.test):,} images: {path}"
    )
    if card and data.name == card["dataset"]:
        print(f"Its card says {card['test_accuracy']:.4f}.")


def run(started):
    """Trains as the flags say, from the beginning or from a checkpoint."""
    from zoo.runs import run_folder

    settings = train_flags.settings()
    folder, resume = pathlib.Path(settings["run_dir"] or ""), settings["resume"]
    if resume and not settings["run_dir"]:
        fail("--resume needs --run_dir, the folder of the run to continue")
    changes = []
    if resume and (folder / "flags.txt").is_file():
        changes = train_flags.adopt(folder / "flags.txt")
        settings = train_flags.settings()
    elif not settings["run_dir"]:
        folder = run_folder.default_path(settings)
    if changes and not settings["allow_changes"]:
        fail(
            f"{', '.join(changes)} would change the result of the run in {folder}; "
            "leave them out, or say --allow_changes"
        )

    from zoo.training import session

    outcome = session.run(settings, folder, load_data, train_flags.write, started)
    if outcome:
        sys.exit(outcome)


if __name__ == "__main__":
    main(sys.argv)
