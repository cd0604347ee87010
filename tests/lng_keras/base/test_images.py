"""Image files are read as what they are, or refused in one line."""

import io
import struct

import numpy as np
import pytest

from lng_keras._base import images
from lng_keras._base.errors import UsageError
from tests.lng_keras.base.hostile_images import HOSTILE

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")
RNG = np.random.default_rng(0)
PIXELS = np.repeat(np.repeat(RNG.integers(256, size=(3, 4, 3)), 8, 0), 8, 1)
PIXELS = PIXELS.astype(np.uint8)


def encoded(image, kind="png", **how):
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def decoded(content, *arguments, **named):
    return images.decode(lambda: content, "a.png", *arguments, **named)


@pytest.mark.parametrize("case", HOSTILE)
def test_programs_and_bombs_are_refused_in_one_line(case):
    content, message = HOSTILE[case]
    with pytest.raises(UsageError, match=rf"^a\.png is no usable .*({message})"):
        decoded(content)


@pytest.mark.parametrize("error", [KeyError("x"), struct.error(), MemoryError()])
def test_whatever_pillow_raises_is_one_line(error):
    def read():
        raise error

    with pytest.raises(UsageError, match=r"^a\.png is no usable image \(.+\)"):
        images.decode(read, "a.png")


@pytest.mark.parametrize("kind", ["png", "ppm", "bmp", "webp", "gif"])
def test_pixels_are_those_that_were_saved(kind):
    image = Image.fromarray(PIXELS)
    how = {"lossless": True} if kind == "webp" else {}
    shown = decoded(encoded(image, kind, **how))
    np.testing.assert_array_equal(shown, PIXELS)


MODES = {  # mode -> channels it has by itself
    **{"L": 1, "1": 1, "LA": 3, "P": 3, "RGB": 3, "RGBA": 3, "CMYK": 3},
}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_becomes_grey_or_rgb(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    content = encoded(image, "jpeg" if mode == "CMYK" else "png")
    with Image.open(io.BytesIO(content)) as again:
        wanted = {1: again.convert("L"), 3: again.convert("RGB")}
        for channels in (1, 3):
            shown = decoded(content, channels)
            assert shown.shape == (*PIXELS.shape[:2], channels)
            np.testing.assert_array_equal(shown.squeeze(), np.asarray(wanted[channels]))
    assert decoded(content, None).shape[2] == MODES[mode]


def test_a_transparent_palette_gives_its_colours():
    image = Image.fromarray(PIXELS).convert("P")
    content = encoded(image, transparency=bytes(range(256)))
    np.testing.assert_array_equal(decoded(content), np.asarray(image.convert("RGB")))


def test_sixteen_bits_of_grey_are_refused():
    content = encoded(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257))
    with pytest.raises(UsageError, match="its pixels are no bytes but of mode I;16"):
        decoded(content)


def turned(orientation, kind="png"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(PIXELS), kind, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(orientation):
    content = turned(orientation)
    with Image.open(io.BytesIO(content)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decoded(content), wanted)
    assert (decoded(content).shape[0] == 32) == (orientation > 4)


def test_a_photograph_is_upright_before_it_is_cropped():
    large = Image.fromarray(PIXELS).resize((256, 192), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(large, "jpeg", exif=exif, quality=100, subsampling=0)
    shown = decoded(content, 3, (24, 32), crop=True)
    wanted = np.rot90(PIXELS[4::8, 4::8], -1)  # 4 x 3 tiles
    np.testing.assert_allclose(shown[4::8, 4::8].astype(int), wanted, atol=6)


def test_damaged_exif_leaves_a_sound_image_as_it_is():
    content = encoded(Image.fromarray(PIXELS), exif=b"Exif\0\0XXXXXXXXXX")
    np.testing.assert_array_equal(decoded(content), PIXELS)


def test_scaling_keeps_the_shape_only_with_crop():
    wide = np.zeros((8, 32, 3), np.uint8)
    wide[:, 8:24] = 255
    content = encoded(Image.fromarray(wide))
    assert decoded(content, 1, (8, 8)).min() == 0
    assert decoded(content, 1, (8, 8), crop=True).min() == 255
