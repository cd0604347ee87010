"""Data sets: the sample, official batches, image folders, and what is refused."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from lng_keras._base import images
from lng_keras._base.errors import UsageError
from zoo import data
from zoo.data import cifar, encoded_images, tfds_data


@pytest.fixture
def small_batches(monkeypatch):
    """Official batches of 20 images instead of 10,000."""
    monkeypatch.setattr(cifar, "_IMAGES", 20)


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 strings, as the official batches have them."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        self.write(pickle.BINSTRING + len(text).to_bytes(4, "little") + text)
        self.memoize(text)

    dispatch[bytes] = save_str


def make_batch(seed):
    rng = np.random.default_rng(seed)
    planes = rng.integers(256, size=(20, 3072)).astype(np.uint8)
    return planes, rng.integers(10, size=20)


def python_batch(planes, labels):
    stream = io.BytesIO()
    content = {b"data": planes, b"labels": labels.tolist(), b"batch_label": b"batch"}
    Python2Pickler(stream, protocol=2).dump(content)
    return stream.getvalue()


def binary_batch(planes, labels):
    return np.column_stack([labels.astype(np.uint8), planes]).tobytes()


def write_batches(folder, kind):
    folder.mkdir()
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for seed, name in enumerate(names):
        if kind == "python":
            (folder / name).write_bytes(python_batch(*make_batch(seed)))
        else:
            (folder / f"{name}.bin").write_bytes(binary_batch(*make_batch(seed)))


def test_sample_is_balanced_real_and_small():
    sample = data.load()
    assert sample.train.images.shape == (4000, 32, 32, 3)
    assert sample.test.images.shape == (1000, 32, 32, 3)
    assert set(np.bincount(sample.train.labels)) == {400}
    assert set(np.bincount(sample.test.labels)) == {100}
    both = np.concatenate([sample.train.images, sample.test.images])
    assert len(np.unique(both.reshape(5000, -1), axis=0)) == 5000
    assert "sample" in sample.source
    assert "--dataset=cifar10" in sample.source


@pytest.mark.skipif("LNG_KERAS_DATA_DIR" not in os.environ, reason="needs CIFAR-10")
@pytest.mark.slow
def test_sample_is_the_first_images_of_each_class():
    sample = data.load()
    full = data.load("cifar10", os.environ["LNG_KERAS_DATA_DIR"])
    for small, large in ((sample.train, full.train), (sample.test, full.test)):
        for k in range(10):
            ours = small.images[small.labels == k]
            theirs = large.images[large.labels == k][: len(ours)]
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["python", "bin"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.usefixtures("small_batches")
def test_official_batches_are_read(tmp_path, kind, packed):
    folder = tmp_path / f"cifar-10-batches-{'py' if kind == 'python' else 'bin'}"
    write_batches(folder, kind)
    if packed:
        archive = f"cifar-10-{'python' if kind == 'python' else 'binary'}.tar.gz"
        with tarfile.open(tmp_path / archive, "w:gz") as tar:
            tar.add(folder, "some-folder")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    loaded = data.load("cifar10", tmp_path)
    planes, labels = make_batch(1)
    assert loaded.train.images.shape == (100, 32, 32, 3)
    np.testing.assert_array_equal(loaded.train.labels[20:40], labels)
    np.testing.assert_array_equal(
        loaded.train.images[20], planes[0].reshape(3, 32, 32).transpose(1, 2, 0)
    )
    np.testing.assert_array_equal(loaded.test.labels, make_batch(5)[1])


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile_was_here",)


BAD_BATCHES = {
    "code": (pickle.dumps(Hostile()), "asks for"),
    "code in a batch": (
        pickle.dumps({b"data": Hostile(), b"labels": [0] * 20}),
        "asks for",
    ),
    "no dict": (pickle.dumps([1, 2]), "no dict"),
    "floats": (
        pickle.dumps({b"data": np.zeros((20, 3072)), b"labels": [0] * 20}),
        "no uint8",
    ),
    "few images": (
        pickle.dumps({b"data": np.zeros((9, 3072), np.uint8), b"labels": [0] * 9}),
        "shape",
    ),
    "labels out of range": (
        pickle.dumps({b"data": np.zeros((20, 3072), np.uint8), b"labels": [10] * 20}),
        "labels from 10",
    ),
    "words as labels": (
        pickle.dumps({b"data": np.zeros((20, 3072), np.uint8), b"labels": ["a"] * 20}),
        "not 10000 ints",
    ),
    "truncated": (python_batch(*make_batch(0))[:-40], "not an official"),
    "empty": (b"", "not an official"),
    "text": (b"<html>not found</html>", "not an official"),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
@pytest.mark.usefixtures("small_batches")
def test_bad_batches_are_refused_in_one_line(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    content, message = BAD_BATCHES[case]
    folder = tmp_path / "cifar-10-batches-py"
    write_batches(folder, "python")
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        data.load("cifar10", tmp_path)
    assert not (tmp_path / "hostile_was_here").exists()


@pytest.mark.usefixtures("small_batches")
def test_truncated_binary_batch_is_refused(tmp_path):
    write_batches(tmp_path / "b", "bin")
    content = (tmp_path / "b" / "test_batch.bin").read_bytes()
    (tmp_path / "b" / "test_batch.bin").write_bytes(content[:-1])
    with pytest.raises(UsageError, match="61459 bytes instead of 61460"):
        data.load("cifar10", tmp_path / "b")


@pytest.mark.usefixtures("small_batches")
def test_missing_batch_is_named(tmp_path):
    write_batches(tmp_path / "b", "python")
    (tmp_path / "b" / "data_batch_4").unlink()
    with pytest.raises(UsageError, match="lacks data_batch_4"):
        data.load("cifar10", tmp_path / "b")


def test_archive_with_a_bomb_is_refused_unread(tmp_path):
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("../../../tmp/data_batch_1")
        member.size = 100 << 20
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(UsageError, match="declares 104857600 bytes"):
        data.load("cifar10", tmp_path)


def test_truncated_archive_is_refused(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("data_batch_1")
        member.size = 1 << 20
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    path.write_bytes(path.read_bytes()[: 1 << 19])
    with pytest.raises(UsageError, match="truncated"):
        data.load("cifar10", tmp_path)


def write_images(folder, classes=("cat", "dog"), n=10, size=(8, 6), suffix="png"):
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(256, size=(size[1], size[0], 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03d}.{suffix}")


def test_folder_of_classes_is_split_by_name(tmp_path):
    write_images(tmp_path)
    loaded = data.load("folder", tmp_path)
    assert loaded.class_names == ("cat", "dog")
    assert loaded.train.images.shape == (18, 6, 8, 3)
    np.testing.assert_array_equal(loaded.test.labels, [0, 1])
    tenth = np.asarray(Image.open(tmp_path / "cat" / "009.png"))
    np.testing.assert_array_equal(loaded.test.images[0], tenth)


def test_folder_with_train_and_test_is_taken_as_it_is(tmp_path):
    write_images(tmp_path / "train", n=3)
    write_images(tmp_path / "val", n=2)
    loaded = data.load("folder", tmp_path, grayscale=True)
    assert loaded.train.images.shape == (6, 6, 8, 1)
    assert len(loaded.test) == 4


@pytest.mark.parametrize(("train", "test"), [("Train", "valid"), ("training", "Eval")])
def test_split_folders_have_the_names_people_give_them(tmp_path, train, test):
    write_images(tmp_path / train, n=3)
    write_images(tmp_path / test, n=2)
    loaded = data.load("folder", tmp_path)
    assert loaded.class_names == ("cat", "dog")
    assert (len(loaded.train), len(loaded.test)) == (6, 4)


def test_a_class_may_be_called_train(tmp_path):
    write_images(tmp_path)
    (tmp_path / "dog").rename(tmp_path / "train")
    assert data.load("folder", tmp_path).class_names == ("cat", "train")


def test_image_size_scales_and_crops(tmp_path):
    write_images(tmp_path, size=(9, 7))
    (tmp_path / "cat" / "000.png").unlink()
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "cat" / "000.png")
    loaded = data.load("folder", tmp_path, image_size=5)
    assert loaded.train.images.shape[1:] == (5, 5, 3)
    np.testing.assert_array_equal(
        loaded.train.images[0], np.broadcast_to([200, 10, 10], (5, 5, 3))
    )


def test_large_folders_are_decoded_when_asked(tmp_path, monkeypatch):
    write_images(tmp_path)
    eager = data.load("folder", tmp_path)
    monkeypatch.setattr(encoded_images, "IN_MEMORY_BYTES", 0)
    lazy = data.load("folder", tmp_path)
    assert isinstance(lazy.train.images, encoded_images.EncodedImages)
    few, many = np.array([3, 1]), np.arange(18)[::-1]
    for indices in (few, many):
        np.testing.assert_array_equal(
            lazy.train.images[indices], eager.train.images[indices]
        )
    subset = data.select(lazy, train_examples=4).train
    assert subset.images.shape == (4, 6, 8, 3)


def test_image_that_claims_too_many_pixels_is_refused(tmp_path, monkeypatch):
    write_images(tmp_path)
    monkeypatch.setattr(images, "_LARGEST_PIXELS", 47)
    with pytest.raises(UsageError, match="claims 8 x 6"):
        data.load("folder", tmp_path)


def make_data(**changes):
    images = np.zeros((6, 4, 4, 3), np.uint8)
    split = data.Split(images, np.array([0, 1, 2, 0, 1, 2]))
    values = dict(
        name="x", train=split, test=split, class_names=("a", "b", "c"), source=""
    )
    return data.Data(**(values | changes))


BAD_DATA = {
    "label too large": (np.zeros((2, 4, 4, 3), np.uint8), [0, 3], "labels of x go"),
    "label too small": (np.zeros((2, 4, 4, 3), np.uint8), [0, -1], "labels of x go"),
    "one class": (np.zeros((2, 4, 4, 3), np.uint8), [1, 1], "of one class, 'b'"),
    "floats": (np.full((2, 4, 4, 3), np.nan), [0, 1], "float64 of shape"),
    "flat": (np.zeros((2, 48), np.uint8), [0, 1], "uint8 of shape"),
    "no images": (np.zeros((0, 4, 4, 3), np.uint8), [], "0 images and 0 labels"),
    "lost label": (np.zeros((2, 4, 4, 3), np.uint8), [0], "2 images and 1 labels"),
    "other size": (np.zeros((2, 5, 4, 3), np.uint8), [0, 1], "--image_size=N"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_unfit_data_is_refused(case):
    images, labels, message = BAD_DATA[case]
    split = data.Split(images, np.array(labels, np.int64))
    with pytest.raises(UsageError, match=message):
        data.check(make_data(train=split))


def test_validation_and_training_images_are_disjoint_and_balanced():
    sample = data.load()
    marked = np.arange(4000)
    order = np.random.default_rng(0).permutation(4000)
    numbered = data.Split(np.stack([marked] * 2, 1)[order], sample.train.labels[order])
    validation = 4000 - 1 - data.balanced_choice(numbered.labels[::-1], 500)
    rest = np.setdiff1d(marked, validation)
    train = rest[data.balanced_choice(numbered.labels[rest], 1000)]
    assert not set(train) & set(validation)
    assert set(np.bincount(numbered.labels[validation])) == {50}
    assert set(np.bincount(numbered.labels[train])) == {100}
    selected = data.select(sample, train_examples=1000, validation_examples=500)
    assert (len(selected.train), len(selected.validation)) == (1000, 500)
    # The last of each class validate, the first train.
    np.testing.assert_array_equal(selected.train.images[0], sample.train.images[0])
    np.testing.assert_array_equal(
        selected.validation.images[-1], sample.train.images[-1]
    )


def test_balanced_choice_fills_up_from_larger_classes():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    np.testing.assert_array_equal(data.balanced_choice(labels, 5), [0, 1, 4, 5, 6])


def test_asking_for_too_many_examples_is_refused():
    with pytest.raises(UsageError, match="more than the 6 training images"):
        data.select(make_data(), train_examples=4, validation_examples=3)
    with pytest.raises(UsageError, match="more than the 6 training images"):
        data.select(make_data(), validation_examples=6)


def test_random_labels_depend_on_the_seed_alone():
    sample = data.load()
    first = data.randomize_labels(sample, 1).train.labels
    np.testing.assert_array_equal(first, data.randomize_labels(sample, 1).train.labels)
    assert np.mean(first == data.randomize_labels(sample, 2).train.labels) < 0.15
    assert np.mean(first == sample.train.labels) < 0.15
    # Uniform: each class within 5 standard deviations of 400.
    assert np.abs(np.bincount(first, minlength=10) - 400).max() < 5 * 19
    with pytest.raises(UsageError, match="3999 labels"):
        data.with_train_labels(sample, first[:-1])


def test_grayscale_is_the_luma_that_pillow_computes():
    sample = data.load(grayscale=True)
    color = data.load().test.images[7]
    pillow = np.asarray(Image.fromarray(color).convert("L")).astype(int)
    difference = np.abs(sample.test.images[7, :, :, 0].astype(int) - pillow)
    assert difference.max() <= 1  # Pillow rounds in fixed point


def test_checksum_sees_a_single_pixel_and_label():
    one = make_data()
    images, labels = one.train.images.copy(), one.train.labels.copy()
    images[0, 0, 0, 0] = 1
    labels[0] = 1
    sums = {
        data.checksum(one),
        data.checksum(make_data(train=data.Split(images, one.train.labels))),
        data.checksum(make_data(train=data.Split(one.train.images, labels))),
    }
    assert len(sums) == 3


def test_absent_data_fails_within_seconds_offline(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds_data, "reachable", lambda host: False)
    with pytest.raises(UsageError, match="does not answer; give --data_dir"):
        data.load("cifar10", tmp_path)


def test_unknown_data_set_is_refused(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(UsageError, match="does not know --dataset=cifar11"):
        data.load("cifar11", tmp_path)


def test_unreachable_host_is_noticed_within_its_time():
    # TEST-NET-1, which no router knows: either refused at once or never answered.
    assert not tfds_data.reachable("192.0.2.1", seconds=0.5)


@pytest.mark.skipif("LNG_KERAS_DATA_DIR" not in os.environ, reason="needs MNIST")
@pytest.mark.slow
def test_prepared_tfds_data_is_read_without_a_network():
    pytest.importorskip("tensorflow_datasets")
    mnist = data.load("mnist", os.environ["LNG_KERAS_DATA_DIR"])
    assert mnist.train.images.shape == (60000, 28, 28, 1)
    assert len(mnist.test) == 10000
