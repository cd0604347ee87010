"""Batches are a pure function of seed, epoch and number."""

import keras
import numpy as np

from zoo.data import batches

IMAGES = np.random.default_rng(0).integers(256, size=(21, 6, 5, 3)).astype(np.uint8)
LABELS = np.arange(21) % 4


def make(epoch=0, **arguments):
    arguments = dict(batch_size=8, seed=3) | arguments
    return batches.Batches(IMAGES, LABELS, 4, epoch=epoch, **arguments)


def naive_crop_and_flip(image, offset, flip):
    padded = np.zeros((14, 13, 3), np.uint8)
    padded[4:10, 4:9] = image
    cropped = padded[offset[0] : offset[0] + 6, offset[1] : offset[1] + 5]
    return cropped[:, ::-1] if flip else cropped


def test_crop_and_flip_equals_the_loop_over_images():
    rng = np.random.default_rng(1)
    offsets, flips = batches.draw_crop_and_flip(rng, 21)
    assert offsets.min() == 0
    assert offsets.max() == 8
    fast = batches.crop_and_flip(IMAGES, offsets, flips)
    slow = [
        naive_crop_and_flip(*arguments)
        for arguments in zip(IMAGES, offsets, flips, strict=True)
    ]
    np.testing.assert_array_equal(fast, slow)


def test_every_example_is_seen_at_most_once_an_epoch():
    seen = np.concatenate([make().order[:16], make(first_batch=1).order[16:]])
    assert len(set(seen)) == 21
    assert len(make()) == 2
    assert len(make(first_batch=1)) == 1


def test_batches_repeat_and_epochs_differ():
    for i in range(2):
        np.testing.assert_array_equal(make()[i][0], make()[i][0])
        np.testing.assert_array_equal(make()[i][1], make()[i][1])
    assert not np.array_equal(make(0)[0][0], make(1)[0][0])
    assert not np.array_equal(make(0)[0][0], make(0, seed=4)[0][0])


def test_a_resumed_epoch_goes_on_with_the_same_batch():
    np.testing.assert_array_equal(make()[1][0], make(first_batch=1)[0][0])


def test_workers_share_the_batch_that_one_would_see():
    whole = make()[1]
    for k in range(2):
        parts = [make(worker=w, workers=2)[1][k] for w in range(2)]
        np.testing.assert_array_equal(whole[k][0::2], parts[0])
        np.testing.assert_array_equal(whole[k][1::2], parts[1])


def test_without_augmentation_the_pixels_are_scaled_only():
    plain = make(crop=False)
    images, labels = plain[0]
    chosen = plain.order[:8]
    np.testing.assert_allclose(
        images, IMAGES[chosen].astype(np.float64) / 127.5 - 1, atol=2e-7
    )
    assert images.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(labels.argmax(1), LABELS[chosen])
    np.testing.assert_array_equal(labels.sum(1), 1)


def test_crop_without_flip_never_mirrors():
    ramp = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None], (21, 6, 5, 3))
    only_crop = batches.Batches(ramp, LABELS, 4, 21, 0, 0, flip=False)
    with_flip = batches.Batches(ramp, LABELS, 4, 21, 0, 0)
    # Zeros of the padding aside, a row of the ramp falls only where it is mirrored.
    falls = [
        (np.diff(b[0][0][:, 3, :, 0]) < 0).sum(1).max() for b in (only_crop, with_flip)
    ]
    assert falls[0] <= 1 < falls[1]


def test_what_keras_is_given_are_the_same_batches():
    dataset = make()
    fed = dataset.for_keras()
    if keras.backend.backend() != "tensorflow":
        assert fed is dataset
        return
    # With it the end of an epoch may wait for up to a minute: see tensorflow_data.py.
    assert fed.options().autotune.enabled is False
    assert len(fed) == len(dataset)
    for got, wanted in zip(fed, [make().make(i) for i in range(2)], strict=True):
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
