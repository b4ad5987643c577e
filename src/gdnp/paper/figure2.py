"""Figure 2, and section 4.4 as a designed experiment: each choice that is not printed, both ways."""

import math
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.runner.cells import (
    HS,
    METHODS,
    RIVALS,
    SCALES,
    TUNINGS,
    WITH_H,
    cells_of,
    facts,
    label_of,
    part_name,
    race,
)
from gdnp.paper.runner.charts import Chart, Curve, Figure, draw_charts, on_grid, show
from gdnp.paper.runner.experiment import Experiment, OptionError, Options, Results, Settings, Table, said
from gdnp.paper.runner.problems import LOSS_LABELS, a9a, called, described_rows, hashes, measured_as
from gdnp.plotting import STYLES, LineStyle, new_figure, save, titled
from gdnp.store import Part

FEATURES = 10
GAUSSIAN = (100.0, 0.5)
"""κ and r of the data called gaussian."""
STEPS = tuple(0.5 * 1.3**k for k in range(12))
PLACES = ((1.0, 0.2), (1.0, 0.8), (10.0, 0.5), (10.0, 0.8), GAUSSIAN)
QUICK: dict[str, Any] = {
    "populations": ((1.0, 0.8), GAUSSIAN),  # (κ, r) of Gaussian data, exactly
    "samples": (GAUSSIAN,),  # and in rows
    "rows": 2000,  # n of the samples
    "data": ("breast_cancer",),
    "methods": tuple(METHODS),
    "grid": STEPS[::4],  # multiples of a method's own step; a best at either end extends it
    **{"tuning_starts": 2, "starts": 4, "iterations": 150},
}
FULL = QUICK | {"populations": PLACES, "samples": ((1.0, 0.8), GAUSSIAN), "rows": 5000, "data": ("a9a",)}
FULL |= {"grid": STEPS, "tuning_starts": 3, "starts": 10, "iterations": 200}
SHOWN = "unit"
"""The scale of the starts in Figure 2."""
KEPT = ("passes", "objective", "gradient_norm", "length", "zero_one")
"""Saved of the best runs from there on data in rows, beside what is measured."""


