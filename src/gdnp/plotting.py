"""One look for every figure: legible in print, in grey and to the colour-blind; saved whole or not at all.

matplotlib is imported by the functions that draw, with its file backends only: no display is needed and no
global state is changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdnp._files import replacing, require

STYLE = Path(__file__).with_name("plotting.mplstyle")


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


@contextmanager
def new_figure(rows: int, columns: int, *, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of `width` x `height` inches, as printed, and its axes, an array of shape (rows, columns)."""
    matplotlib = require("matplotlib", "Drawing figures")
    with matplotlib.rc_context():
        matplotlib.rcParams.update(matplotlib.rcParamsDefault | {"backend": matplotlib.rcParams["backend"]})
        matplotlib.rcParams.update(matplotlib.rc_params_from_file(STYLE, use_default_template=False))
        figure = require("matplotlib.figure", "").Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False)


def titled(axis: Any, title: str, subtitle: str) -> None:
    """A bold title at the left of some Axes with a light line under it."""
    axis.set_title(title).set_in_layout(False)  # it may reach over the next axes, which have none
    place = {"xycoords": "axes fraction", "xytext": (0.0, 4.0), "textcoords": "offset points"}
    axis.annotate(subtitle, (0.0, 1.0), **place, color="#555555", fontsize=8.0).set_in_layout(False)


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
