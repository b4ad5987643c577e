"""What came out of section 4.4: a verdict for each cell, and the panels of Figure 2 in numbers and words."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gdnp.paper.figure2.drawing import drawn
from gdnp.paper.runner.cells import METHODS, RIVALS, cells_of, label_of, part_name
from gdnp.paper.runner.experiment import Results, Settings, Table, said, summary_head
from gdnp.paper.runner.own import called, measured_as
from gdnp.paper.runner.problems import LOSS_LABELS

TITLE = "Figure 2: learning halfspaces, section 4.4 cell by cell"
WORDS = ("faster", "level", "slower")
GOAL = {"log_loss": 1e-4, "sigmoid": 1e-2}
"""Of the suboptimality; for the sigmoid of what the objective exceeds the best found by."""
MISLED = 1.05
"""An objective worse than the best by this factor is called bad, whatever its gradient."""


def summarise(settings: Settings, results: Results) -> dict[str, Any]:
    """A verdict per cell, how often GDNP is ahead of each rival, and the panels of Figure 2."""
    cells = cells_of(settings, results)
    scaled = [label_of(spec) for spec in settings["data"] if spec.get("scaled")]
    means = any(spec.get("columns") for spec in settings["data"])
    problems = [(spec, loss) for spec in drawn(settings) for loss in settings["losses"]]
    return {
        **summary_head(TITLE, settings, scaled=", ".join(scaled), means=means),
        **{key: settings[key] for key in ("starts", "iterations", "grid")},
        "cells": cells,
        "counts": {rival: _counts(cells, rival) for rival in RIVALS},
        "multiples": {name: found["multiple"] for name, found in results.items() if "multiple" in found},
        "panels": [_panel(settings, results, spec, loss, cells) for spec, loss in problems],
    }


def _counts(cells: list[dict[str, Any]], rival: str) -> dict[str, int]:
    return {word: sum(cell["against"][rival] == word for cell in cells) for word in WORDS}


def _panel(
    settings: Settings, results: Results, spec: Mapping[str, Any], loss: str, cells: list[dict[str, Any]]
) -> dict[str, Any]:
    runs = {m: results[part_name(spec, loss, "unit", m, "stein")] for m in settings["methods"]}
    found = results[f"{label_of(spec)}/facts"]
    finals = [np.asarray(run["objective"], dtype=np.float64)[-1].min() for run in runs.values()]
    floor = found["minimum"] if loss == "log_loss" else float(min(finals))
    panel = {
        "data": spec["name"],
        "loss": loss,
        "label": f"{label_of(spec)}, {called(loss, LOSS_LABELS)}",
        "facts": {**found, "n": spec["n"], "d": spec["d"]},
        "best_objective": floor,
        "methods": {
            method: _method(method, run, floor, GOAL[measured_as(loss)]) for method, run in runs.items()
        },
    }
    here = [cell for cell in cells if (cell["data"], cell["loss"]) == (label_of(spec), loss)]
    return {**panel, "findings": _findings(panel, here)}


def _method(method: str, run: Mapping[str, Any], floor: float, goal: float) -> dict[str, Any]:
    """When the objective is within `goal` of `floor`, and medians of where the runs end."""
    excess = np.asarray(run["objective"], dtype=np.float64) - floor
    final = {
        name: float(np.median(np.asarray(run[name], dtype=np.float64)[-1]))
        for name in ("objective", "gradient_norm", "length", "zero_one")
    }
    spent = np.asarray(run["passes"], dtype=np.float64)
    counts = np.broadcast_to(np.arange(float(len(excess)))[:, None], excess.shape)
    return {
        "label": called(method, METHODS),
        "multiple": run["multiple"],
        "iterations": reached(excess, goal, counts),
        "passes": reached(excess, goal, spent),
        "final": {"measure": float(np.median(np.asarray(run["best"], dtype=np.float64)[-1])), **final},
        "seconds": run["seconds"],
    }


def reached(excess: Any, target: float, spent: Any) -> float | None:
    """The median over the runs of what was spent when the target was first met; None where that is never."""
    hit = np.asarray(excess) <= target
    first = np.where(
        hit.any(axis=0), np.take_along_axis(np.asarray(spent), hit.argmax(axis=0)[None], 0)[0], np.inf
    )
    median = float(np.median(first))
    return median if math.isfinite(median) else None


# --- sentences


def _findings(panel: Mapping[str, Any], cells: list[dict[str, Any]]) -> list[str]:
    sentences = []
    if panel["loss"] == "log_loss" and panel["facts"]["separable"]:
        sentences.append(said("figure2", "separable"))
    for rival in RIVALS:
        counts = ", ".join(f"{word} in {number}" for word, number in _counts(cells, rival).items())
        sentences.append(said("figure2", "against", rival=rival, cells=len(cells), counts=counts))
    return sentences if panel["loss"] == "log_loss" else [*sentences, *_misled(panel["methods"])]


def _misled(entries: Mapping[str, Any]) -> list[str]:
    """Where f falls on to infinity: the lengths, and the methods that a small gradient flatters."""
    lengths = "; ".join(said("figure2", "length", **entry) for entry in entries.values())
    best = min(entries.values(), key=lambda entry: entry["final"]["objective"])
    f, norm = best["final"]["objective"], best["final"]["gradient_norm"]
    found = ", ".join(
        said("figure2", "end", **entry)
        for entry in entries.values()
        if entry["final"]["objective"] > MISLED * f and entry["final"]["gradient_norm"] < norm
    )
    flattered = [said("figure2", "flattered", flattered=found, best=said("figure2", "end", **best))]
    return [*(flattered if found else []), said("figure2", "lengths", lengths=lengths)]


# --- tables


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """A row a cell, who is first and GDNP against each rival; and for each panel where each method got."""
    rows = [
        (cell["label"], called(cell["first"], METHODS), *cell["against"].values())
        for cell in summary["cells"]
    ]
    counts = (
        f"{rival}: {', '.join(f'{word} in {number}' for word, number in found.items())}"
        for rival, found in summary["counts"].items()
    )
    columns = ("GDNP after 100 iterations against", "first", *RIVALS)
    cells = Table(summary["title"], columns, rows, f"GDNP against {'; '.join(counts)}.")
    return [*(_table(panel) for panel in summary["panels"]), cells]


def _table(panel: Mapping[str, Any]) -> Table:
    goal = f"{'' if panel['loss'] == 'log_loss' else 'best+'}{GOAL[measured_as(panel['loss'])]:.0e}"
    rows: list[tuple[str, ...]] = []
    for entry in panel["methods"].values():
        final = entry["final"]
        counts = (entry[what] for what in ("iterations", "passes"))
        rows.append(
            (
                entry["label"],
                *("-" if count is None else f"{count:.4g}" for count in counts),
                f"{final['objective']:.4f}",
                f"{final['measure']:.1e}",
                f"{final['zero_one']:.4f}",
                f"{entry['multiple']:.3g}",
                f"{1e3 * entry['seconds']:.2g}",
            )
        )
    measure = "suboptimality" if panel["loss"] == "log_loss" else "gradient norm"
    reached_at = (f"iterations to {goal}", f"passes to {goal}")
    columns = ("method", *reached_at, "objective", measure, "0-1 error", "multiple", "ms an iteration")
    return Table(panel["label"], columns, rows)