class Figure2(Experiment):
    """GDNP and its rivals in every cell of start scale, h, tuning, data and loss.

    Everything is centred, without intercept and without ridge; the starts are columns of one matrix. Figure 2
    is drawn from the runs on rows of data.
    """

    name, title = "figure2", "Figure 2: learning halfspaces, section 4.4 cell by cell"
    quick, full = QUICK, FULL

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and design; the data are read once, so that what cannot be used is refused here."""
        folder, size, settings = self.begun(options)
        design = {"d": FEATURES, "n": size["rows"], "seed": options.seed}
        if options.data:
            gaussian = _gaussian("sample", GAUSSIAN, design)
            data = [gaussian if name == "gaussian" else described_rows(name) for name in options.data]
        else:
            if "a9a" in size["data"]:
                a9a()  # or one sentence that says how to get it
            data = [_gaussian("population", place, design) for place in size["populations"]]
            data += [_gaussian("sample", place, design) for place in size["samples"]]
            data += [described_rows(name) for name in size["data"]]
        if len({label_of(spec) for spec in data}) < len(data):
            raise OptionError(f"Data sets should have different names. Got {', '.join(options.data)}.")
        settings |= {key: size[key] for key in ("tuning_starts", "starts", "iterations")}
        settings |= {"data": data, "losses": list(options.losses or LOSS_LABELS)}
        settings |= {"methods": [*size["methods"], *options.methods], "grid": list(size["grid"])}
        own = hashes(options.losses, options.methods)
        if own:
            settings["own"] = own
        chosen = [called(name, LOSS_LABELS) for name in (*options.losses, *options.methods)]
        return "-".join([folder, *(Path(name).stem for name in options.data), *chosen]), settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """For each data set its facts, and for each loss, start scale, method and h the runs."""
        keys = ("grid", "tuning_starts", "starts", "iterations", "seed", "own")
        shared = {key: settings[key] for key in keys if key in settings}
        sources = options.data or [spec["name"] for spec in settings["data"]]
        parts = []
        for spec, source in zip(settings["data"], sources, strict=True):
            parts.append(Part(f"{label_of(spec)}/facts", partial(facts, source=source), {"data": spec}))
            for loss, scale, method in product(settings["losses"], SCALES, settings["methods"]):
                for h in HS if method in WITH_H else HS[:1]:
                    config = {"data": spec, "loss": loss, "scale": scale, "method": method, "h": h, **shared}
                    config["kept"] = KEPT if scale == SHOWN and spec["name"] != "population" else ()
                    cost = (1.0 + 2e-4 * spec["n"] * (spec["name"] != "population")) * (1 + 4 * (h in WITH_H))
                    name = part_name(spec, loss, scale, method, h)
                    parts.append(Part(name, partial(race, source=source), config, cost=cost))
        return parts

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """A verdict per cell, how often GDNP is ahead of each rival, and the panels of Figure 2."""
        cells = cells_of(settings, results)
        scaled = [label_of(spec) for spec in settings["data"] if spec.get("scaled")]
        means = any(spec.get("columns") for spec in settings["data"])
        problems = product(drawn(settings), settings["losses"])
        return {
            **self.summary_head(settings, scaled=", ".join(scaled), means=means),
            **{key: settings[key] for key in ("starts", "iterations", "grid")},
            "cells": cells,
            "counts": {rival: _counts(cells, rival) for rival in RIVALS},
            "multiples": {name: found["multiple"] for name, found in results.items() if "multiple" in found},
            "panels": [_panel(settings, results, spec, loss, cells) for spec, loss in problems],
        }

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """A row a cell, who is first and GDNP against each rival; and for each panel where each got."""
        rows = [
            (cell["label"], called(cell["first"], METHODS), *cell["against"].values())
            for cell in summary["cells"]
        ]
        counts = "; ".join(f"{rival}: {_in_words(found)}" for rival, found in summary["counts"].items())
        columns = ("GDNP after 100 iterations against", "first", *RIVALS)
        cells = Table(summary["title"], columns, rows, f"GDNP against {counts}.")
        return [*(_table(panel) for panel in summary["panels"]), cells]

    def draw(self, settings: Settings, results: Results, directory: Path) -> list[Path]:
        """Write ``section44`` and, for data in rows, ``figure2``, ``-passes`` and ``-sigmoid``."""
        written = _phases(settings, cells_of(settings, results), directory / "section44")
        data, losses = drawn(settings), settings["losses"]
        if not data:
            return written
        for name, against in (("figure2", "iterations"), ("figure2-passes", "passes")):
            rows = [
                [chart(settings, results, spec, loss, against=against) for loss in losses] for spec in data
            ]
            written += draw_charts(rows, directory / name)
        whats = ("measure", "objective", "zero_one")  # a small gradient norm alone says little
        for loss in (loss for loss in losses if loss != "log_loss"):
            rows = [[chart(settings, results, spec, loss, what) for what in whats] for spec in data]
            written += draw_charts(rows, directory / f"figure2-{called(loss, LOSS_LABELS)}")
        return written

    def interactive(self, settings: Settings, results: Results) -> list[Figure]:
        """A figure for each data set in rows and loss, with buttons for what is shown and how it started."""
        found = []
        for spec, loss in product(drawn(settings), settings["losses"]):
            draw_one = partial(chart, settings, results, spec, loss)
            views = {against: draw_one(against=against) for against in ("iterations", "passes")}
            if loss != "log_loss":
                views |= {words: draw_one(what) for what, words in NAMES.items()}
            views[TUNINGS["theory"]] = draw_one(tuning="theory")
            for scale in (name for name in SCALES if name != SHOWN):
                views[f"starts {SCALES[scale]}"] = draw_one(scale=scale)
            caption = (
                f"{_about(results, spec)}. Mean of {settings['starts']} starts from N(0, I), each method "
                "with the best multiple of its step, where no button says otherwise. Shaded: 90 % confidence "
                "interval of the mean."
            )
            found.append(show(f"{label_of(spec)}, {called(loss, LOSS_LABELS)}", caption, views))
        return found


def _gaussian(name: str, place: tuple[float, float], design: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "kappa": place[0], "r": place[1], **design}


def drawn(settings: Settings) -> list[Mapping[str, Any]]:
    """The data of Figure 2: those in rows."""
    return [spec for spec in settings["data"] if spec["name"] != "population"]


# --- what came out

WORDS = ("faster", "level", "slower")
GOAL = {"log_loss": 1e-4, "sigmoid": 1e-2}
"""Of the suboptimality; for the sigmoid of what the objective exceeds the best found by."""
MISLED = 1.05
"""An objective worse than the best by this factor is called bad, whatever its gradient."""


def _counts(cells: list[dict[str, Any]], rival: str) -> dict[str, int]:
    return {word: sum(cell["against"][rival] == word for cell in cells) for word in WORDS}


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} in {number}" for word, number in counts.items())


def _panel(
    settings: Settings, results: Results, spec: Mapping[str, Any], loss: str, cells: list[dict[str, Any]]
) -> dict[str, Any]:
    runs = {m: results[part_name(spec, loss, SHOWN, m, "stein")] for m in settings["methods"]}
    found = results[f"{label_of(spec)}/facts"]
    finals = [_numbers(run["objective"])[-1].min() for run in runs.values()]
    floor = found["minimum"] if loss == "log_loss" else float(min(finals))
    methods = {m: _method(m, run, floor, GOAL[measured_as(loss)]) for m, run in runs.items()}
    here = [cell for cell in cells if (cell["data"], cell["loss"]) == (label_of(spec), loss)]
    findings = [said("figure2", "separable")] * bool(loss == "log_loss" and found["separable"])
    for rival in RIVALS:
        counts = _in_words(_counts(here, rival))
        findings.append(said("figure2", "against", rival=rival, cells=len(here), counts=counts))
    return {
        "data": spec["name"],
        "loss": loss,
        "label": f"{label_of(spec)}, {called(loss, LOSS_LABELS)}",
        "facts": {**found, "n": spec["n"], "d": spec["d"]},
        "best_objective": floor,
        "methods": methods,
        "findings": findings if loss == "log_loss" else [*findings, *_misled(methods)],
    }


def _numbers(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64)  # None, which stands for NaN in JSON, becomes NaN


def _method(method: str, run: Mapping[str, Any], floor: float, goal: float) -> dict[str, Any]:
    """When the objective is within `goal` of `floor`, and medians of where the runs end."""
    excess = _numbers(run["objective"]) - floor
    counts = np.broadcast_to(np.arange(float(len(excess)))[:, None], excess.shape)
    ends = {"measure": "best", **{name: name for name in KEPT[1:]}}
    return {
        "label": called(method, METHODS),
        "multiple": run["multiple"],
        "iterations": reached(excess, goal, counts),
        "passes": reached(excess, goal, _numbers(run["passes"])),
        "final": {name: float(np.median(_numbers(run[key])[-1])) for name, key in ends.items()},
        "seconds": run["seconds"],
    }


def reached(excess: FloatArray, target: float, spent: FloatArray) -> float | None:
    """The median over the runs of what was spent when the target was first met; None where that is never."""
    hit = excess <= target
    first = np.where(hit.any(axis=0), np.take_along_axis(spent, hit.argmax(axis=0)[None], 0)[0], np.inf)
    median = float(np.median(first))
    return median if math.isfinite(median) else None


def _misled(entries: Mapping[str, Any]) -> list[str]:
    """Where f falls on to infinity: the lengths, and the methods that a small gradient flatters."""
    best = min(entries.values(), key=lambda entry: entry["final"]["objective"])
    f, norm = best["final"]["objective"], best["final"]["gradient_norm"]
    found = ", ".join(
        said("figure2", "end", **entry)
        for entry in entries.values()
        if entry["final"]["objective"] > MISLED * f and entry["final"]["gradient_norm"] < norm
    )
    flattered = [said("figure2", "flattered", flattered=found, best=said("figure2", "end", **best))]
    lengths = "; ".join(said("figure2", "length", **entry) for entry in entries.values())
    return [*(flattered if found else []), said("figure2", "lengths", lengths=lengths)]


def _table(panel: Mapping[str, Any]) -> Table:
    goal = f"{'' if panel['loss'] == 'log_loss' else 'best+'}{GOAL[measured_as(panel['loss'])]:.0e}"
    rows: list[tuple[str, ...]] = []
    for entry in panel["methods"].values():
        final, counts = entry["final"], (entry[what] for what in ("iterations", "passes"))
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


# --- the drawings

FLOOR = {"log_loss": 1e-13, "sigmoid": 1e-9}
"""Below these the axis is cut: rounding, and gradients that have underflowed on the flat part of a loss."""
QUANTITY = {"log_loss": "suboptimality f - f*", "sigmoid": "gradient norm ‖∇f‖"}
OWN_STYLES = (LineStyle("#882255", (0, (6, 1, 1, 1)), "s"), LineStyle("#999933", (0, (2, 1)), "D"))
NAMES = {"objective": "objective f", "zero_one": "0-1 error"}


def style_of(method: str, settings: Settings) -> LineStyle:
    """The line of a method; one's own have others, in their order."""
    own = [name for name in settings["methods"] if name not in STYLES]
    return STYLES[method] if method in STYLES else OWN_STYLES[own.index(method) % len(OWN_STYLES)]


