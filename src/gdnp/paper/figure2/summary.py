"""What came out of Figure 2: numbers for each panel and method, and sentences that follow from them alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.figure2.race import CURVES, RACERS
from gdnp.paper.runner.experiment import Results, Settings, Table

__all__ = ["FLOOR", "LOSS_LABELS", "Panel", "panels", "summarise", "tables"]

TARGETS = (1e-2, 1e-4, 1e-6)
FLOOR = 1e-15
"""Suboptimality below this is rounding of f."""
LOSS_LABELS = {"log_loss": "softplus", "sigmoid": "sigmoid"}
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
    def quantity(self) -> str:
        """What the panel shows."""
        if self.reference is None:
            return "gradient norm"
        return "objective (its infimum is 0: separable)" if self.reference["separable"] else "suboptimality"

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
    """The panels of a finished run, data by data.

    Parameters
    ----------
    settings, results : dict

    Yields
    ------
    Panel
    """
    length = settings["max_iter"] + 1
    for spec in settings["data"]:
        for loss in settings["losses"]:
            prefix = f"{spec['name']}/{loss}"
            runs: dict[str, list[Mapping[str, Any]]] = {
                method: [results[f"{prefix}/{method}/start-{k}"] for k in range(settings["starts"])]
                for method in settings["methods"]
            }
            yield Panel(
                spec=spec,
                loss=loss,
                facts=results[f"{spec['name']}/facts"],
                reference=results.get(f"{prefix}/reference"),
                curves={
                    method: {name: _stacked(entries, name, length) for name in CURVES}
                    for method, entries in runs.items()
                },
                runs=runs,
                tuning={
                    method: results[f"{prefix}/{method}/tuning"]
                    for method in settings["methods"]
                    if f"{prefix}/{method}/tuning" in results
                },
            )


def _stacked(runs: list[Mapping[str, Any]], name: str, length: int) -> FloatArray:
    """One row a run; a run that ended early stays where it was."""
    rows = [np.asarray(run["curves"][name], dtype=np.float64) for run in runs]
    return np.stack([np.concatenate([row, np.full(length - len(row), row[-1])]) for row in rows])


def summarise(title: str, settings: Settings, results: Results) -> dict[str, Any]:
    """The summary that is written last.

    Parameters
    ----------
    title : str
    settings, results : dict

    Returns
    -------
    dict
        JSON.
    """
    return {
        "experiment": settings["experiment"],
        "title": title,
        "profile": settings["profile"],
        "seed": settings["seed"],
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
    final = {name: float(np.median(curves[name][:, -1])) for name in CURVES if name != "passes"}
    statuses = [run["status"] for run in runs]
    return {
        "label": RACERS[method].label,
        "iterations_to": {f"{eps:.0e}": _reached(measure, eps, counts) for eps in TARGETS},
        "passes_to": {f"{eps:.0e}": _reached(measure, eps, curves["passes"]) for eps in TARGETS},
        "iterations_to_excess": {f"{eps:.0e}": _reached(excess, eps, counts) for eps in TARGETS[:2]},
        "passes_to_excess": {f"{eps:.0e}": _reached(excess, eps, curves["passes"]) for eps in TARGETS[:2]},
        "final": {"measure": float(np.median(measure[:, -1])), **final},
        "final_excess": float(np.median(excess[:, -1])),
        "seconds": float(np.median([run["seconds"] for run in runs])),
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
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


def _orderings(panel: Panel, entries: Mapping[str, Any]) -> dict[str, list[str]]:
    """Method names, best first, by several measures."""

    def ranked(key: Callable[[Mapping[str, Any]], float | None]) -> list[str]:
        values = {name: key(entry) for name, entry in entries.items()}
        return sorted(
            values, key=lambda name: math.inf if (value := values[name]) is None else value
        )  # stable: ties stay in the order of the registry

    reached = "iterations_to" if panel.reference is not None else "iterations_to_excess"
    spent = reached.replace("iterations", "passes")
    target = "1e-04" if panel.reference is not None else "1e-02"
    return {
        reached: ranked(lambda entry: entry[reached][target]["median"]),
        spent: ranked(lambda entry: entry[spent][target]["median"]),
        "final_objective": ranked(lambda entry: entry["final"]["objective"]),
        "final_gradient_norm": ranked(lambda entry: entry["final"]["gradient_norm"]),
        "final_zero_one": ranked(lambda entry: entry["final"]["zero_one"]),
    }


# --- sentences


def _findings(panel: Panel, entries: Mapping[str, Any]) -> list[str]:
    sentences = []
    if panel.reference is not None and panel.reference["separable"]:
        sentences.append(
            "The two classes are separable, so softplus has no minimum: f is compared with its infimum 0."
        )
    convex = panel.reference is not None
    key, target = ("iterations_to", "1e-04") if convex else ("iterations_to_excess", "1e-02")
    goal = "a suboptimality of 1e-4" if convex else "an objective within 1e-2 of the best found"
    for what, word in ((key, "Iterations"), (key.replace("iterations", "passes"), "Passes")):
        sentences.append(_ranking(entries, what, target, f"{word} to {goal} (median)"))
    rivals = [rival for rival in ("gd_safe", "gd", "agd") if {"gdnp_inner", rival} <= entries.keys()]
    sentences += [_duel(entries, "gdnp_inner", rival, convex) for rival in rivals]
    if not convex:
        sentences += [*_misled(entries), _lengths(entries)]
    on_edge = (
        entry for entry in entries.values() if entry["tuning"] is not None and entry["tuning"]["on_edge"]
    )
    sentences += [f"The best step of {entry['label']} lies on the edge of the grid." for entry in on_edge]
    return sentences


def _ranking(entries: Mapping[str, Any], key: str, target: str, subject: str) -> str:
    medians = {entry["label"]: entry[key][target]["median"] for entry in entries.values()}
    reached = sorted((value, label) for label, value in medians.items() if value is not None)
    absent = [label for label, value in medians.items() if value is None]
    text = "; ".join(f"{label} {value:.4g}" for value, label in reached) or "none of the methods gets there"
    return f"{subject}: {text}." + (f" Not reached by: {', '.join(absent)}." if absent and reached else "")


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
    diverging = [entry["label"] for entry in entries.values() if "LENGTH_DIVERGES" in entry["statuses"]]
    status = f" Status LENGTH_DIVERGES in some or all runs of: {', '.join(diverging)}." if diverging else ""
    return f"Final lengths in S (median): {ends}.{status}"


# --- tables


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """One table for each panel: what it took to get there, and where each method ended.

    Parameters
    ----------
    summary : dict

    Returns
    -------
    list of Table
    """
    return [_table(panel) for panel in summary["panels"]]


def _table(panel: Mapping[str, Any]) -> Table:
    convex = panel["reference"] is not None
    rows: list[tuple[str, ...]] = []
    for entry in panel["methods"].values():
        final = entry["final"]
        cells: tuple[str, ...]
        if convex:
            cells = (
                _count(entry["iterations_to"]["1e-04"]),
                _count(entry["passes_to"]["1e-04"]),
                f"{max(final['measure'], FLOOR):.1e}",
            )
        else:
            cells = (
                _count(entry["iterations_to_excess"]["1e-02"]),
                _count(entry["passes_to_excess"]["1e-02"]),
                f"{final['objective']:.4f}",
                f"{final['gradient_norm']:.1e}",
            )
        step = "" if entry["tuning"] is None else f"{entry['tuning']['multiple']:g}"
        rows.append((entry["label"], *cells, f"{final['zero_one']:.4f}", step, f"{entry['seconds']:.2g}"))
    middle = (
        ("iterations to 1e-4", "passes to 1e-4", f"final {_short(panel['quantity'])}")
        if convex
        else ("iterations to best+1e-2", "passes to best+1e-2", "final objective", "gradient norm")
    )
    return Table(panel["label"], ("method", *middle, "0-1 error", "step", "seconds"), rows)


def _short(quantity: str) -> str:
    return quantity.split(" (")[0]


def _count(reached: Mapping[str, Any]) -> str:
    return "-" if reached["median"] is None else f"{reached['median']:.4g}"
