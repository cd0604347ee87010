"""RandAugment, MixUp, CutMix: from the seed alone, and exact when resumed."""

import keras
import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from zoo.data import augmentation, batches

IMAGES = np.random.default_rng(0).integers(256, size=(12, 8, 8, 3)).astype(np.uint8)
KERAS, KERAS_CV = augmentation.NAMES[:3], augmentation.NAMES[3:]
# On JAX it takes minutes to trace RandAugment.
SLOW = {"rand": pytest.mark.slow} if keras.backend.backend() == "jax" else {}
TRACED = [pytest.param(name, marks=SLOW.get(name, ())) for name in KERAS]


def plain(first=0, seed=3, number=0):
    return batches.Batches(IMAGES, np.arange(12) % 3, 3, 4, seed, number, first)


def epoch(name, first=0, seed=3, number=0):
    return [
        tuple(part.numpy() for part in batch)
        for batch in augmentation.augmented(plain(first, seed, number), name, seed)
    ]


def assert_repeats_and_resumes(name):
    whole = epoch(name)
    assert len(whole) == 3
    for again in (epoch(name), [*whole[:1], *epoch(name, first=1)]):
        for (images, labels), (others, other_labels) in zip(whole, again, strict=True):
            np.testing.assert_array_equal(images, others)
            np.testing.assert_array_equal(labels, other_labels)
    assert not np.array_equal(whole[0][0], plain()[0][0])
    for other in (epoch(name, seed=4), epoch(name, number=1)):
        assert not np.array_equal(whole[0][0], other[0][0])
    assert min(images.min() for images, _ in whole) >= -1.001
    assert max(images.max() for images, _ in whole) <= 1.001
    for _, labels in whole:
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)
    mixes = any(len(np.unique(labels)) > 2 for _, labels in whole)
    assert mixes == (not name.endswith("rand"))


@pytest.mark.parametrize("name", TRACED)
def test_augmented_epochs_repeat_and_resume_exactly(name):
    pytest.importorskip("tensorflow")
    assert_repeats_and_resumes(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", KERAS_CV)
@pytest.mark.filterwarnings("ignore")  # keras-cv is frozen; its warnings are not ours
def test_epochs_of_keras_cv_repeat_and_resume_exactly(name):
    pytest.importorskip("keras_cv")
    assert_repeats_and_resumes(name)


@pytest.mark.parametrize("name", TRACED)
def test_a_batch_is_a_function_of_its_key_whatever_came_before(name):
    tf = pytest.importorskip("tensorflow")
    images, labels = plain()[0]
    signature = (
        *(tf.TensorSpec(a.shape, tf.float32) for a in (images, labels)),
        tf.TensorSpec((2,), tf.int64),
    )
    apply = augmentation._keras_layer(name, signature)
    # So many that RandAugment draws 32 times one of its 11 operations.
    keys = [np.array([k, 7 * k]) for k in range(16)]
    pixels = (images + 1) * 127.5
    forth = [apply(pixels, labels, key) for key in keys]
    back = [apply(pixels, labels, key) for key in keys[::-1]][::-1]
    for one, other in zip(forth, back, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len({a.numpy().tobytes() for a, _ in forth}) > 12


def test_missing_packages_are_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(augmentation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs keras_cv .*\[train,cv\]'"):
        augmentation.check_installed("cv_mixup")
    with pytest.raises(UsageError, match=r"needs tensorflow: .*\[train\]'"):
        augmentation.check_installed("mixup")
