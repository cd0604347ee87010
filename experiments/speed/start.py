"""Time from the start of train.py to its first step, and memory over many epochs.

    python -m experiments.speed.start                    TensorFlow
    KERAS_BACKEND=jax python -m experiments.speed.start  or torch

Start: `train.py --model=vit` and `--model=resnet_na`, as users call them, as a process
that ends after its first step: seconds until the backend is imported and the data are
loaded, until the model is built, and until the first step is done (most of it tracing
and compiling). Memory: resident megabytes of a run of short epochs after each of them;
the difference between the last epoch and the fifth should be noise.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

# train.py with a first step that says so; everything else as it is.
_PROGRAM = """
import sys, train
from zoo.training.loop.progress import Progress
if "--first_step" in sys.argv:
    sys.argv.remove("--first_step")
    Progress.on_batch = lambda *_: (print("first step", flush=True))
train.main(sys.argv)
"""


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.speed.start")
    parser.add_argument("--epochs", type=int, default=30, help="of the memory run")
    parser.add_argument("--output", default="results/throughput", help="a folder")
    arguments = parser.parse_args()

    from experiments.machinery import timing

    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    starts, memory = [], []
    for model in ("vit", "resnet_na"):
        starts.append({"model": model, **start(model)})
        print(starts[-1], flush=True)
    for model in ("vit", "resnet_na"):
        memory.append({"model": model, **over_epochs(model, arguments.epochs)})
        print(memory[-1], flush=True)
    timing.write(
        os.path.join(arguments.output, f"start_{backend}.json"),
        {**timing.environment(backend), "start": starts, "memory": memory},
    )


def start(model):
    """Returns seconds from the start of the process until what is printed."""
    marks = {
        "Data:": "data_loaded",
        f"{model[:6]}": "built",
        "first step": "first_step",
    }
    seconds = {}
    for line, elapsed, process in _lines([f"--model={model}", "--first_step"]):
        for text, name in marks.items():
            if line.startswith(text):
                seconds.setdefault(name, round(elapsed, 1))
        if "first_step" in seconds:
            process.kill()
            break
    return seconds


def over_epochs(model, epochs):
    """Returns resident megabytes after the fifth and the last epoch."""
    small = ["--depth=1", "--width=16"] if model == "vit" else ["--depth=8"]
    megabytes = []
    for line, _, process in _lines(
        [f"--model={model}", *small, f"--epochs={epochs}"]
        + ["--train_examples=320", "--batch_size=64"]
    ):
        if re.match(r"epoch +\d+/", line):
            with open(f"/proc/{process.pid}/statm") as file:
                pages = int(file.read().split()[1])
            megabytes.append(pages * os.sysconf("SC_PAGESIZE") / 1e6)
    return {
        "epochs": len(megabytes),
        "steps_an_epoch": 5,
        "megabytes_after_5": round(megabytes[4]),
        "megabytes_after_last": round(megabytes[-1]),
        "growth_an_epoch": round(
            (megabytes[-1] - megabytes[4]) / (len(megabytes) - 5), 2
        ),
    }


def _lines(flags):
    """Yields (line, seconds since the start, process) of a run of train.py."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *flags, f"--run_dir={folder}/run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            for line in process.stdout:
                yield line, time.monotonic() - started, process


if __name__ == "__main__":
    main()
