"""Sets larger than memory: what a run over them holds, and what opening them takes."""

import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
from PIL import Image

from tests.stress.results import Outcome
from tests.stress.runs import ROOT, command
from tests.zoo.data import records
from zoo.data import encoded_images

SIDE = 224  # pixels
IMAGES = 16_384  # 2.5 GB decoded, more than is kept in memory
EPOCHS = 2
RUN = (
    *("--model=ln_net", "--depth=1", "--width=8", "--group_size=4", "--norm=lng"),
    *("--dataset=tfrecord", "--batch_size=64", "--augment=none", f"--epochs={EPOCHS}"),
)
GROWTH = 0.05  # of the memory, from the first epoch to the last: above it is a leak
BYTES_AN_IMAGE = 200  # to know where an image lies, among millions
# Opens a set as train.py does, and tells what that took.
OPEN = """
import json, resource, sys, time
from zoo.data import image_folder, tfrecords
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, started = peak(), time.time()
read = {"folder": image_folder.read_folder, "tfrecord": tfrecords.read_folder}
arrays, names, *_ = read[sys.argv[1]](sys.argv[2])
count = sum(len(labels) for _, labels in arrays.values())
print(json.dumps([count, time.time() - started, peak() - before]))
"""


def streaming(times, seed):
    """Trains on 2.5 GB of pixels; then opens `times` hundred thousand images."""
    lost, said = [], []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        write_large_set(scratch / "large", seed)
        status, errors, memory = watch(
            command(scratch / "run", *RUN, f"--data_dir={scratch / 'large'}")
        )
        if status:
            return Outcome(1, "the run failed", [errors[-400:]])
        lost += judge(memory, said)
        count = times * 100_000
        write_many_records(scratch / "many", count)
        write_many_files(scratch / "files", count)
        for kind, folder in (("tfrecord", "many"), ("folder", "files")):
            lost += open_set(kind, scratch / folder, said)
    return Outcome(EPOCHS + 2, "\n".join(said), lost)


def write_large_set(folder, seed):
    """Writes records of 224 x 224 JPEG images, few of them different."""
    rng = np.random.default_rng(seed)
    different = []
    for i in range(64):
        small = rng.integers(256, size=(8, 8, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(small).resize((SIDE, SIDE)).save(stream, "jpeg")
        different.append(records.example(image=stream.getvalue(), label=i % 10))
    for k in range(4):
        content = [different[i % 64] for i in range(IMAGES // 4)]
        records.write(folder / f"train-{k:05d}-of-00004", content)
    records.write(folder / "test-00000-of-00001", different * 16)


def watch(arguments):
    """Runs a program; returns status, stderr and its memory in bytes, as
    (epochs done, resident) twice a second."""
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines, errors, memory = [], [], []
    readers = [
        threading.Thread(target=lines.extend, args=(process.stdout,)),
        threading.Thread(target=errors.extend, args=(process.stderr,)),
    ]
    for reader in readers:
        reader.start()
    while process.poll() is None:
        epoch = sum(line.startswith("epoch ") for line in list(lines))
        training = any(" epochs of " in line for line in list(lines))
        if (resident := _resident(process.pid)) and training:
            memory.append((epoch, resident))
        time.sleep(0.5)
    for reader in readers:
        reader.join()
    return process.returncode, "".join(errors), memory


def _resident(pid):
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def judge(memory, said):
    """Compares the epochs with each other and with what all pixels would take."""
    most = [max(m for e, m in memory if e == epoch) for epoch in range(EPOCHS)]
    decoded = IMAGES * SIDE * SIDE * 3
    assert decoded > encoded_images.IN_MEMORY_BYTES
    grown = most[-1] / most[0] - 1
    said.append(
        f"{EPOCHS} epochs of {IMAGES:,} images of {SIDE} x {SIDE}, {decoded / 1e9:.1f} "
        f"GB decoded: the process held at most "
        f"{' and '.join(f'{m / 1e9:.2f} GB' for m in most)}"
    )
    lost = []
    if grown > GROWTH:
        lost.append(f"memory grew by {grown:.0%} from the first epoch to the last")
    if max(most) > decoded:
        lost.append("the process held as much as all pixels decoded")
    return lost


def write_many_records(folder, count):
    image = records.encoded(np.zeros((8, 8, 3), np.uint8))
    different = [records.example(image=image, label=i) for i in range(10)]
    for k in range(10):
        content = (different[i % 10] for i in range(count // 10))
        records.write(folder / f"train-{k:05d}-of-00010", content)
    records.write(folder / "test-00000-of-00001", different)


def write_many_files(folder, count):
    """Hard links, a thousand in each folder: a file of its own would take a block."""
    content = records.encoded(np.zeros((8, 8, 3), np.uint8))
    for k in range(max(2, count // 1000)):
        where = folder / f"class{k % 1000:03d}" / f"part{k // 1000:03d}"
        where.mkdir(parents=True)
        first = where / "image_000000.png"
        first.write_bytes(content)
        for i in range(1, 1000):
            os.link(first, where / f"image_{i:06d}.png")


def open_set(kind, folder, said):
    done = subprocess.run(
        [sys.executable, "-c", OPEN, kind, folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return [done.stderr[-400:]]
    count, seconds, memory = json.loads(done.stdout.splitlines()[-1])
    said.append(
        f"opened {count:,} images of --dataset={kind} in {seconds:.0f} s, at most "
        f"{memory / count:.0f} bytes an image"
    )
    if memory / count > BYTES_AN_IMAGE:
        return [f"{kind}: {memory / count:.0f} bytes an image"]
    return []
