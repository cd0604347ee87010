"""The shifts of the table robustness: what each does to an image."""

import colorsys

import numpy as np
import pytest

from experiments.tables import corruptions

pytestmark = pytest.mark.once(reason="computes with NumPy")


def pictures(n=2):
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)


def test_noise_has_the_stated_standard_deviation_and_its_seed():
    gray = np.full((20, 32, 32, 3), 128, np.uint8)
    for severity, std in zip((1, 5), (0.04, 0.10), strict=True):
        shifted = corruptions.corrupt(gray, "noise", severity)
        assert np.std(shifted / 255) == pytest.approx(std, rel=0.02)
        again = corruptions.corrupt(gray, "noise", severity)
        np.testing.assert_array_equal(shifted, again)
        assert (shifted != corruptions.corrupt(gray, "noise", severity, seed=1)).any()


def test_blur_spreads_a_point_over_its_own_channel_and_image():
    point = np.zeros((2, 9, 9, 3), np.uint8)
    point[0, 4, 4, 0] = 255
    shifted = corruptions.corrupt(point, "blur", 5)
    assert shifted[1].max() == 0
    assert shifted[..., 1:].max() == 0
    # A Gaussian of 1 pixel: exp(-1/2) of the center one pixel away.
    ratio = shifted[0, 4, 5, 0] / shifted[0, 4, 4, 0]
    assert ratio == pytest.approx(np.exp(-0.5), abs=0.05)


def test_brightness_adds_to_the_value_of_hsv():
    images = pictures(1)
    images[0, 0, 0] = 0  # black becomes grey
    shifted = corruptions.corrupt(images, "brightness", 3)
    for pixel, bright in zip(
        images.reshape(-1, 3), shifted.reshape(-1, 3), strict=True
    ):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
        wanted = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.15, 1))
        # One step of 255: the result is truncated as in CIFAR-10-C.
        np.testing.assert_allclose(bright, 255 * np.array(wanted), atol=1.001)


def test_contrast_keeps_the_mean_and_shrinks_the_rest():
    images = pictures()
    shifted = corruptions.corrupt(images, "contrast", 2) / 255
    images = images / 255
    mean = images.mean(axis=(1, 2))
    np.testing.assert_allclose(shifted.mean(axis=(1, 2)), mean, atol=0.005)
    np.testing.assert_allclose(
        shifted.std(axis=(1, 2)), 0.5 * images.std(axis=(1, 2)), atol=0.005
    )


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_severities_grow_and_images_stay_images(name):
    # Smooth pictures: blur hardly changes noise's own statistics.
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    image = 100 + 60 * np.sin(x / 2) * np.cos(y / 2)
    images = np.repeat(image[None, :, :, None], 3, axis=-1).astype(np.uint8)
    distances = []
    for severity in corruptions.SEVERITIES:
        shifted = corruptions.corrupt(images, name, severity)
        assert shifted.dtype == np.uint8
        assert shifted.shape == images.shape
        distances.append(np.abs(shifted.astype(int) - images).mean())
    assert distances == sorted(distances)
    assert distances[0] > 0