def chart(
    settings: Settings,
    results: Results,
    spec: Mapping[str, Any],
    loss: str,
    what: str = "measure",
    *,
    against: str = "iterations",
    scale: str = SHOWN,
    tuning: str = "best",
) -> Chart:
    """Every method on one problem, h corrected: its measure, or what else was kept of the best runs."""
    budget, log, floor = settings["iterations"], what == "measure", FLOOR[measured_as(loss)]
    x, curves, begins = np.arange(budget + 1.0), [], []
    for method in settings["methods"]:
        run = results[part_name(spec, loss, scale, method, "stein")]
        values = _numbers(run[tuning if log else what]).T
        begins.append(float(np.median(values[:, 0])))
        if against == "passes":
            spent = np.array(run["passes"]).T
            values = np.stack([on_grid(a, b, x) for a, b in zip(spent, values, strict=True)])
        if log:  # a tenth of the floor, so that a line leaves the axis and does not end
            values = np.maximum(values, 0.1 * floor)
        curves.append(Curve(called(method, METHODS), style_of(method, settings), x, values))
    separable = loss == "log_loss" and results[f"{label_of(spec)}/facts"]["separable"]
    name = "objective f (separable)" if separable else QUANTITY[measured_as(loss)]
    low = min(float(np.nanmin(curve.runs)) for curve in curves)
    if log:  # from the floor or the least value to a little above the starts; spikes beyond are cut
        low = max(floor, low)
        height = float(10.0 ** np.floor(np.log10(low))), 3.0 * max(*begins, 10.0 * low)
    else:  # to the worst method's median run after a twentieth of the budget
        high = max(float(np.median(curve.runs[:, max(1, len(x) // 20)])) for curve in curves)
        margin = 0.06 * max(high - low, 1e-3)
        height = low - margin, high + margin
    return Chart(
        f"{label_of(spec)}, {called(loss, LOSS_LABELS)}",
        f"{_about(results, spec)}; starts {SCALES[scale]}" if log else "",  # the first of a row says it
        "passes over the data" if against == "passes" else "iterations",
        name if log else NAMES[what],
        curves,
        log=log,
        span=(0.0, budget),
        height=height,
    )


def _about(results: Results, spec: Mapping[str, Any]) -> str:
    """Size, preparation and condition of the data."""
    found = results[f"{label_of(spec)}/facts"]
    scaled = ", unit variance" if spec.get("scaled") else ""
    rank = "" if found["rank"] == spec["d"] else f", rank {found['rank']}"
    return f"{spec['n']:,} × {spec['d']}{scaled}{rank}, κ = {found['kappa']:.3g}"


def _phases(settings: Settings, cells: list[dict[str, Any]], path: Path) -> list[Path]:
    """Start scales down, data across; a panel for each loss and tuning, h corrected."""
    data, scales = [label_of(spec) for spec in settings["data"]], list(SCALES)
    with new_figure(len(settings["losses"]), len(TUNINGS), width=7.2, height=5.0) as (figure, axes):
        for axis, (loss, tuning) in zip(axes.flat, product(settings["losses"], TUNINGS), strict=True):
            for cell in cells:
                if (cell["loss"], cell["tuning"], cell["h"]) == (loss, tuning, "stein"):
                    x, y = data.index(cell["data"]), scales.index(cell["scale"])
                    look = {"facecolor": style_of(cell["first"], settings).color, "edgecolor": "white"}
                    axis.bar(x, 1.0, width=1.0, bottom=y - 0.5, alpha=0.35, **look)
                    axis.text(x, y, called(cell["first"], METHODS), ha="center", va="center", fontsize=7)
            axis.set(xlim=(-0.5, len(data) - 0.5), ylim=(-0.5, len(scales) - 0.5))
            axis.set_xticks(range(len(data)), data, rotation=30, ha="right", rotation_mode="anchor")
            axis.set_yticks(range(len(scales)), [SCALES[scale] for scale in scales])
            axis.grid(visible=False)
            titled(axis, called(loss, LOSS_LABELS), TUNINGS[tuning])
        return save(figure, path)
