"""Images that stay on the disk: TFRecords, tfds. What is read, what refused."""

import tracemalloc

import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from tests.command_line import TINY, error_line
from tests.zoo.data import records
from zoo import data, errors
from zoo.data import batches, encoded_images, tfrecords


@pytest.fixture
def on_disk(monkeypatch):
    """Nothing fits into memory."""
    monkeypatch.setattr(encoded_images, "IN_MEMORY_BYTES", 0)


@pytest.mark.usefixtures("on_disk")
def test_records_are_the_images_that_were_written(tmp_path):
    pixels, labels = records.write_set(tmp_path)
    loaded = data.load("tfrecord", tmp_path)
    assert isinstance(loaded.train.images, encoded_images.EncodedImages)
    assert loaded.class_names == ("0", "1")
    assert len(loaded.test) == 8
    np.testing.assert_array_equal(loaded.train.labels, labels)
    for indices in (np.array([39, 0, 21]), np.arange(40)[::-1]):
        np.testing.assert_array_equal(loaded.train.images[indices], pixels[indices])
    grey = data.load("tfrecord", tmp_path, grayscale=True)
    assert grey.train.images[np.array([0])].shape == (1, 6, 8, 1)
    small = data.load("tfrecord", tmp_path, image_size=4)
    assert small.train.images[np.array([0])].shape == (1, 4, 4, 3)


def test_records_that_fit_are_decoded_once(tmp_path):
    pixels, _ = records.write_set(tmp_path)
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    loaded = data.load("tfrecord", tmp_path)
    assert loaded.class_names == ("cat", "dog")
    np.testing.assert_array_equal(loaded.train.images, pixels)


def test_records_of_tensorflow_are_found(tmp_path):
    tf = pytest.importorskip("tensorflow")
    pixels = np.random.default_rng(0).integers(256, size=(5, 4, 4), dtype=np.uint8)

    def feature(**kind):
        return tf.train.Feature(**kind)

    for split in ("train", "validation"):
        with tf.io.TFRecordWriter(str(tmp_path / f"{split}.tfrecord")) as writer:
            for i in range(5):
                label = tf.train.Int64List(value=[i])
                image = tf.train.BytesList(value=[records.encoded(pixels[i])])
                boxes = tf.train.FloatList(value=np.arange(300.0))
                features = {
                    "image/object/bbox": feature(float_list=boxes),
                    "image/class/label": feature(int64_list=label),
                    "image/encoded": feature(bytes_list=image),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    loaded = data.load("tfrecord", tmp_path)
    np.testing.assert_array_equal(loaded.train.images[..., 0], pixels)
    np.testing.assert_array_equal(loaded.test.labels, np.arange(5))


def test_our_records_are_what_tensorflow_reads(tmp_path):
    tf = pytest.importorskip("tensorflow")
    records.write(tmp_path / "a", [records.example(image=b"xyz", label=300)])
    [record] = tf.data.TFRecordDataset(str(tmp_path / "a")).as_numpy_iterator()
    features = tf.train.Example.FromString(record).features.feature
    assert features["image"].bytes_list.value == [b"xyz"]
    assert features["label"].int64_list.value == [300]


def test_a_negative_label_is_read_as_such(tmp_path):
    records.write(tmp_path / "a", [records.example(label=-2, image=b"x")])
    _, labels = tfrecords.index([tmp_path / "a"])
    assert labels.tolist() == [-2]


@pytest.mark.usefixtures("on_disk")
def test_any_batch_of_any_worker_is_that_of_images_in_memory(tmp_path):
    pixels, labels = records.write_set(tmp_path)
    streamed = data.load("tfrecord", tmp_path).train
    arguments = dict(classes=2, batch_size=8, seed=3, epoch=2)
    whole = batches.Batches(pixels, labels, **arguments)
    for first, worker in ((0, 0), (3, 1)):
        part = dict(first_batch=first, worker=worker, workers=2)
        ours = batches.Batches(streamed.images, streamed.labels, **arguments, **part)
        for i in range(len(ours)):
            for a, b in zip(ours.make(i), whole.make(first + i), strict=True):
                np.testing.assert_array_equal(a, b[worker::2])


@pytest.mark.usefixtures("on_disk")
def test_memory_of_an_epoch_is_that_of_some_batches(tmp_path):
    records.write_set(tmp_path, n=400, size=(64, 64), shards=1)
    streamed = data.load("tfrecord", tmp_path).train
    # Where an image lies takes 20 bytes, its label 8.
    places = streamed.images.source
    assert places.start.nbytes + places.size.nbytes + places.file.nbytes == 400 * 20
    epoch = batches.Batches(streamed.images, streamed.labels, 2, 8, 0, 0)
    one = epoch.make(0)[0].nbytes  # float32
    tracemalloc.start()
    try:
        for i in range(len(epoch)):
            epoch[i]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Two are made ahead; each passes through a few copies. All 50 take five times more.
    assert peak < 10 * one


def test_a_folder_of_several_data_sets_is_not_mixed(tmp_path):
    pixels, _ = records.write_set(tmp_path)
    records.write_set(tmp_path / "other", n=10)
    records.write_set(tmp_path / "validation" / "deeper", n=10)
    assert len(data.load("tfrecord", tmp_path).train) == len(pixels)


@pytest.mark.usefixtures("on_disk")
@pytest.mark.filterwarnings("ignore")
def test_an_image_that_spoils_in_the_middle_of_a_run_is_one_line(tmp_path):
    records.write_set(tmp_path)
    cut = records.encoded(np.zeros((6, 8, 3), np.uint8))[:45]
    records.write(
        tmp_path / "train-00001-of-00002", [records.example(image=cut, label=1)]
    )
    flags = ["--dataset=tfrecord", f"--data_dir={tmp_path}", "--batch_size=7"]
    line = error_line(
        *TINY, "--train_examples=0", *flags, f"--run_dir={tmp_path / 'run'}"
    )
    assert "train-00001-of-00002 is no usable image" in line
    assert "the image at byte " in line
    assert (tmp_path / "run" / "flags.txt").exists()


def test_an_error_is_found_within_that_of_an_engine():
    inner = UsageError("a is wrong")
    outer = RuntimeError(
        "lng_keras._base.errors.UsageError: b is wrong\nTraceback\n  File ..."
    )
    assert errors.within(inner) is inner
    assert str(errors.within(outer)) == "b is wrong"
    assert errors.within(RuntimeError("another")) is None
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = inner
    assert errors.within(wrapped) is inner


@pytest.mark.filterwarnings("ignore")
def test_tfds_sets_of_many_sizes_are_scaled_and_counted(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("importlib_resources")
    rng = np.random.default_rng(0)

    def pixels(i):
        return rng.integers(256, size=(8 + i % 3, 8, 3), dtype=np.uint8)

    [path] = records.write_tfds(tmp_path, "sizes", (None, None, 3), pixels)
    loaded = data.load("sizes", tmp_path, image_size=6)
    assert loaded.train.images.shape == (20, 6, 6, 3)
    assert loaded.class_names == ("cat", "dog")
    flags = ["--dataset=sizes", f"--data_dir={tmp_path}", f"--run_dir={tmp_path}/run"]
    flags = [*TINY, "--train_examples=0", "--batch_size=8", *flags]
    assert "images differ in size" in error_line(*flags)
    first = next(tfrecords._records(path, path.read_bytes()))
    path.write_bytes(path.read_bytes()[: first[1] + 4])  # at the end of a record
    line = error_line(*flags, "--image_size=6")
    assert "has 1 examples instead of 20" in line
