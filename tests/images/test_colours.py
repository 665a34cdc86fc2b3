"""Every kind of image file becomes three colours of 8 bits by a stated rule, or is refused."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from fixtures.image_inputs import encode, settings_with
from fixtures.survey_inputs import encode_fits
from PIL import Image, PngImagePlugin

from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.prepare import prepare_image
from galaxy_tasks.images.rejected import RejectedImage

SIDE_PX = 40
RED, GREY = (200, 100, 60), 130
COLOUR = Image.new("RGB", (SIDE_PX, SIDE_PX), RED)
FAINT = Image.new("RGBA", (SIDE_PX, SIDE_PX), (*RED, 128))
SAME = Image.new("L", (SIDE_PX, SIDE_PX), GREY)
NOISE = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)


def write(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def deep(value: int | tuple[int, ...], name: str) -> bytes:
    bands = (SIDE_PX, SIDE_PX) if isinstance(value, int) else (SIDE_PX, SIDE_PX, len(value))
    return encode(np.full(bands, value, np.uint16), name)


def make_negative(value: int) -> bytes:
    """Return a greyscale TIFF of 16 bits in which 0 is white."""
    image = Image.fromarray(np.full((SIDE_PX, SIDE_PX), 65535 - value, np.uint16))
    data, tag = write(image, "TIFF"), struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert data.count(tag) == 1
    return data.replace(tag, struct.pack("<HHIHH", 262, 3, 1, 0, 0))


TEXT = PngImagePlugin.PngInfo()
TEXT.add_text("Comment", "neither tRNS nor acTL")
PALETTE = COLOUR.quantize(4)
TURNED = Image.new("RGB", (SIDE_PX, 2 * SIDE_PX), RED)
HALF = (100, 50, 30)
CONVERTED: dict[str, tuple[bytes, Any, str]] = {
    "colour PNG": (write(COLOUR, "PNG"), RED, "8-bit colour"),
    "greyscale JPEG": (write(SAME, "JPEG"), GREY, "8-bit greyscale"),
    "progressive greyscale": (write(SAME, "JPEG", progressive=True), GREY, "8-bit greyscale"),
    "greyscale PNG": (write(SAME, "PNG"), GREY, "8-bit greyscale"),
    "black and white PNG": (write(SAME.point(lambda _: 255, "1"), "PNG"), 255, "1-bit greyscale"),
    "opaque PNG": (write(COLOUR.convert("RGBA"), "PNG"), RED, "8-bit colour + alpha"),
    "half transparent PNG": (write(FAINT, "PNG"), HALF, "8-bit colour + alpha"),
    "grey with alpha": (write(SAME.convert("LA"), "PNG"), GREY, "8-bit greyscale + alpha"),
    "palette PNG": (write(PALETTE, "PNG"), RED, "1-bit palette"),
    "transparent entry": (write(PALETTE, "PNG", transparency=0), 0, "1-bit palette"),
    "transparent colour": (write(COLOUR, "PNG", transparency=RED), 0, "8-bit colour"),
    "PNG of 16 bits": (deep((15555, 25755, 51555), ".png"), (201, 100, 60), "16-bit colour"),
    "grey PNG of 16 bits": (deep(65535, ".png"), 255, "16-bit greyscale"),
    "16 bits, alpha": (
        deep((15420, 25700, 51400, 32896), ".png"), HALF, "16-bit colour + alpha",
    ),
    "TIFF": (write(COLOUR, "TIFF"), RED, "8-bit colour"),
    "TIFF, LZW": (write(COLOUR, "TIFF", compression="tiff_lzw"), RED, "8-bit colour"),
    "TIFF, upright": (write(TURNED, "TIFF", tiffinfo={274: 6}), RED, "8-bit colour"),
    "greyscale TIFF": (write(SAME, "TIFF"), GREY, "8-bit greyscale"),
    "TIFF with alpha": (write(FAINT, "TIFF"), HALF, "8-bit colour + alpha"),
    "palette TIFF": (write(PALETTE, "TIFF"), RED, "8-bit palette"),
    "grey TIFF of 16 bits": (deep(51400, ".tif"), 200, "16-bit greyscale"),
    "TIFF of 16 bits": (deep((15555, 25755, 51555), ".tif"), (201, 100, 60), "16-bit colour"),
    "negative TIFF of 16 bits": (make_negative(51400), 200, "16-bit greyscale"),
    "BigTIFF": (write(COLOUR, "TIFF", big_tiff=True), RED, "8-bit colour"),
    "grey PNG that speaks of tRNS": (write(SAME, "PNG", pnginfo=TEXT), GREY, "8-bit greyscale"),
    "WebP": (write(COLOUR, "WEBP", lossless=True), RED, "8-bit colour"),
    "WebP with alpha": (write(FAINT, "WEBP", lossless=True), HALF, "8-bit colour + alpha"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONVERTED)
def test_every_kind_becomes_three_colours_of_8_bits(kind):
    data, expected, colours = CONVERTED[kind]
    assert read_header(data, max_side_px=4096).colours == colours
    prepared = prepare_image(data, settings_with(image_size_px=SIDE_PX, crop_fraction=1.0))
    assert prepared.dtype == np.uint8
    assert np.abs(prepared.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", [".png", ".tif"])
def test_an_image_of_16_bits_is_the_upper_8_of_each(name):
    pixels = np.random.default_rng(0).integers(0, 65535, (SIDE_PX, SIDE_PX, 3), np.uint16)
    asked = settings_with(image_size_px=SIDE_PX, crop_fraction=1.0)
    assert (prepare_image(encode(pixels, name), asked) == (pixels >> 8)[..., ::-1]).all()


def point_to_page(position: int) -> bytes:
    """Return a TIFF that says it has another page, where there is none."""
    data = bytearray(write(COLOUR, "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    end = first + 2 + 12 * entries
    data[end : end + 4] = position.to_bytes(4, "little")
    return bytes(data)


PAGES = {"save_all": True, "append_images": [COLOUR, SAME.convert("RGB")]}
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "CMYK JPEG": (write(COLOUR.convert("CMYK"), "JPEG"), "unsupported", "CMYK"),
    "CMYK TIFF": (write(COLOUR.convert("CMYK"), "TIFF"), "unsupported", "CMYK"),
    "TIFF of floats": (encode(np.ones((9, 9), np.float32), ".tif"), "unsupported", "F of 32 bits"),
    "floats in colour": (encode(np.ones((9, 9, 3), np.float32), ".tif"), "unsupported", "8 bits"),
    "TIFF of pages": (write(SAME.convert("RGB"), "TIFF", **PAGES), "unsupported", "3 pictures"),
    "animated WebP": (write(SAME.convert("RGB"), "WEBP", **PAGES), "unsupported", "pictures"),
    "animated PNG": (write(SAME.convert("RGB"), "PNG", **PAGES), "unsupported", "animated"),
    "a transparent grey": (write(SAME, "PNG", transparency=GREY), "unsupported", "alpha channel"),
    "12 bits in a PNG": (deep(4095, ".png"), "unsupported", "4095 of 65535"),
    "12 bits in a TIFF": (deep((4095, 9, 9), ".tif"), "unsupported", "nearly black"),
    "GIF": (write(COLOUR, "GIF"), "not_an_image", "a GIF; an image must be JPEG, PNG"),
    "BMP": (write(COLOUR, "BMP"), "not_an_image", "a BMP"),
    "AVIF": (write(COLOUR, "AVIF"), "not_an_image", "HEIC or AVIF"),
    "a piece of FITS": (b"SIMPLE  =                    T", "undecodable", "FITS that cannot be"),
    "FITS of two bands": (encode_fits(np.ones((2, 9, 9))), "unsupported", "9 × 9 × 2: one band"),
    "FITS of a cube's cube": (encode_fits(np.ones((1, 3, 9, 9))), "unsupported", "one band or"),
    "FITS without an image": (encode_fits(None), "not_an_image", "FITS without an image"),
    "half a FITS": (encode_fits(np.ones((99, 99)))[:9_000], "undecodable", "damaged"),
    "a FITS too wide": (encode_fits(np.ones((4, 5000))), "too_large", "5000×4 px"),
    "half a TIFF": (write(Image.fromarray(NOISE), "TIFF")[:60_000], "undecodable", "truncated"),
    "a TIFF cut short": (write(SAME, "TIFF")[:9], "unsupported", "TIFF that is damaged or"),
    "half a WebP": (write(Image.fromarray(NOISE), "WEBP")[:9_000], "undecodable", "header"),
    "a TIFF with a wrong next page": (point_to_page(200), "undecodable", "broken header"),
    "a sound": (b"RIFF\x24\0\0\0WAVEfmt ", "not_an_image", "begins with b'RIFF"),
    "a TIFF too wide": (write(Image.new("L", (5000, 4)), "TIFF"), "too_large", "5000×4 px"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_converted_is_refused_with_the_reason(kind, capfd):
    data, reason, detail = REFUSED[kind]
    with pytest.raises(RejectedImage, match=detail) as caught:
        prepare_image(data, settings_with())
    assert caught.value.reason == reason
    assert capfd.readouterr().err == ""


def test_damage_inside_a_packed_tiff_is_found():
    data = bytearray(write(Image.fromarray(NOISE), "TIFF", compression="tiff_adobe_deflate"))
    data[60_000:60_500] = bytes(500)
    with pytest.raises(RejectedImage, match="the content is damaged"):
        prepare_image(bytes(data), settings_with())


def test_a_stored_orientation_turns_no_photo():
    left = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    left[:, : SIDE_PX // 2] = 255
    image = Image.fromarray(left)
    exif = image.getexif()
    exif[0x0112] = 6
    asked = settings_with(image_size_px=SIDE_PX, crop_fraction=1.0)
    for kind in ("JPEG", "PNG", "WEBP"):
        prepared = prepare_image(write(image, kind, exif=exif.tobytes()), asked)
        assert prepared[:, :15].min() > 200 > 50 > prepared[:, -15:].max()
