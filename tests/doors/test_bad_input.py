"""What is wrong with the data of a run is said in one line, and the status is 2."""

import gzip
import os
import re

import numpy as np
import pytest

from lng_keras.adopt import cli
from tests.command_line import TINY, error_line
from tests.lng_keras.adopt.poc import classifier
from tests.lng_keras.base.hostile_images import HOSTILE
from tests.zoo.data import records

IMAGE = records.encoded(np.zeros((6, 8, 3), np.uint8))
NAN_PIXELS = b"Pf\n8 6\n-1.0\n" + np.full(48, np.nan, "<f4").tobytes()


def refusal(folder, dataset, *flags):
    """Returns the error of a run on that data, which must leave no run behind."""
    run = folder.parent / "run"
    line = error_line(
        *(*TINY, "--train_examples=0", "--batch_size=8"),
        *(f"--dataset={dataset}", f"--data_dir={folder}", f"--run_dir={run}", *flags),
    )
    assert not (run / "flags.txt").exists()
    return line


# ---- TFRecords ----


def _truncated(folder, by):
    path = folder / "train-00001-of-00002"
    path.write_bytes(path.read_bytes()[:by])


def _instead(folder, *written):
    records.write(folder / "train-00001-of-00002", written)


def _compressed(folder):
    path = folder / "train-00000-of-00002"
    path.write_bytes(gzip.compress(path.read_bytes()))


def _flipped(folder):
    path = folder / "train-00000-of-00002"
    content = bytearray(path.read_bytes())
    content[1] ^= 4
    path.write_bytes(content)


def _renamed(folder, name, to):
    (folder / name).rename(folder / to)


BAD_RECORDS = {
    "cut in a record": (lambda f: _truncated(f, -5), "00001-of-00002 is truncated"),
    "cut in a length": (lambda f: _truncated(f, 7), "is truncated: it has 7 bytes"),
    "empty": (lambda f: _truncated(f, 0), "is empty; copy it again"),
    "compressed": (_compressed, "is compressed"),
    "flipped length": (_flipped, "no TFRecord file, or damaged at byte 0"),
    "text": (
        lambda f: (f / "train-00000-of-00002").write_text("not records at all"),
        "no TFRecord file, or damaged at byte 0",
    ),
    "no example": (lambda f: _instead(f, b"\xff" * 30), "no tf.train.Example"),
    "no label": (
        lambda f: _instead(f, records.example(image=IMAGE, place=1)),
        "has the features image, place",
    ),
    "empty example": (lambda f: _instead(f, b""), "has the features none"),
    "float label": (
        lambda f: _instead(f, records.example(image=IMAGE, label=[1.0])),
        "has label as float, not int64",
    ),
    "pixels as floats": (
        lambda f: _instead(f, records.example(image=[float("nan")] * 9, label=1)),
        "has image as float, not bytes",
    ),
    "no image": (
        lambda f: _instead(f, records.example(image=b"not an image", label=1)),
        "is no usable image",
    ),
    "cut image": (
        lambda f: _instead(f, records.example(image=IMAGE[:45], label=1)),
        "is no usable image",
    ),
    "label below 0": (
        lambda f: _instead(f, records.example(image=IMAGE, label=-1)),
        "labels of tfrecord go from -1",
    ),
    "more labels than names": (
        lambda f: (f / "classes.txt").write_text("one\n"),
        "its 1 classes from 0 to 0",
    ),
    "another size": (
        lambda f: _instead(
            f, records.example(image=records.encoded(np.zeros((9, 9), "u1")), label=1)
        ),
        "images differ in size",
    ),
    "missing shard": (
        lambda f: (f / "train-00001-of-00002").unlink(),
        "train-00001-of-00002 is missing; copy all 00002 shards",
    ),
    "no test file": (
        lambda f: _renamed(f, "test-00000-of-00001", "a-00000-of-00001"),
        "no TFRecord file for test: a name with test or validation or val",
    ),
    "one class": (
        lambda f: records.write_set(f, classes=1),
        "are of one class, '0'",
    ),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_bad_records_are_one_line_and_status_2(tmp_path, case):
    folder = tmp_path / "data"
    records.write_set(folder)
    spoil, message = BAD_RECORDS[case]
    spoil(folder)
    assert message in refusal(folder, "tfrecord")


# ---- folders of images ----


def _image(folder, content, name="004.png"):
    (folder / "dog" / name).write_bytes(content)


def _without(folder, names):
    for path in folder.glob(names):
        path.unlink()


def _split(folder):
    """A test folder with a class that the training folder has not."""
    for split in ("train", "test"):
        for name in ("cat", "cow" if split == "test" else "dog"):
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / "0.png").write_bytes(IMAGE)


