"""Data sets that tensorflow-datasets prepared as array_record."""

import importlib.util

import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from tests.command_line import TINY, error_line
from tests.zoo.data import records
from zoo import data
from zoo.data import encoded_images

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def write(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("importlib_resources")
    pytest.importorskip("array_record")

    def write(name, shape=(8, 8, 3), pixels=lambda i: np.full((8, 8, 3), i, np.uint8)):
        [path] = records.write_tfds(tmp_path, name, shape, pixels, "array_record")
        return path

    return write


def rewrite(path, examples):
    from array_record.python import array_record_module

    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for example in examples:
        writer.write(example)
    writer.close()


def test_images_and_labels_are_those_that_were_written(write, tmp_path):
    write("numbers")
    loaded = data.load("numbers", tmp_path)
    numbers = loaded.train.images[:, 0, 0, 0]
    assert sorted(numbers) == list(range(20))
    np.testing.assert_array_equal(loaded.train.labels, numbers % 2)
    assert len(loaded.test) == 4
    assert loaded.class_names == ("cat", "dog")


def test_any_image_of_a_large_set_is_read_alone(write, tmp_path, monkeypatch):
    write("large", (None, None, 3), lambda i: np.full((8 + i % 3, 8, 3), i, np.uint8))
    whole = data.load("large", tmp_path, image_size=6)
    monkeypatch.setattr(encoded_images, "IN_MEMORY_BYTES", 0)
    streamed = data.load("large", tmp_path, image_size=6)
    images = streamed.train.images
    assert isinstance(images, encoded_images.EncodedImages)
    some = np.array([17, 3, 3, 19, 0, 11, 5, 8, 2])  # in threads
    np.testing.assert_array_equal(images[some], whole.train.images[some])
    part = images.subset(np.array([4, 9]))
    np.testing.assert_array_equal(part[np.array([1])], whole.train.images[[9]])
    assert data.checksum(streamed) == data.checksum(data.load("large", tmp_path, 6))


def test_examples_are_in_the_order_of_their_ids(write, tmp_path):
    path = write("named")
    image = [records.encoded(np.full((8, 8, 3), i, np.uint8)) for i in range(20)]
    order = np.random.default_rng(0).permutation(20)
    rewrite(
        path,
        [
            records.example(image=image[i], label=int(i % 2), id=b"train_%05d" % i)
            for i in order
        ],
    )
    loaded = data.load("named", tmp_path)
    assert loaded.train.images[:, 0, 0, 0].tolist() == list(range(20))
    assert loaded.train.labels.tolist() == [0, 1] * 10


def test_damaged_files_are_one_line(write, tmp_path):
    path = write("cut")
    flags = [*TINY, "--train_examples=0", "--batch_size=4", "--dataset=cut"]
    flags += [f"--data_dir={tmp_path}", f"--run_dir={tmp_path / 'run'}"]
    whole = path.read_bytes()
    # Of the second, array_record says nothing: its records are empty.
    for length in (len(whole) - 5, len(whole) // 2, 0):
        path.write_bytes(whole[:length])
        line = error_line(*flags)
        assert "the train split of cut" in line
        assert "cannot be read after 0 examples" in line


def test_only_image_formats_are_opened(write, tmp_path):
    path = write("hostile")
    image = records.encoded(np.zeros((8, 8, 3), np.uint8))
    bodies = [image] * 10 + [b"%!PS-Adobe-3.0 EPSF-3.0\n"] + [image] * 9
    rewrite(path, [records.example(image=body, label=1) for body in bodies])
    message = "image 10 of the train split of hostile in .* is no usable image"
    with pytest.raises(UsageError, match=message):
        data.load("hostile", tmp_path)


def test_a_missing_package_is_named(write, tmp_path, monkeypatch):
    write("stored")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "array_record" else found(name),
    )
    with pytest.raises(UsageError, match="pip install array_record, or prepare the"):
        data.load("stored", tmp_path)
