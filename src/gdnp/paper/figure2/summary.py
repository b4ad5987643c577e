"""What came out of Figure 2: numbers for each panel and method, and sentences that follow from them alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.figure2.race import CURVES, RACERS
from gdnp.paper.runner.experiment import Results, Settings, Table, summary_head
from gdnp.paper.runner.problems import LOSS_LABELS, diverging

__all__ = ["TITLE", "Panel", "panels", "summarise", "tables"]

TITLE = "Figure 2: learning halfspaces"
TARGETS = (1e-2, 1e-4, 1e-6)
FLOOR = 1e-15
"""Suboptimality below this is rounding of f."""
MISLED = 1.05
"""An objective worse than the best by this factor is called bad, whatever its gradient."""


@dataclass(frozen=True)
class Panel:
    """Curves of one data set and loss, every one as long as the budget.

    Attributes
    ----------
    spec : dict
        The data set.
    loss : str
    facts : dict
    reference : dict or None
        The minimum, for a convex loss.
    curves : dict of dict of ndarray of shape (starts, max_iter + 1)
        By method, then by name of the curve.
    runs : dict of list of dict
        By method, the results the curves are from.
    tuning : dict of dict
        By method that has a step.
    """

    spec: Mapping[str, Any]
    loss: str
    facts: Mapping[str, Any]
    reference: Mapping[str, Any] | None
    curves: Mapping[str, Mapping[str, FloatArray]]
    runs: Mapping[str, list[Mapping[str, Any]]]
    tuning: Mapping[str, Mapping[str, Any]]

    @property
    def label(self) -> str:
        """Data and loss."""
        return f"{self.spec['label']}, {LOSS_LABELS[self.loss]}"

    @property
    def convex(self) -> bool:
        """Whether f has a minimum, or an infimum, that is known."""
        return self.reference is not None

    @property
    def separable(self) -> bool:
        """Whether f has the infimum 0 and no minimum."""
        return self.reference is not None and bool(self.reference["separable"])

    @property
    def quantity(self) -> str:
        """What the panel shows."""
        if self.separable:
            return "objective (its infimum is 0: separable)"
        return "suboptimality" if self.convex else "gradient norm"

    @property
    def goal(self) -> tuple[str, str]:
        """What is reached by the methods, in words, and the key of the target in ``TARGETS``."""
        if self.convex:
            return "a suboptimality of 1e-4", "1e-04"
        return "an objective within 1e-2 of the best found", "1e-02"

    def measure(self, method: str) -> FloatArray:
        """f - f* for a convex loss, ‖∇f‖ otherwise; shape (starts, max_iter + 1)."""
        curves = self.curves[method]
        if self.reference is None:
            return curves["gradient_norm"]
        return np.asarray(np.maximum(curves["objective"] - self.reference["objective"], 0.0))

    @property
    def best_objective(self) -> float:
        """The least f that any run ended with."""
        return min(float(curves["objective"][:, -1].min()) for curves in self.curves.values())


def panels(settings: Settings, results: Results) -> Iterator[Panel]:
    """The panels of a finished run, data by data."""
    length, methods = settings["max_iter"] + 1, settings["methods"]
    for spec in settings["data"]:
        for loss in settings["losses"]:
            prefix = f"{spec['name']}/{loss}"
            runs: dict[str, list[Mapping[str, Any]]] = {
                method: [results[f"{prefix}/{method}/start-{k}"] for k in range(settings["starts"])]
                for method in methods
            }
            curves = {
                method: {name: _stacked(entries, name, length) for name in CURVES}
                for method, entries in runs.items()
            }
            tuning = {m: results[key] for m in methods if (key := f"{prefix}/{m}/tuning") in results}
            reference = results.get(f"{prefix}/reference")
            yield Panel(spec, loss, results[f"{spec['name']}/facts"], reference, curves, runs, tuning)


def _stacked(runs: list[Mapping[str, Any]], name: str, length: int) -> FloatArray:
    """One row a run; a run that ended early stays where it was."""
    rows = [np.asarray(run["curves"][name], dtype=np.float64) for run in runs]
    return np.stack([np.concatenate([row, np.full(length - len(row), row[-1])]) for row in rows])


def summarise(settings: Settings, results: Results) -> dict[str, Any]:
    """Numbers and sentences for each panel."""
    return {
        **summary_head(TITLE, settings),
        "starts": settings["starts"],
        "max_iter": settings["max_iter"],
        "grid": settings["grid"],
        "notes": _notes(settings),
        "panels": [_panel(panel) for panel in panels(settings, results)],
    }


def _notes(settings: Settings) -> list[str]:
    k = settings["starts"]
    scaled = [spec["label"] for spec in settings["data"] if spec["scaled"]]
    notes = [
        f"Means are over {k} random starts drawn from N(0, I/d), of logarithms; the inner band is the 90 % "
        "confidence interval of the mean, the outer one the runs' 5-95 % range.",
        "Constant steps are the best of a grid by the final objective from a start that is not drawn, for "
        "the sigmoid too: the least gradient norm there belongs to steps that leave for the flat region.",
        "A pass is one product with X and one with its transpose; a Gram matrix is charged for its "
        "multiplications. What a search for the length costs on cached margins, O(n) for each evaluation, "
        "is not in the passes; it is in the seconds.",
    ]
    if scaled:
        notes.append(
            f"Columns of {', '.join(scaled)} are centred and scaled to unit variance: on raw columns of very "
            "unequal scale gradient descent does not move."
        )
    if any(spec["columns"] for spec in settings["data"]):
        notes.append("Of breast_cancer the ten columns of means are used.")
    return notes


def _panel(panel: Panel) -> dict[str, Any]:
    entries = {method: _method(panel, method) for method in panel.curves}
    return {
        "data": panel.spec["name"],
        "label": panel.label,
        "loss": panel.loss,
        "quantity": panel.quantity,
        "facts": dict(panel.facts),
        "reference": None if panel.reference is None else dict(panel.reference),
        "best_objective": panel.best_objective,
        "methods": entries,
        "ordering": _orderings(panel, entries),
        "findings": _findings(panel, entries),
    }


def _method(panel: Panel, method: str) -> dict[str, Any]:
    curves, runs = panel.curves[method], panel.runs[method]
    measure = panel.measure(method)
    excess = curves["objective"] - panel.best_objective
    counts = np.broadcast_to(np.arange(measure.shape[1], dtype=np.float64), measure.shape)

    def reached(values: FloatArray, spent: FloatArray, targets: Sequence[float]) -> dict[str, Any]:
        return {f"{eps:.0e}": _reached(values, eps, spent) for eps in targets}

    final = {name: float(np.median(curves[name][:, -1])) for name in CURVES if name != "passes"}
    return {
        "label": RACERS[method].label,
        "iterations_to": reached(measure, counts, TARGETS),
        "passes_to": reached(measure, curves["passes"], TARGETS),
        "iterations_to_excess": reached(excess, counts, TARGETS[:2]),
        "passes_to_excess": reached(excess, curves["passes"], TARGETS[:2]),
        "final": {"measure": float(np.median(measure[:, -1])), **final},
        "final_excess": float(np.median(excess[:, -1])),
        "seconds": float(np.median([run["seconds"] for run in runs])),
        "statuses": dict(sorted(Counter(run["status"] for run in runs).items())),
        "tuning": panel.tuning.get(method),
    }


def _reached(measure: FloatArray, target: float, counts: FloatArray) -> dict[str, Any]:
    """Median and mean of where the runs first reach a target; null where the median or a run does not."""
    hit = measure <= target
    first = np.array(
        [count[row.argmax()] if row.any() else np.inf for row, count in zip(hit, counts, strict=True)]
    )
    # With an even number of runs the upper of the two middle ones: the mean of a number and "never" is none.
    median = float(np.sort(first)[len(first) // 2])
    return {
        "median": median if math.isfinite(median) else None,
        "mean": float(first.mean()) if np.isfinite(first).all() else None,
        "runs": int(np.isfinite(first).sum()),
    }


def _to_goal(panel: Panel, entries: Mapping[str, Any], what: str) -> dict[str, float | None]:
    """The median of the iterations or passes that each method takes to the goal; None for never."""
    _, target = panel.goal
    return {name: entry[_key(what, panel.convex)][target]["median"] for name, entry in entries.items()}


def _key(what: str, convex: bool) -> str:
    return f"{what}_to" if convex else f"{what}_to_excess"


def _orderings(panel: Panel, entries: Mapping[str, Any]) -> dict[str, list[str]]:
    """Method names, best first, by several measures; ties stay in the order of the registry."""
    found = {_key(what, panel.convex): _to_goal(panel, entries, what) for what in ("iterations", "passes")}
    for name in ("objective", "gradient_norm", "zero_one"):
        found[f"final_{name}"] = {method: entry["final"][name] for method, entry in entries.items()}

    def ranked(values: Mapping[str, float | None]) -> list[str]:
        return sorted(values, key=lambda method: math.inf if (v := values[method]) is None else v)

    return {name: ranked(values) for name, values in found.items()}


# --- sentences


def _findings(panel: Panel, entries: Mapping[str, Any]) -> list[str]:
    sentences = []
    if panel.separable:
        sentences.append(
            "The two classes are separable, so softplus has no minimum: f is compared with its infimum 0."
        )
    sentences += [_ranking(panel, entries, what) for what in ("iterations", "passes")]
    rivals = [rival for rival in ("gd_safe", "gd", "agd") if {"gdnp_inner", rival} <= entries.keys()]
    sentences += [_duel(entries, "gdnp_inner", rival, panel.convex) for rival in rivals]
    if not panel.convex:
        sentences += [*_misled(entries), _lengths(entries)]
    sentences += [
        f"The best step of {entry['label']} lies on the edge of the grid."
        for entry in entries.values()
        if entry["tuning"] is not None and entry["tuning"]["on_edge"]
    ]
    return sentences


def _ranking(panel: Panel, entries: Mapping[str, Any], what: str) -> str:
    medians = {entries[m]["label"]: value for m, value in _to_goal(panel, entries, what).items()}
    reached = sorted((value, label) for label, value in medians.items() if value is not None)
    absent = [label for label, value in medians.items() if value is None]
    text = "; ".join(f"{label} {value:.4g}" for value, label in reached) or "none of the methods gets there"
    more = f" Not reached by: {', '.join(absent)}." if absent and reached else ""
    return f"{what.capitalize()} to {panel.goal[0]} (median): {text}.{more}"


def _duel(entries: Mapping[str, Any], ours: str, theirs: str, convex: bool) -> str:
    """Who has the lower objective at the end of the budget, in the median."""
    a, b = entries[ours], entries[theirs]
    left, right = a["final"]["objective"], b["final"]["objective"]
    tuned = " with a tuned step" if b["tuning"] is not None else ""
    if math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-15):
        verdict = "ends level with"
    else:
        verdict = "ends ahead of" if left < right else "ends behind"
    if convex:
        numbers = f"suboptimality {a['final']['measure']:.2g} against {b['final']['measure']:.2g}"
    else:
        numbers = f"objective {left:.4g} against {right:.4g}"
    return f"{a['label']} {verdict} {b['label']}{tuned} after the same iterations ({numbers})."


def _misled(entries: Mapping[str, Any]) -> list[str]:
    """Methods whose gradient is smaller than that of the method with the best objective, at one worse."""
    best = min(entries.values(), key=lambda entry: entry["final"]["objective"])
    f, norm = best["final"]["objective"], best["final"]["gradient_norm"]
    found = [
        f"{entry['label']} (gradient norm {end['gradient_norm']:.1e}, objective {end['objective']:.3f}, "
        f"0-1 error {end['zero_one']:.3f})"
        for entry in entries.values()
        if (end := entry["final"])["objective"] > MISLED * f and end["gradient_norm"] < norm
    ]
    if not found:
        return []
    return [
        f"A small gradient is no sign of a good solution here: {', '.join(found)} against {best['label']} "
        f"(gradient norm {norm:.1e}, objective {f:.3f}, 0-1 error {best['final']['zero_one']:.3f})."
    ]


def _lengths(entries: Mapping[str, Any]) -> str:
    """Where the lengths went: a bounded loss may have its best value at infinity."""
    ends = "; ".join(f"{entry['label']} {entry['final']['length']:.3g}" for entry in entries.values())
    return " ".join([f"Final lengths in S (median): {ends}.", *diverging(entries)])


# --- tables


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """One table for each panel: what it took to get there, and where each method ended."""
    return [_table(panel) for panel in summary["panels"]]


def _table(panel: Mapping[str, Any]) -> Table:
    convex = panel["reference"] is not None
    target = "1e-04" if convex else "1e-02"
    rows: list[tuple[str, ...]] = []
    for entry in panel["methods"].values():
        final = entry["final"]
        counts = [entry[_key(what, convex)][target]["median"] for what in ("iterations", "passes")]
        ends: tuple[str, ...] = (f"{final['objective']:.4f}", f"{final['gradient_norm']:.1e}")
        if convex:
            ends = (f"{max(final['measure'], FLOOR):.1e}",)
        step = "" if entry["tuning"] is None else f"{entry['tuning']['multiple']:g}"
        cells = ("-" if count is None else f"{count:.4g}" for count in counts)
        last = (f"{final['zero_one']:.4f}", step, f"{entry['seconds']:.2g}")
        rows.append((entry["label"], *cells, *ends, *last))
    goal, middle = "best+1e-2", ["final objective", "gradient norm"]
    if convex:
        goal, middle = "1e-4", [f"final {panel['quantity'].split(' (')[0]}"]
    reached = (f"iterations to {goal}", f"passes to {goal}")
    return Table(panel["label"], ("method", *reached, *middle, "0-1 error", "step", "seconds"), rows)
