"""keras-cv's augmentations: from the seed alone, and exact when an epoch is resumed."""

import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from zoo.data import augmentation, batches

IMAGES = np.random.default_rng(0).integers(256, size=(12, 8, 8, 3)).astype(np.uint8)


def epoch(name, first=0, seed=3, number=0):
    plain = batches.Batches(IMAGES, np.arange(12) % 3, 3, 4, seed, number, first)
    return [
        tuple(part.numpy() for part in batch)
        for batch in augmentation.augmented(plain, name, seed)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", augmentation.NAMES)
@pytest.mark.filterwarnings("ignore")  # keras-cv is frozen; its warnings are not ours
def test_augmented_epochs_repeat_and_resume_exactly(name):
    pytest.importorskip("keras_cv")
    whole = epoch(name)
    assert len(whole) == 3
    for again in (epoch(name), [*whole[:1], *epoch(name, first=1)]):
        for (images, labels), (others, other_labels) in zip(whole, again, strict=True):
            np.testing.assert_array_equal(images, others)
            np.testing.assert_array_equal(labels, other_labels)
    assert not np.array_equal(whole[0][0], epoch(name, seed=4)[0][0])
    assert min(images.min() for images, _ in whole) >= -1.001
    for _, labels in whole:
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)


def test_missing_keras_cv_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(augmentation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs keras_cv .*lng-keras\[train,cv\]"):
        augmentation.check_installed("mixup")
