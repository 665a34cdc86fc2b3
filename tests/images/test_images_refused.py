"""A file that is no whole image is refused with its reason, and costs no memory."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from fixtures.image_inputs import REAL, draw_galaxy, encode, run_python, settings_with

from galaxy_tasks.errors import InputError
from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.prepare import prepare_image
from galaxy_tasks.images.rejected import RejectedImage


def png_claiming(width_px: int, height_px: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


def jpeg_claiming(width_px: int, height_px: int) -> bytes:
    data = bytearray(encode(draw_galaxy(width_px=64, height_px=64)))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height_px, width_px)
    return bytes(data)


GALAXY = encode(draw_galaxy(width_px=128, height_px=128))
GALAXY_PNG = encode(draw_galaxy(width_px=128, height_px=128), ".png")
REJECTED = {
    "no bytes": (b"", "empty"),
    "a web page": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not_an_image"),
    "a GIF": (b"GIF89a" + bytes(100), "not_an_image"),
    "half a JPEG": (GALAXY[: len(GALAXY) // 2], "truncated"),
    "a JPEG less its last two bytes": (GALAXY[:-2], "truncated"),
    "a JPEG of three bytes": (GALAXY[:3], "truncated"),
    "a JPEG that ends in its header": (GALAXY[:100], "truncated"),
    "half a PNG": (GALAXY_PNG[: len(GALAXY_PNG) // 2], "truncated"),
    "a PNG's signature": (GALAXY_PNG[:8], "truncated"),
    "a JPEG bomb": (jpeg_claiming(30000, 30000), "too_large"),
    "a PNG bomb": (png_claiming(2**31 - 1, 2**31 - 1), "too_large"),
    "a JPEG a pixel too wide": (jpeg_claiming(4097, 64), "too_large"),
    "a JPEG of no height": (jpeg_claiming(64, 0), "undecodable"),
    "a JPEG without tables": (GALAXY[:2] + GALAXY[GALAXY.index(b"\xff\xc0") :], "undecodable"),
    "a PNG without pixels": (png_claiming(64, 64), "undecodable"),
    "a JPEG without a size": (b"\xff\xd8\xff\xda\x00\x08" + bytes(50) + b"\xff\xd9", "undecodable"),
}


def draw_noisy() -> np.ndarray:
    noise = np.random.default_rng(0).normal(20, 8, (424, 424, 3))
    return np.clip(draw_galaxy() + noise, 0, 255).astype(np.uint8)


NOISY = encode(draw_noisy(), quality=80)
NOISY_PROGRESSIVE = cv2.imencode(".jpg", draw_noisy(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
NOISY_PNG = encode(draw_noisy(), ".png")
JPEG_END, PNG_END = b"\xff\xd9", GALAXY_PNG[-12:]
MIDDLE = len(NOISY) // 2
DAMAGED = {
    **{
        f"{share} of a JPEG and an end marker": NOISY[: int(share * len(NOISY))] + JPEG_END
        for share in (0.1, 0.6, 0.9, 0.99)
    },
    "a JPEG with 2 kB of zeros": NOISY[:MIDDLE] + bytes(2048) + NOISY[MIDDLE + 2048 :],
    "a JPEG that lost 512 bytes": NOISY[:MIDDLE] + NOISY[MIDDLE + 512 :],
    "a progressive JPEG that lost half": NOISY_PROGRESSIVE.tobytes()[:MIDDLE] + JPEG_END,
    "half a PNG and an end": NOISY_PNG[: len(NOISY_PNG) // 2] + PNG_END,
    "a PNG with a wrong bit": NOISY_PNG[:5000] + bytes([NOISY_PNG[5000] ^ 1]) + NOISY_PNG[5001:],
}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("size_px", [64, 112, 224, 424])
def test_damage_before_the_end_of_a_file_is_found_at_every_size(what, size_px, capfd):
    with pytest.raises(
        RejectedImage, match=r"the content is damaged.*424.*: (Corrupt JPEG|libpng)"
    ):
        prepare_image(DAMAGED[what], settings_with(crop_fraction=1.0, image_size_px=size_px))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("grey", [0, 25, 128, 255])
def test_an_image_of_one_grey_is_whole(grey):
    pixels = np.full((424, 424, 3), grey, np.uint8)
    assert (prepare_image(encode(pixels), settings_with()) == grey).all()


@pytest.mark.skipif(not REAL.is_dir(), reason=f"needs the real cutouts in {REAL}")
def test_all_real_cutouts_are_whole():
    paths = list(REAL.rglob("*.jp*g"))
    assert len(paths) > 4000
    for path in paths:
        prepare_image(path.read_bytes(), settings_with(image_size_px=64))


@pytest.mark.parametrize("what", REJECTED)
def test_a_file_that_is_no_whole_image_is_refused_with_its_reason(what):
    data, reason = REJECTED[what]
    with pytest.raises(RejectedImage) as caught:
        prepare_image(data, settings_with())
    assert caught.value.reason == reason
    assert caught.value.detail
    assert isinstance(caught.value, InputError)


def test_no_truncation_of_a_jpeg_passes():
    for length in range(0, len(GALAXY), 37):
        with pytest.raises(RejectedImage):
            prepare_image(GALAXY[:length], settings_with())
    assert prepare_image(GALAXY, settings_with()).any()


def test_the_header_is_found_behind_thumbnails_comments_and_fill_bytes():
    thumbnail = encode(draw_galaxy(width_px=16, height_px=16))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    comment = b"\xff\xfe\x00\x06abcd" + b"\xff\xff\xff"
    data = GALAXY[:2] + segment + comment + GALAXY[2:]
    header = read_header(data, max_side_px=4096)
    assert (header.format, header.width_px, header.height_px) == ("jpeg", 128, 128)
    assert (prepare_image(data, settings_with()) == prepare_image(GALAXY, settings_with())).all()


def test_progressive_jpegs_are_read():
    pixels = draw_galaxy(width_px=128, height_px=90)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    header = read_header(data, max_side_px=4096)
    assert (header.width_px, header.height_px) == (128, 90)
    assert prepare_image(data, settings_with()).any()


def test_refusing_a_bomb_allocates_nothing(tmp_path):
    (tmp_path / "bomb.jpg").write_bytes(jpeg_claiming(30000, 30000))
    result = run_python(
        f"""
        from pathlib import Path
        from galaxy_tasks.config import RunConfig
        from galaxy_tasks.images.rejected import RejectedImage
        from galaxy_tasks.images.prepare import prepare_image
        from galaxy_tasks.images.settings import ImageSettings
        from tests.fixtures.peak_memory import read_peak_kib
        data = Path({str(tmp_path / "bomb.jpg")!r}).read_bytes()
        settings = ImageSettings.from_config(RunConfig())
        before = read_peak_kib()
        try:
            prepare_image(data, settings)
        except RejectedImage as error:
            print(error.reason, read_peak_kib() - before)
        """
    )
    reason, grown_kib = result.stdout.split()
    assert reason == "too_large"
    assert int(grown_kib) < 1024  # decoding it would take 2.7 GB
