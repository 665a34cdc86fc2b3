"""Pictures inside the report, as data URLs: learning curves for light and dark pages, and JPEGs.

Curves are drawn with Matplotlib's Figure (no pyplot, so no global state), once in each style.
"""

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib import image as mpl_image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from galaxy_tasks.errors import InputError
from galaxy_tasks.report.templates import DARK, LIGHT, Palette

EpochHistory = Sequence[Mapping[str, Any]]
"""One record an epoch: epoch, loss, val_loss, accuracy, val_accuracy, val_macro_f1, its mean over
up to five epochs as mean_val_macro_f1, is_kept, …"""


_TRAINING, _VALIDATION, _MACRO_F1 = "C0", "C1", "C2"
"""The curves' places in a style's colour cycle."""
_SIZE_INCHES = (4.6, 2.7)
_JPEG_QUALITY = 88
_MOST_OPACITY = 0.6


def _make_style(palette: Palette) -> dict[Any, Any]:
    """Return Matplotlib's settings for drawings on a page of this palette."""
    curves = [palette.training, palette.validation, palette.macro_f1]
    names_of_text = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(names_of_text, palette.text),
        **dict.fromkeys(("axes.edgecolor", "grid.color"), palette.rule),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
        "axes.prop_cycle": cycler(color=curves),
        "savefig.transparent": True,
        "svg.fonttype": "none",
        "svg.hashsalt": "galaxy",
    }


_STYLES = {"light": _make_style(LIGHT), "dark": _make_style(DARK)}


@dataclass(frozen=True)
class Curve:
    """One line of a panel: the history's key, its colour and its dashes."""

    key: str
    colour: str
    style: str = "-"


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str
    curves: tuple[Curve, ...]
    has_kept: bool = False
    """Whether a dot marks the epoch whose weights are kept."""


LOSS_PANEL = Panel(
    "Loss",
    (Curve("loss", _TRAINING, "--"), Curve("val_loss", _VALIDATION)),
)
SCORE_PANEL = Panel(
    "Accuracy and macro-F1",
    (
        Curve("accuracy", _TRAINING, "--"),
        Curve("val_accuracy", _VALIDATION),
        Curve("val_macro_f1", _MACRO_F1, ":"),
        Curve("mean_val_macro_f1", _MACRO_F1),
    ),
    has_kept=True,
)


@dataclass(frozen=True)
class Drawing:
    """One drawing in both styles."""

    light: str
    """Data URL of an SVG."""
    dark: str
    description: str
    """The text alternative."""


def find_kept_epoch(history: EpochHistory) -> Mapping[str, Any]:
    """Return the record of the epoch whose weights are the model's."""
    return next(record for record in history if record["is_kept"])


def find_limits(histories: Sequence[EpochHistory], panel: Panel) -> tuple[float, float]:
    """Return limits that hold this panel's curves of all models, so that they can be compared."""
    numbers = [
        number
        for history in histories
        for record in history
        for curve in panel.curves
        if (number := _number(record, curve.key)) is not None
    ]
    if not numbers:
        return (0.0, 1.0)
    low, high = min(numbers), max(numbers)
    margin = 0.05 * (high - low) or 0.05
    return (low - margin, high + margin)


def draw_curves(
    histories: Sequence[EpochHistory],
    *,
    panel: Panel,
    limits: tuple[float, float],
    description: str,
) -> Drawing:
    """Return one panel of all trainings, drawn in both styles.

    Curves have gaps where a value is missing.
    """
    return draw_in_both_styles(lambda: _draw(histories, panel, limits), description=description)


def draw_in_both_styles(draw: Callable[[], Figure], *, description: str) -> Drawing:
    """Return what `draw` draws; the colours C0, C1 and C2 are those of the page's curves."""
    drawn = {}
    for name, style in _STYLES.items():
        with mpl.rc_context(style):
            drawn[name] = _encode_svg(draw())
    return Drawing(**drawn, description=description)


def encode_jpeg_url(image: NDArray[np.uint8]) -> str:
    """Return a data URL of an RGB image, (height, width, 3) uint8.

    Raises:
        InputError: another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"An example image must be uint8 (height, width, 3). Received: {image.dtype} "
            f"{image.shape}"
        )
    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(image)
    mpl_image.imsave(buffer, pixels, format="jpg", pil_kwargs={"quality": _JPEG_QUALITY})
    return _make_url("image/jpeg", buffer.getvalue())


def lay_heat_over(image: NDArray[np.uint8], heat_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an RGB image in grey, (height, width, 3) uint8, under the colours of a heat map.

    The heat map, (height, width) uint8, hides nothing where it is 0 and most where it is 255.
    """
    grey = image.mean(axis=2, keepdims=True)
    colours = 255 * mpl.colormaps["inferno"](heat_map)[..., :3]
    opacity = _MOST_OPACITY * heat_map[..., np.newaxis] / 255
    return np.rint((1 - opacity) * grey + opacity * colours).astype(np.uint8)


def _draw(histories: Sequence[EpochHistory], panel: Panel, limits: tuple[float, float]) -> Figure:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    for history in histories:
        _add_training(axes, history, panel)
    _dress(axes, panel.title, limits)
    return figure


def _add_training(axes: Axes, history: EpochHistory, panel: Panel) -> None:
    epochs = [record["epoch"] for record in history]
    for curve in panel.curves:
        values = [_number(record, curve.key) for record in history]
        axes.plot(
            epochs,
            [math.nan if value is None else value for value in values],
            color=curve.colour,
            linestyle=curve.style,
            linewidth=1.8,
            marker="o" if len(epochs) < 3 else None,
        )
    if panel.has_kept:
        kept = find_kept_epoch(history)
        axes.plot([kept["epoch"]], [kept["mean_val_macro_f1"]], "o", color=_MACRO_F1, markersize=6)


def _dress(axes: Axes, title: str, limits: tuple[float, float]) -> None:
    axes.set_ylim(*limits)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", linewidth=0.8)
    axes.tick_params(length=0)


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    return float(value) if value is not None and math.isfinite(value) else None


def _encode_svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=metadata)
    return _make_url("image/svg+xml", buffer.getvalue())


def _make_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
