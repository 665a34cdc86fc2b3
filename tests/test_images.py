import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.images import ImageSettings, RejectedImage, prepare_image, read_header

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"


def settings_with(**changes) -> ImageSettings:
    return ImageSettings.from_config(RunConfig(**{"denoise_method": "none", **changes}))


def encode(pixels: np.ndarray, name: str = ".jpg", quality: int = 95) -> bytes:
    return cv2.imencode(name, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def draw_galaxy(
    *, width_px=424, height_px=424, shift_x_px=0.0, shift_y_px=0.0, angle_degrees=0.0, sigma_px=24.0
) -> np.ndarray:
    """An elliptical Gaussian, twice as long as wide, measured from the centre of the image."""
    y, x = np.mgrid[:height_px, :width_px]
    x = x - (width_px - 1) / 2 - shift_x_px
    y = y - (height_px - 1) / 2 - shift_y_px
    turn = np.deg2rad(angle_degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    light = 230 * np.exp(-((along / sigma_px) ** 2 + (2 * across / sigma_px) ** 2) / 2)
    return np.repeat(np.round(light).astype(np.uint8)[..., None], 3, axis=2)


def measure(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """Offset of the centroid from the image's centre (x, y), angle in degrees, long axis sigma."""
    light = pixels.astype(float).sum(axis=2)
    light[light < 12] = 0
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    centre_x, centre_y = (np.average(axis, weights=light) for axis in (x, y))
    spread = np.cov(np.stack([x.ravel(), y.ravel()]), aweights=light.ravel())
    values, vectors = np.linalg.eigh(spread)
    angle = np.rad2deg(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
    sides = light.shape[1], light.shape[0]
    return (
        centre_x - (sides[0] - 1) / 2,
        centre_y - (sides[1] - 1) / 2,
        float(angle),
        float(np.sqrt(values[1])),
    )


@pytest.mark.parametrize("crop_fraction", [1.0, 0.8, 0.5])
@pytest.mark.parametrize("size_px", [224, 112, 64])
@pytest.mark.parametrize("source_px", [(424, 424), (423, 423), (512, 405), (1001, 1001)])
def test_a_galaxy_stays_in_its_place_and_keeps_its_angle(source_px, size_px, crop_fraction):
    width_px, height_px = source_px
    sigma_px = min(source_px) / 18
    drawn = draw_galaxy(
        width_px=width_px, height_px=height_px, angle_degrees=30.0, sigma_px=sigma_px,
        shift_x_px=0.02 * width_px, shift_y_px=-0.01 * height_px,
    )  # fmt: skip
    prepared = prepare_image(
        encode(drawn), settings_with(image_size_px=size_px, crop_fraction=crop_fraction)
    )
    scale = size_px / (crop_fraction * min(source_px))
    x, y, angle, sigma = measure(prepared)
    assert prepared.shape == (size_px, size_px, 3)
    # A tenth of a pixel: the cut is in whole pixels, which moves the scale by up to 1 in 64.
    assert x == pytest.approx(0.02 * width_px * scale, abs=0.1)
    assert y == pytest.approx(-0.01 * height_px * scale, abs=0.1)
    assert angle == pytest.approx(30.0, abs=0.7)
    _, _, _, sigma_before = measure(drawn)
    assert sigma == pytest.approx(sigma_before * scale, rel=0.03)


@pytest.mark.parametrize("side_px", [423, 424, 425, 430, 437])
def test_a_centred_galaxy_stays_centred_whatever_the_side_of_the_cutout(side_px):
    prepared = prepare_image(
        encode(draw_galaxy(width_px=side_px, height_px=side_px)), settings_with(crop_fraction=1.0)
    )
    x, y, _, _ = measure(prepared)
    assert (x, y) == pytest.approx((0, 0), abs=0.03)


def test_the_colours_come_red_first():
    red = np.zeros((300, 300, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes blue, green, red
    for name in (".png", ".jpg"):
        pixel = prepare_image(encode(red, name), settings_with())[112, 112].astype(int)
        assert np.abs(pixel - (200, 0, 0)).max() <= 3


@pytest.mark.parametrize("name", [".png", ".jpg"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.5])
@pytest.mark.parametrize("size_px", [224, 100, 50])
def test_scaling_keeps_the_mean_light(name, crop_fraction, size_px):
    rng = np.random.default_rng(7)
    noisy = np.clip(draw_galaxy() / 2 + rng.normal(60, 15, (424, 424, 1)), 0, 255).astype(np.uint8)
    cut = round(424 * (1 - crop_fraction) / 2)
    expected = noisy[cut : 424 - cut, cut : 424 - cut].mean()
    prepared = prepare_image(
        encode(noisy, name), settings_with(crop_fraction=crop_fraction, image_size_px=size_px)
    )
    assert prepared.mean() == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("name", [".png", ".jpg"])
@pytest.mark.parametrize("size_px", [224, 150, 100, 64])
def test_detail_too_fine_for_the_target_turns_grey_and_makes_no_pattern(name, size_px):
    y, x = np.mgrid[:424, :424]
    board = (((x + y) % 2) * 255).astype(np.uint8)
    prepared = prepare_image(
        encode(np.repeat(board[..., None], 3, axis=2), name, quality=100),
        settings_with(crop_fraction=1.0, image_size_px=size_px),
    )
    assert prepared.mean() == pytest.approx(127.5, abs=1.5)
    # Nearest neighbours would leave a standard deviation of 127, linear interpolation up to 60.
    naive = cv2.resize(np.repeat(board[..., None], 3, axis=2), (size_px, size_px))
    assert prepared.std() < 12
    assert prepared.std() < 0.5 * naive.std()


def test_a_reduced_decoding_differs_little_from_averaging_areas():
    rng = np.random.default_rng(3)
    sky = cv2.GaussianBlur(rng.normal(30, 12, (424, 424, 3)), (3, 3), 0)
    data = encode(np.clip(draw_galaxy(angle_degrees=50) * 0.8 + sky, 0, 255).astype(np.uint8))
    obvious = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    obvious = cv2.resize(obvious, (224, 224), interpolation=cv2.INTER_AREA)
    obvious = cv2.GaussianBlur(obvious, (3, 3), 0.8)[..., ::-1]
    prepared = prepare_image(
        data,
        settings_with(crop_fraction=1.0, denoise_method="gaussian", gaussian_sigma_px=0.8),
    )
    assert cv2.PSNR(prepared, np.ascontiguousarray(obvious)) >= 45


def test_enlarging_invents_no_light():
    prepared = prepare_image(
        encode(draw_galaxy(width_px=100, height_px=100, sigma_px=8)), settings_with()
    )
    x, y, _, sigma = measure(prepared)
    assert (x, y) == pytest.approx((0, 0), abs=0.15)
    assert sigma == pytest.approx(8 * 224 / 50, rel=0.05)
    assert prepared.max() <= 240


def test_every_size_and_crop_gives_the_asked_shape():
    for source_px in ((1, 1), (2, 3), (33, 500), (424, 424)):
        for crop_fraction in (0.1, 0.33, 1.0):
            for name in (".png", ".jpg"):
                data = encode(np.full((*source_px, 3), 77, np.uint8), name)
                prepared = prepare_image(
                    data, settings_with(image_size_px=40, crop_fraction=crop_fraction)
                )
                assert prepared.shape == (40, 40, 3)
                assert np.abs(prepared.astype(int) - 77).max() <= 1


@pytest.mark.parametrize("method", ["gaussian", "median", "bilateral", "non_local_means"])
def test_every_filter_removes_noise_and_keeps_the_mean(method):
    rng = np.random.default_rng(1)
    clean = np.clip(
        draw_galaxy(width_px=96, height_px=96, sigma_px=12).astype(float) / 2 + 60, 0, 255
    )
    data = encode((clean + rng.normal(0, 6, clean.shape)).astype(np.uint8), ".png")
    asked = {"image_size_px": 96, "crop_fraction": 1.0, "gaussian_sigma_px": 0.8}
    asked |= {"bilateral_sigma_grey": 30.0, "non_local_means_strength_grey": 8.0}
    before = prepare_image(data, settings_with(**asked))
    after = prepare_image(data, settings_with(**asked, denoise_method=method))
    assert np.std(after - clean) < 0.75 * np.std(before - clean)
    assert after.mean() == pytest.approx(before.mean(), abs=0.6)


def test_a_median_filter_removes_a_lone_bright_pixel():
    pixels = np.full((64, 64, 3), 20, np.uint8)
    pixels[30, 30] = 255
    asked = {"image_size_px": 64, "crop_fraction": 1.0, "denoise_method": "median"}
    prepared = prepare_image(encode(pixels, ".png"), settings_with(**asked))
    assert (prepared == 20).all()


def png_claiming(width_px: int, height_px: int, *, bits: int = 8, colours: int = 2) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, bits, colours, 0, 0, 0)
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
    "a greyscale JPEG": (encode(np.zeros((64, 64), np.uint8)), "wrong_channels"),
    "a greyscale PNG": (encode(np.zeros((64, 64), np.uint8), ".png"), "wrong_channels"),
    "a PNG with alpha": (encode(np.zeros((64, 64, 4), np.uint8), ".png"), "wrong_channels"),
    "a PNG of 16 bits": (encode(np.zeros((64, 64, 3), np.uint16), ".png"), "wrong_channels"),
    "a PNG with a palette": (png_claiming(64, 64, colours=3), "wrong_channels"),
    "a JPEG bomb": (jpeg_claiming(30000, 30000), "too_large"),
    "a PNG bomb": (png_claiming(2**31 - 1, 2**31 - 1), "too_large"),
    "a JPEG a pixel too wide": (jpeg_claiming(4097, 64), "too_large"),
    "a JPEG of no height": (jpeg_claiming(64, 0), "undecodable"),
    "a JPEG without tables": (GALAXY[:2] + GALAXY[GALAXY.index(b"\xff\xc0") :], "undecodable"),
    "a PNG without pixels": (png_claiming(64, 64), "undecodable"),
    "a JPEG without a size": (b"\xff\xd8\xff\xda\x00\x08" + bytes(50) + b"\xff\xd9", "undecodable"),
}


@pytest.mark.parametrize("what", REJECTED)
def test_a_file_that_is_no_whole_colour_image_is_refused_with_its_reason(what):
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


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/tmp", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_refusing_a_bomb_allocates_nothing(tmp_path):
    (tmp_path / "bomb.jpg").write_bytes(jpeg_claiming(30000, 30000))
    result = run_python(
        f"""
        import resource
        from pathlib import Path
        from galaxy_tasks.config import RunConfig
        from galaxy_tasks.images import ImageSettings, RejectedImage, prepare_image
        data = Path({str(tmp_path / "bomb.jpg")!r}).read_bytes()
        settings = ImageSettings.from_config(RunConfig())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            prepare_image(data, settings)
        except RejectedImage as error:
            print(error.reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    reason, grown_kib = result.stdout.split()
    assert reason == "too_large"
    assert int(grown_kib) < 1024  # decoding it would take 2.7 GB


OPENCL_SCRIPT = """
    import cv2, numpy as np
    from dataclasses import replace
    from galaxy_tasks.config import RunConfig
    from galaxy_tasks.images import ImageSettings, prepare_image
    if not cv2.ocl.haveOpenCL():
        raise SystemExit("no OpenCL")
    rng = np.random.default_rng(5)
    worst = 0
    for side_px in (424, 423):
        y, x = np.mgrid[:side_px, :side_px]
        light = 180 * np.exp(-((x - 200) ** 2 + 3 * (y - 220) ** 2) / 3000)[..., None]
        pixels = np.clip(light + rng.normal(40, 25, (side_px, side_px, 3)), 0, 255)
        data = cv2.imencode(".jpg", pixels.astype(np.uint8))[1].tobytes()
        for method in ("none", "gaussian"):
            for crop_fraction in (1.0, 0.7, 0.5):
                for size_px in (224, 100):
                    cpu = ImageSettings.from_config(RunConfig(
                        denoise_method=method, crop_fraction=crop_fraction, image_size_px=size_px))
                    one = prepare_image(data, cpu).astype(int)
                    other = prepare_image(data, replace(cpu, opencv_device="opencl"))
                    assert cv2.ocl.useOpenCL() and other.shape == one.shape
                    worst = max(worst, abs(one - other).max())
    for method in ("median", "bilateral", "non_local_means"):
        asked = ImageSettings.from_config(RunConfig(
            denoise_method=method, image_size_px=64, opencv_device="opencl"))
        assert prepare_image(data, asked).shape == (64, 64, 3)
    print(worst)
"""


def test_opencl_agrees_with_the_processor_within_one_grey_level(tmp_path):
    result = run_python(
        OPENCL_SCRIPT, OPENCV_OPENCL_DEVICE=":CPU:", POCL_CACHE_DIR=str(tmp_path / "pocl")
    )
    if "no OpenCL" in result.stderr:
        pytest.skip("OpenCV finds no OpenCL device (Debian's pocl-opencl-icd is one)")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) <= 1


def test_opencl_that_is_not_there_is_an_error_that_says_so():
    result = run_python(
        """
        from galaxy_tasks.config import RunConfig
        from galaxy_tasks.errors import InputError
        from galaxy_tasks.images import ImageSettings, require_opencl
        try:
            require_opencl()
        except InputError as error:
            print(error)
        """,
        OPENCV_OPENCL_RUNTIME="disabled",
    )
    assert "opencv_device is 'opencl'" in result.stdout
    assert "set opencv_device to 'cpu'" in result.stdout


@pytest.mark.parametrize(
    ("folder", "side_px"),
    [("galaxy_zoo_challenge/images_training_rev1", 424), ("galaxy_zoo_1/images", 423)],
)
def test_real_galaxies_come_out_as_an_area_average_would_have_them(folder, side_px):
    paths = sorted((REAL / folder).glob("*.jp*g"))[:25]
    if not paths:
        pytest.skip(f"no real galaxies in shared/data/{folder}")
    asked = settings_with(crop_fraction=1.0, denoise_method="gaussian", gaussian_sigma_px=0.8)
    for path in paths:
        header = read_header(path.read_bytes(), max_side_px=4096)
        assert (header.width_px, header.height_px) == (side_px, side_px)
        obvious = cv2.resize(cv2.imread(str(path)), (224, 224), interpolation=cv2.INTER_AREA)
        obvious = np.ascontiguousarray(cv2.GaussianBlur(obvious, (3, 3), 0.8)[..., ::-1])
        assert cv2.PSNR(prepare_image(path.read_bytes(), asked), obvious) >= 45
