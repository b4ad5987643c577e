"""The phase diagram 'who is first', and Figure 2 from the same runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gdnp.paper.runner.cells import METHODS, SCALES, TUNINGS, cells_of, label_of, part_name
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.runner.problems import LOSS_LABELS
from gdnp.plotting import STYLES, band, draw_band, new_figure, save, shared_legend, titled

__all__ = ["draw"]


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Write ``section44`` and ``section44-figure2`` as PNG and PDF."""
    cells = cells_of(settings, results)
    return [*_phases(settings, cells, directory), *_curves(settings, results, directory)]


def _phases(settings: Settings, cells: list[dict[str, Any]], directory: Path) -> list[Path]:
    """Start scales down, data across; a panel for each loss and tuning, h corrected."""
    data, scales = [label_of(spec) for spec in settings["data"]], list(SCALES)
    with new_figure(len(settings["losses"]), len(TUNINGS), width=7.2, height=5.0) as (figure, axes):
        for row, loss in zip(axes, settings["losses"], strict=True):
            for axis, tuning in zip(row, TUNINGS, strict=True):
                for cell in cells:
                    if (cell["loss"], cell["tuning"], cell["h"]) == (loss, tuning, "stein"):
                        x, y = data.index(cell["data"]), scales.index(cell["scale"])
                        axis.add_patch(_tile(x, y, STYLES[cell["first"]].color))
                        axis.text(x, y, METHODS[cell["first"]], ha="center", va="center", fontsize=7)
                axis.set_xlim(-0.5, len(data) - 0.5)
                axis.set_ylim(-0.5, len(scales) - 0.5)
                axis.set_xticks(range(len(data)), data, rotation=30)
                axis.set_yticks(range(len(scales)), [SCALES[scale] for scale in scales])
                axis.grid(visible=False)
                titled(axis, LOSS_LABELS[loss], TUNINGS[tuning])
        return save(figure, directory / "section44")


def _tile(x: int, y: int, color: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1.0, 1.0, facecolor=color, alpha=0.35, edgecolor="white")


def _curves(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Figure 2: the first data set and the last, both losses, starts N(0, I), every method at its best."""
    data, losses = [settings["data"][0], settings["data"][-1]], settings["losses"]
    with new_figure(len(data), len(losses), width=7.2, height=5.6) as (figure, axes):
        for row, spec in zip(axes, data, strict=True):
            for axis, loss in zip(row, losses, strict=True):
                lines = []
                for k, method in enumerate(settings["methods"]):
                    found = results[part_name(spec, loss, "unit", method, "stein")]["best"]
                    values = np.asarray(found, dtype=np.float64).T
                    x, share = np.arange(float(values.shape[1])), k / len(settings["methods"])
                    lines.append(draw_band(axis, x, band(values), method, METHODS[method], marker_at=share))
                axis.set_yscale("log")
                axis.set_xlabel("iterations")
                titled(axis, f"{label_of(spec)}, {LOSS_LABELS[loss]}", "starts N(0, I), best multiples")
        shared_legend(figure, lines, columns=4)
        return save(figure, directory / "section44-figure2")
