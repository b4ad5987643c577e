"""One look for every figure: legible in print, in grey and to the colour-blind; saved whole or not at all.

matplotlib is imported by the functions that draw, with its file backends only: no display is needed and no
global state is changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from gdnp._files import replacing, require
from gdnp._typing import FloatArray

STYLE = Path(__file__).with_name("plotting.mplstyle")
LEVEL = 0.90
"""Confidence of the interval of the mean."""


@dataclass(frozen=True)
class LineStyle:
    """How a method looks everywhere: colour (Okabe and Ito), dashes and a marker, each enough by itself."""

    color: str
    dashes: str | tuple[float, tuple[float, ...]] = "-"
    marker: str = ""
    width: float = 1.5


STYLES: dict[str, LineStyle] = {
    "gd": LineStyle("#888888", "-", "s"),
    "agd": LineStyle("#000000", "-", "o"),
    "weight_norm_gd": LineStyle("#e69f00", (0, (5, 1.5)), "^"),
    "batch_norm_gd": LineStyle("#56b4e9", (0, (3, 1, 1, 1)), "v"),
    "gdnp_inner": LineStyle("#d55e00", "-", "D"),
    "gdnp": LineStyle("#0072b2", (0, (4, 1.2)), "X"),
    "gdnp_metric": LineStyle("#009e73", "-", "P"),
    "two_step": LineStyle("#cc79a7", (0, (1, 1)), "*"),
}


@dataclass(frozen=True)
class Band:
    """What several runs have in common at each abscissa, on the scale that is drawn.

    Attributes
    ----------
    mean, low, high : ndarray of shape (m,)
        The mean and its confidence interval (Student's t).
    bottom, top : ndarray of shape (m,)
        5th and 95th percentile of the runs.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    bottom: FloatArray
    top: FloatArray


def band(runs: FloatArray, *, log: bool = True) -> Band:
    """Mean, 90 % confidence interval of the mean, and 5-95 % band of runs of shape (k, m), one row a run.

    With `log`, logarithms of positive values are averaged (the geometric mean), as a logarithmic axis shows
    them.
    """
    values = np.log10(runs) if log else np.asarray(runs, dtype=np.float64)
    k = len(values)
    mean = values.mean(axis=0)
    half = np.zeros_like(mean)
    if k > 1:
        half = student.ppf(0.5 + LEVEL / 2.0, k - 1) * values.std(axis=0, ddof=1) / np.sqrt(k)
    bottom, top = np.percentile(values, [5.0, 95.0], axis=0)
    found = (mean, mean - half, mean + half, bottom, top)
    return Band(*(10.0**value for value in found)) if log else Band(*found)


def on_grid(x: FloatArray, y: FloatArray, grid: FloatArray) -> FloatArray:
    """The last y of shape (m,) reached at each abscissa of `grid`, shape (p,); NaN before the first.

    x, of shape (m,) too, is non-decreasing.
    """
    index = np.searchsorted(x, grid, side="right") - 1
    return np.where(index >= 0, np.asarray(y)[np.maximum(index, 0)], np.nan)


@contextmanager
def new_figure(rows: int, columns: int, *, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of `width` x `height` inches, as printed, and its axes, an array of shape (rows, columns)."""
    matplotlib = require("matplotlib", "Drawing figures")
    with matplotlib.rc_context():
        matplotlib.rcParams.update(matplotlib.rcParamsDefault | {"backend": matplotlib.rcParams["backend"]})
        matplotlib.rcParams.update(matplotlib.rc_params_from_file(STYLE, use_default_template=False))
        figure = require("matplotlib.figure", "").Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False)


def draw_band(
    axis: Any, x: FloatArray, found: Band, style: LineStyle, label: str, *, marker_at: float = 0.0
) -> Any:
    """Draw a mean with its two bands; returns the mean's Line2D.

    `marker_at` is the offset of the first marker as a share of their spacing, so that markers of curves that
    coincide do not cover each other.
    """
    axis.fill_between(x, found.bottom, found.top, color=style.color, alpha=0.10, linewidth=0)
    axis.fill_between(x, found.low, found.high, color=style.color, alpha=0.22, linewidth=0)
    spacing = max(1, len(x) // 6)
    (line,) = axis.plot(
        x,
        found.mean,
        color=style.color,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=style.marker or None,
        markevery=(int(spacing * marker_at), spacing),
        markeredgecolor="none" if style.marker == "*" else "white",
        markeredgewidth=0.4,
        markersize=6.0 if style.marker == "*" else 4.5,
        label=label,
    )
    return line


def titled(axis: Any, title: str, subtitle: str) -> None:
    """A bold title at the left of some Axes with a light line under it."""
    axis.set_title(title).set_in_layout(False)  # it may reach over the next axes, which have none
    place = {
        "xy": (0.0, 1.0),
        "xycoords": "axes fraction",
        "xytext": (0.0, 4.0),
        "textcoords": "offset points",
    }
    axis.annotate(subtitle, **place, color="#555555", fontsize=8.0).set_in_layout(False)


def shared_legend(figure: Any, lines: Sequence[Any], *, columns: int, banded: bool = True) -> None:
    """One legend of some Line2D under all the axes, with what the two bands mean where there are any."""
    from matplotlib.patches import Patch

    bands = [
        Patch(color="#555555", alpha=0.3, linewidth=0, label=f"{100 * LEVEL:.0f} % interval of mean"),
        Patch(color="#555555", alpha=0.12, linewidth=0, label="5-95 % of runs"),
    ]
    spacing = {"handlelength": 2.8, "columnspacing": 1.5, "labelspacing": 0.35}
    handles = [*lines, *bands] if banded else list(lines)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, **spacing)


def save(figure: Any, path: Path) -> list[Path]:
    """Write a figure as PNG and as PDF, each whole or not at all; `path` is without a suffix."""
    figure.draw_without_rendering()  # the layout is found here, once for both files
    figure.set_layout_engine("none")
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        target = path.with_name(path.name + suffix)
        with replacing(target) as beside:
            figure.savefig(beside, metadata=metadata)
        written.append(target)
    return written
