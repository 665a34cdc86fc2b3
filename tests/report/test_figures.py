import base64
import io
from dataclasses import asdict

import numpy as np
from matplotlib import image as mpl_image

from galaxy_tasks.report.figures import (
    LOSS_PANEL,
    SCORE_PANEL,
    draw_curves,
    encode_jpeg_url,
    find_limits,
    lay_heat_over,
)
from galaxy_tasks.report.templates import DARK, LIGHT

SCORES = ("epoch", "loss", "val_loss", "val_accuracy", "val_macro_f1", "mean_val_macro_f1")
HISTORY = [
    {**dict(zip(SCORES, values, strict=True)), "is_kept": values[0] == 3}
    for values in (
        (1, 2.0, 3.0, 0.4, 0.3, 0.3),
        (2, 1.0, 1.5, 0.7, 0.6, 0.45),
        (3, 0.5, 2.0, 0.6, 0.6, 0.5),
    )
]
BROKEN = [{"epoch": 1, "loss": float("nan"), "val_macro_f1": None}]


def test_limits_hold_the_curves_of_all_models_and_pass_over_missing_values():
    low, high = find_limits([HISTORY, [{"epoch": 1, "loss": 5.0}], BROKEN], LOSS_PANEL)
    assert (low, high) == (0.5 - 0.225, 5.0 + 0.225)
    assert find_limits([BROKEN], LOSS_PANEL) == (0.0, 1.0)


def draw(history, panel=LOSS_PANEL):
    return draw_curves([history], panel=panel, limits=(0, 1), description="curves")


def read_svg(url):
    head, _, body = url.partition(",")
    assert head == "data:image/svg+xml;base64"
    return base64.b64decode(body).decode()


def test_a_drawing_is_the_same_each_time_and_has_the_colours_of_each_page():
    drawing = draw(HISTORY, SCORE_PANEL)
    assert drawing == draw(HISTORY, SCORE_PANEL)
    for url, own, other in ((drawing.light, LIGHT, DARK), (drawing.dark, DARK, LIGHT)):
        svg = read_svg(url)
        assert all(colour in svg for colour in asdict(own).values())
        assert not any(colour in svg for colour in asdict(other).values())


def test_one_epoch_and_broken_values_can_be_drawn():
    for history in (HISTORY[:1], BROKEN):
        assert "Loss" in read_svg(draw(history).light)


def test_an_image_comes_back_from_its_data_address():
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    image[:, 32:] = (200, 100, 50)
    head, _, body = encode_jpeg_url(image).partition(",")
    assert head == "data:image/jpeg;base64"
    decoded = mpl_image.imread(io.BytesIO(base64.b64decode(body)), format="jpg")
    assert decoded.shape == (48, 64, 3)
    assert abs(decoded.astype(int) - image)[:, 40:].max() < 6


def test_heat_colours_only_where_it_is():
    image = np.full((2, 2, 3), (30, 60, 90), np.uint8)
    shown = lay_heat_over(image, np.array([[0, 128], [0, 255]], np.uint8))
    assert shown.dtype == np.uint8
    assert (shown[:, 0] == 60).all()
    half, whole = (np.ptp(shown[row, 1]) for row in range(2))
    assert half > 0
    assert whole > 50
