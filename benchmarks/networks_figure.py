"""The trade of the S-metric, drawn from a summary of ``networks.py``.

    python benchmarks/networks_figure.py FOLDER/summary.json PICTURE

Steps to the plain optimizer's final training loss, and test accuracy, over the damping, on the network with
BatchNorm; dashed lines are the plain optimizers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from networks import OPTIMISATION_METRIC, accuracy, plain_of, ratios

from gdnp.plotting import new_figure, save, titled

COLOURS = {"sgd": "#1f6f8b", "adam": "#c0562f", "muon": "#5b7f3a"}
LABELS = {"sgd": "SGD with momentum", "adam": "Adam", "muon": "Muon"}
STYLES = {"input": ("o", "-", "input layer"), "all": ("s", ":", "all layers")}


def curves(summary: dict[str, Any], task: str, optimizer: str, where: str) -> np.ndarray:
    """Rows (damping, ratio of steps, test accuracy)."""
    rows = [
        (result["damping"], ratios(result, plain_of(summary, result))[0], accuracy(result))
        for result in summary["results"]
        if (result["task"], result["architecture"], result["optimizer"], result["where"], result["metric"])
        == (task, "bn", optimizer, where, OPTIMISATION_METRIC)
    ]
    found = np.array(sorted(rows), dtype=float)
    found[~np.isfinite(found)] = np.nan  # never reached
    return found


def draw(summary: dict[str, Any], path: Path) -> list[Path]:
    """One row of two panels for each task with test rows."""
    tasks = list(dict.fromkeys(r["task"] for r in summary["results"] if accuracy(r) is not None))
    with new_figure(len(tasks), 2, width=7.4, height=3.1 * len(tasks)) as (figure, axes):
        for row, task in zip(axes, tasks, strict=True):
            for optimizer, colour in COLOURS.items():
                for where, (marker, line, place) in STYLES.items():
                    found = curves(summary, task, optimizer, where)
                    style = {"color": colour, "marker": marker, "linestyle": line, "markersize": 4}
                    row[0].plot(found[:, 0], found[:, 1], label=f"{LABELS[optimizer]}, {place}", **style)
                    row[1].plot(found[:, 0], found[:, 2], **style)
                plain = next(
                    r
                    for r in summary["results"]
                    if (r["task"], r["architecture"], r["optimizer"], r["where"])
                    == (task, "bn", optimizer, "plain")
                )
                row[1].axhline(accuracy(plain), color=colour, linestyle="--", linewidth=0.9)
            row[0].axhline(1.0, color="0.4", linestyle="--", linewidth=0.9)
            for axis in row:
                axis.set_xscale("log")
                axis.set_xlabel("damping λ")
            titled(row[0], f"{task}: steps", "to the plain optimizer's final training loss, over its own")
            titled(row[1], f"{task}: test accuracy", "dashed: the plain optimizer")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
        return save(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("summary", type=Path)
    parser.add_argument("picture", type=Path, help="without suffix: PNG and PDF are written")
    options = parser.parse_args()
    for written in draw(json.loads(options.summary.read_text(encoding="utf-8")), options.picture):
        print(written)