def _one_class(folder):
    _without(folder, "cat/*")
    (folder / "cat").rmdir()


BAD_FOLDERS = {
    "cut image": (lambda f: _image(f, IMAGE[:45]), "004.png is no usable image"),
    "text": (lambda f: _image(f, b"not an image"), "004.png is no usable image"),
    "empty file": (lambda f: _image(f, b""), "004.png is no usable image"),
    "NaN pixels": (
        lambda f: _image(f, NAN_PIXELS),
        "004.png is no usable image (its pixels are no bytes but of mode F)",
    ),
    "another size": (
        lambda f: _image(f, records.encoded(np.zeros((9, 9, 3), np.uint8))),
        "images differ in size: ",
    ),
    "empty class folder": (lambda f: _without(f, "dog/*"), "dog has no images"),
    "one class": (_one_class, "1 class folder(s), a classifier needs at least 2"),
    "no class": (lambda f: [_one_class(f), (f / "dog").rename(f / ".dog")], "0 class"),
    "other classes in the test": (_split, "differ in their classes: cow, dog"),
    "no test beside train": (
        lambda f: [(f / "train").mkdir(), (f / "cat").rename(f / "train" / "cat")],
        "has train/ with folders of images, but no test folder beside it; add one",
    ),
    "too few images": (lambda f: _without(f, "*/00[1-9].png"), "leaves no test image"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_folders_are_one_line_and_status_2(tmp_path, case):
    folder = tmp_path / "data"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            (folder / name / f"{i:03d}.png").write_bytes(IMAGE)
    spoil, message = BAD_FOLDERS[case]
    spoil(folder)
    assert message in refusal(folder, "folder")


# ---- images that are programs or bombs, whoever reads them ----


@pytest.fixture(params=HOSTILE)
def hostile(request, tmp_path, monkeypatch):
    """A hostile body and what is said of it. A `gs` beside it leaves a trace."""
    gs = tmp_path / "bin" / "gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ghostscript_ran'}\nexit 1\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(gs.parent), prepend=os.pathsep)
    yield HOSTILE[request.param]
    assert not (tmp_path / "ghostscript_ran").exists()


def test_a_hostile_image_in_a_folder_is_one_line(tmp_path, hostile):
    folder = tmp_path / "data"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            (folder / name / f"{i:03d}.png").write_bytes(IMAGE)
    _image(folder, hostile[0])
    line = refusal(folder, "folder")
    assert re.search(f"004.png is no usable image .*({hostile[1]})", line)


def test_a_hostile_image_in_records_is_one_line(tmp_path, hostile):
    folder = tmp_path / "data"
    records.write_set(folder)
    _instead(folder, records.example(image=hostile[0], label=1))
    line = refusal(folder, "tfrecord")
    assert re.search(f"at byte .* is no usable image .*({hostile[1]})", line)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("flags", [(), ("--image_size=6",)])
def test_a_hostile_image_of_tfds_is_one_line(tmp_path, hostile, flags):
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("importlib_resources")
    pixels = np.zeros((8, 8, 3), np.uint8)
    folder = tmp_path / "data"
    [path] = records.write_tfds(folder, "hostile", (8, 8, 3), lambda i: pixels)
    image = records.encoded(pixels)
    bodies = [image] * 10 + [hostile[0]] + [image] * 9
    records.write(path, [records.example(image=b, label=1) for b in bodies[::-1]])
    line = refusal(folder, "hostile", *flags)
    if flags:
        assert re.search(f"at byte .* is no usable image .*({hostile[1]})", line)
    else:  # TensorFlow decodes
        assert "the train split of hostile" in line
        assert "cannot be read" in line


def test_a_hostile_image_given_to_poc_is_one_line(tmp_path, hostile, capsys):
    for name in ("a", "b", "c"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").write_bytes(IMAGE)
    (tmp_path / "data" / "b" / "4.png").write_bytes(hostile[0])
    classifier().save(tmp_path / "tiny.keras")
    arguments = [f"--model={tmp_path / 'tiny.keras'}", f"--data={tmp_path / 'data'}"]
    output = tmp_path / "report"
    assert cli.main(["poc", *arguments, f"--output={output}"]) == 2
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error")]
    assert re.search(f"b/4.png is no usable image .*({hostile[1]})", line)
    assert not output.exists()


def test_a_patch_that_does_not_fit_the_images_is_one_line(tmp_path):
    folder = tmp_path / "data"
    records.write_set(folder)  # 8 x 6
    flags = ("--model=vit", "--width=8", "--heads=2", "--patch_size=4")
    assert "patch_size" in refusal(folder, "tfrecord", *flags)
