"""Random flags: a run, or one line; never a traceback."""

import contextlib
import io
import random
import re
import shutil
import tempfile
import traceback

from tests.stress.results import Outcome

VALUES = {
    "model": ("ln_net", "vit", "resnet_na", "ln_net", "vgg", ""),
    "norm": ("bn", "ln", "gn", "in", "rms", "lng", "lng_position", "none", "xn"),
    "groups": ("1", "2", "3", "0", "-1", "x"),
    "group_size": ("1", "2", "4", "7", "100000", "1.5"),
    "depth": ("1", "8", "0", "5"),
    "width": ("4", "8", "12", "1", "-3"),
    "heads": ("1", "2", "3", "0"),
    "patch_size": ("16", "8", "5", "64"),
    "pool": ("mean", "token", "max"),
    "activation": ("relu", "gelu", "rellu", "none"),
    "dropout": ("0", "0.5", "1", "nan"),
    "stochastic_depth": ("0.1", "2"),
    "dataset": ("cifar10_sample", "folder", "tfrecord", "nothing_like_it"),
    "data_dir": ("/nowhere", "."),
    "train_examples": ("32", "20", "100000", "-1", "1"),
    "validation_examples": ("10", "5000", "1"),
    "image_size": ("0", "8", "-1"),
    "augment": ("none", "crop", "crop_flip", "cut"),
    "optimizer": ("adamw", "sgd", "adam"),
    "learning_rate": ("0.1", "0", "1e30", "-1", "nan", "inf"),
    "warmup_epochs": ("0", "0.5", "100", "nan"),
    "weight_decay": ("0", "0.1", "1e9", "nan"),
    "label_smoothing": ("0", "0.5", "1"),
    "clip_norm": ("0", "1", "-1", "nan"),
    "ema": ("0", "0.9", "1"),
    "seed": ("0", "1", "-1", "99999999999"),
    "mixed_precision": ("none", "bfloat16", "float16", "int8"),
    "steps_per_execution": ("1", "2", "1000", "0"),
    "checkpoint_minutes": ("0", "1", "-1"),
    "grayscale": ("true", "false", "maybe"),
    "random_labels": ("true", "false"),
    "resume": ("true", "false"),
    "resume_or_start": ("true", "false"),
    "evaluate": ("/nowhere/model.keras", "no_preset"),
    "init": ("/nowhere/model.keras", "no_preset"),
    "teacher": ("/nowhere/model.keras", "no_preset"),
    "teacher_weight": ("0.5", "2", "nan"),
    "temperature": ("1", "0", "nan"),
    "export": ("zip", ""),
    "search_group_size": ("a,b", "0", "3"),
    "batch_size": ("16", "32", "64", "0", "3"),
    "distribute": ("none", "data", "multi_worker", "tpu", "all"),
    "tpu": ("true", "false"),
    "nothing": ("1",),
}


def fuzz(times, seed):
    """Random flags in this process: success, or status 1, 2 or 3 with one line."""
    import keras

    import train
    from zoo.errors import DIVERGED

    rng, lost, trained = random.Random(seed), [], 0
    common = ["--model=ln_net", "--depth=1", "--width=8", "--group_size=4"]
    common += ["--train_examples=32", "--epochs=1", "--batch_size=16"]
    with tempfile.TemporaryDirectory() as scratch:
        for i in range(times):
            names = rng.sample(sorted(VALUES), rng.choice([1, 1, 2, 2, 3, 4, 6]))
            chosen = [f"--{name}={rng.choice(VALUES[name])}" for name in names]
            arguments = [f"--run_dir={scratch}/{i}", *common, *chosen]
            keras.config.set_dtype_policy("float32")
            keras.utils.clear_session(free_memory=False)
            out, errors = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                try:
                    train.main(["train.py", *arguments])
                    trained += 1
                    problem = ""
                except SystemExit as end:
                    problem = (
                        "" if end.code in (1, 2, DIVERGED) else f"status {end.code}"
                    )
                    lines = re.findall("^error: .+$", errors.getvalue(), re.MULTILINE)
                    if len(lines) != 1:
                        problem = f"no single line: {errors.getvalue()[-300:]!r}"
                except BaseException:  # what the user would see as a traceback
                    problem = traceback.format_exc()[-600:]
            if problem:
                lost.append(f"{' '.join(chosen)}: {problem}")
            shutil.rmtree(f"{scratch}/{i}", ignore_errors=True)
    summary = (
        f"{times} random sets of flags: {trained} trained, {times - trained} refused "
        f"in one line, lost: {len(lost)}"
    )
    return Outcome(times, summary, lost)
