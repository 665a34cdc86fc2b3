"""A galaxy keeps its place, angle, colours and light, whatever the sizes and filters."""

import cv2
import numpy as np
import pytest
from fixtures.image_inputs import REAL, draw_galaxy, encode, settings_with

from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.prepare import prepare_image


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
