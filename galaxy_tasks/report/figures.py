"""Pictures inside the report: learning curves as SVG that follows the page's colours, and JPEGs.

Curves are drawn with Matplotlib's Figure (no pyplot, so no global state) in marker colours, which
then become CSS variables: one drawing serves the light and the dark page.
"""

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import image as mpl_image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from galaxy_tasks.errors import InputError

EpochHistory = Sequence[Mapping[str, Any]]
"""One record an epoch: epoch, loss, val_loss, accuracy, val_accuracy, val_macro_f1, …"""

_COLOURS = {
    "#000001": "currentColor",
    "#000002": "var(--rule)",
    "#000003": "var(--training)",
    "#000004": "var(--validation)",
    "#000005": "var(--macro-f1)",
}
_TEXT, _RULE, _TRAINING, _VALIDATION, _MACRO_F1 = _COLOURS
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "galaxy",
    "font.size": 10,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _RULE,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "grid.color": _RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_SIZE_INCHES = (4.6, 2.7)
_POINTS_PER_INCH = 72
_JPEG_QUALITY = 88


@dataclass(frozen=True)
class Curve:
    """One line of a panel: the history's key, its marker colour and its dashes.

    The page names the colours, once for all panels.
    """

    key: str
    colour: str
    style: str = "-"


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str
    curves: tuple[Curve, ...]
    has_best: bool = False


LOSS_PANEL = Panel(
    "Loss (nats)",
    (Curve("loss", _TRAINING, "--"), Curve("val_loss", _VALIDATION)),
)
SCORE_PANEL = Panel(
    "Accuracy and macro-F1",
    (
        Curve("accuracy", _TRAINING, "--"),
        Curve("val_accuracy", _VALIDATION),
        Curve("val_macro_f1", _MACRO_F1),
    ),
    has_best=True,
)


def find_best_epoch(history: EpochHistory) -> Mapping[str, Any] | None:
    """Return the record that `is_kept`, else the first with the highest val_macro_f1, or None."""
    kept = next((record for record in history if record.get("is_kept")), None)
    if kept is not None:
        return kept
    scored = [record for record in history if _number(record, "val_macro_f1") is not None]
    return max(scored, key=lambda record: record["val_macro_f1"]) if scored else None


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
    history: EpochHistory, *, panel: Panel, limits: tuple[float, float], description: str
) -> str:
    """Return an inline SVG of one panel, with a text alternative; gaps where a value is missing."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
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
        best = find_best_epoch(history)
        if panel.has_best and best is not None:
            axes.plot([best["epoch"]], [best["val_macro_f1"]], "o", color=_MACRO_F1, markersize=6)
        _dress(axes, panel.title, limits)
        buffer = io.StringIO()
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _inline(buffer.getvalue(), description)


def encode_jpeg(image: NDArray[np.uint8]) -> str:
    """Return a data address of an RGB image, (height, width, 3) uint8.

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
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    return float(value) if value is not None and math.isfinite(value) else None


def _dress(axes: Axes, title: str, limits: tuple[float, float]) -> None:
    axes.set_ylim(*limits)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", linewidth=0.8)
    axes.tick_params(length=0)


def _inline(svg: str, description: str) -> str:
    """Return the drawing as a page takes it: no prologue, fonts or unused ids, CSS colours."""
    body = svg[svg.index("<svg") :].partition(">")[2]
    body = re.sub(r"<style.*?</style>|font-family: [^;]+; ", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", body)
    for marker, colour in _COLOURS.items():
        body = body.replace(marker, colour)
    width, height = (side * _POINTS_PER_INCH for side in _SIZE_INCHES)
    return (
        f'<svg class="chart" role="img" aria-label="{escape(description)}" '
        f'viewBox="0 0 {width:g} {height:g}">{body}'
    )
