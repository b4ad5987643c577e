"""The trade of the S-metric, drawn from a summary of ``networks.py``.

    python benchmarks/networks_figure.py FOLDER/summary.json PICTURE

Steps to the plain optimizer's final training loss, and test accuracy, over the damping, on the network with
BatchNorm, a column for each optimizer; dashed lines are the plain optimizers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from networks import accuracy, plain_of, ratios

from gdnp.plotting import new_figure, save, titled

LABELS = {"sgd": "SGD with momentum", "adam": "Adam", "muon": "Muon"}
PLACES = {
    "input": ("kronecker", "#c0562f", "o"),
    "hidden": ("full", "#1f6f8b", "s"),
    "all": ("kronecker", "#5b7f3a", "^"),
}
"""Where the metric is: that of the benchmark, a colour and a marker."""


def curves(summary: dict[str, Any], task: str, optimizer: str, where: str) -> np.ndarray:
    """Rows (damping, ratio of steps, test accuracy)."""
    rows = [
        (result["damping"], ratios(result, plain_of(summary, result))[0], accuracy(result))
        for result in summary["results"]
        if (result["task"], result["architecture"], result["optimizer"], result["where"], result["metric"])
        == (task, "bn", optimizer, where, PLACES[where][0])
    ]
    found = np.array(sorted(rows), dtype=float)
    found[~np.isfinite(found)] = np.nan  # never reached
    return found


def draw(summary: dict[str, Any], path: Path) -> list[Path]:
    """Two rows of panels for each task with test rows."""
    tasks = list(dict.fromkeys(r["task"] for r in summary["results"] if accuracy(r) is not None))
    with new_figure(2 * len(tasks), len(LABELS), width=8.4, height=5.0 * len(tasks)) as (figure, axes):
        for k, task in enumerate(tasks):
            for steps, score, optimizer in zip(axes[2 * k], axes[2 * k + 1], LABELS, strict=True):
                _panels(steps, score, summary, task, optimizer)
            for row in axes[2 * k : 2 * k + 2]:
                low, high = (edge(axis.get_ylim()[i] for axis in row) for i, edge in enumerate((min, max)))
                for axis in row:
                    axis.set_ylim(low, high)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
        return save(figure, path)


def _panels(steps: Any, score: Any, summary: dict[str, Any], task: str, optimizer: str) -> None:
    """Ratio of steps, and test accuracy below it."""
    for where, (_, colour, marker) in PLACES.items():
        found = curves(summary, task, optimizer, where)
        style = {"color": colour, "marker": marker, "markersize": 4}
        steps.plot(found[:, 0], found[:, 1], label=f"{where} layer{'' if where == 'input' else 's'}", **style)
        score.plot(found[:, 0], found[:, 2], **style)
    plain = accuracy(plain_of(summary, {"task": task, "architecture": "bn", "optimizer": optimizer}))
    for axis, level in ((steps, 1.0), (score, plain)):
        axis.axhline(level, color="0.3", linestyle="--", linewidth=0.9, label="plain")
        axis.set_xscale("log")
        axis.minorticks_off()
    score.set_xlabel("damping λ")
    titled(steps, f"{task}, {LABELS[optimizer]}", "steps to the plain end, over its own")
    score.set_title("test accuracy", loc="left", fontsize="medium", color="0.35")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("summary", type=Path)
    parser.add_argument("picture", type=Path, help="without suffix: PNG and PDF are written")
    options = parser.parse_args()
    for written in draw(json.loads(options.summary.read_text(encoding="utf-8")), options.picture):
        print(written)
