"""What came out of Table 1: the law that the iterations follow, their cost, what a small gradient says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._files import replacing
from gdnp._typing import FloatArray
from gdnp.paper.runner.experiment import Results, Settings, Table, summary_head
from gdnp.paper.runner.problems import LOSS_LABELS, WORLD_LABELS, diverging
from gdnp.paper.table1.rates import compare

__all__ = ["LABELS", "PRINTED", "TITLE", "reached", "summarise", "tables", "write_markdown"]

TITLE = "Table 1: iterations to an ε-critical point"
LABELS = {"gd": "GD", "agd": "AGD (convex)", "agd_nonconvex": "AGD (non-convex)", "gdnp": "GDNP"}
PRINTED: dict[str, tuple[str, float | None]] = {
    "gd": ("ε^(-2)", 2.0),
    "agd": ("ε^(-1), convex", 1.0),
    "agd_nonconvex": ("ε^(-7/4) log(1/ε)", 1.75),
    "gdnp": ("log²(1/ε)", None),
}
"""The orders of the printed table, and their exponents."""
TARGETS = (1e-2, 1e-4, 1e-6, 1e-7)
SHOWN = (1e-4, 1e-7)
GEOMETRIC = ("iterations", "passes", "seconds")
COLUMNS = (*GEOMETRIC, "objective", "length", "zero_one")


def summarise(settings: Settings, results: Results) -> dict[str, Any]:
    """Whatever is called ``seconds`` differs from run to run; nothing else does."""
    return {
        **summary_head(TITLE, settings),
        "design": settings["design"],
        "starts": settings["starts"],
        "max_iter": settings["max_iter"],
        "notes": _notes(settings),
        "panels": [
            _panel(settings, results, world, loss)
            for world in settings["worlds"]
            for loss in settings["losses"]
        ],
    }


def _notes(settings: Settings) -> list[str]:
    d = settings["design"]
    return [
        f"Gaussian design in {d['d']} dimensions, condition {d['kappa']:g}, uᵀS⁻¹u = {d['r']:g}; the sample "
        f"has {d['n']:,} rows. {settings['starts']} random starts from N(0, I/d); counts and seconds are "
        "geometric means.",
        "An ε-critical point has ‖∇f‖ <= ε in the Euclidean norm; N(ε) is the first iteration at one. The "
        "summary has N(ε) for the norm in S⁻¹ as well.",
        "GD and AGD take their safe step 1/(L sup φ''), AGD with momentum k/(k+3). The non-convex AGD takes "
        "its parameters from ε, so every ε is a run of its own. GDNP is Algorithm 1 with bisection. Steps "
        "tuned to the problem would need fewer iterations (Figure 2).",
        "The printed orders are upper bounds for the worst function of a class. Both laws are fitted to "
        "log N, over all ε and over the finer half of them, where the first steps no longer count; intervals "
        "are 95 % of Student's t for independent residuals, which those of a curve are not.",
        "A pass is one product with X and one with its transpose; the population has none. A bisection works "
        "on margins that are kept, O(n) for each halving: it is in the seconds, not in the passes.",
    ]


def _panel(settings: Settings, results: Results, world: str, loss: str) -> dict[str, Any]:
    prefix, starts = f"{world}/{loss}", range(settings["starts"])
    panel: dict[str, Any] = {
        "world": world,
        "loss": loss,
        "label": f"{LOSS_LABELS[loss]}, {WORLD_LABELS[world]}",
        "methods": {
            name: _method(
                name, settings["epsilons"][name], [results[f"{prefix}/{name}/start-{k}"] for k in starts]
            )
            for name in settings["methods"]
        },
    }
    panel |= {
        name: dict(results[key])
        for name in ("curvature", "infinity")
        if (key := f"{prefix}/{name}") in results
    }
    return {**panel, "findings": _findings(panel)}


def _method(name: str, epsilons: Sequence[float], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = {column: _means([run["reached"][column] for run in runs], column) for column in COLUMNS}
    dual = _means([run["iterations_dual"] for run in runs], "iterations")
    return {
        "label": LABELS[name],
        "printed": PRINTED[name][0],
        "epsilons": list(epsilons),
        **columns,
        "iterations_dual": dual,
        "laws": _laws(epsilons, columns["iterations"]),
        "laws_dual": _laws(epsilons, dual),
        "statuses": dict(sorted(Counter(run["status"] for run in runs).items())),
        "last": {
            key: float(np.median([run["last"][key] for run in runs]))
            for key in ("gradient_norm", "objective", "length")
        },
    }


def _means(runs: Sequence[Sequence[float | None]], column: str) -> list[float | None]:
    """Over the starts at each ε, geometric for counts and seconds; None unless all of them got there."""
    return [_mean(values, geometric=column in GEOMETRIC) for values in zip(*runs, strict=True)]


def _mean(values: Sequence[float | None], *, geometric: bool) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if geometric and min(known) > 0.0:
        return float(np.exp(np.mean(np.log(known))))
    return float(np.mean(known))


def _laws(epsilons: Sequence[float], counts: Sequence[float | None]) -> dict[str, Any]:
    """Both laws on the ε that took an iteration at least: all of them, and the finer half."""
    eps, n = reached(epsilons, counts, 1.0)
    half = len(n) // 2
    return {"all": compare(eps, n), "fine": compare(eps[half:], n[half:])}


def reached(
    epsilons: Sequence[float], values: Sequence[float | None], least: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """The ε that were reached with a value of at least `least`, and the values; both (m,)."""
    found = [(eps, n) for eps, n in zip(epsilons, values, strict=True) if n is not None and n >= least]
    eps, kept = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return eps, kept


def _at(entry: Mapping[str, Any], column: str, eps: float) -> float | None:
    """The value at an ε of the list, up to rounding."""
    for known, value in zip(entry["epsilons"], entry[column], strict=True):
        if math.isclose(known, eps, rel_tol=1e-9):
            return None if value is None else float(value)
    return None


# --- sentences


def _findings(panel: Mapping[str, Any]) -> list[str]:
    sentences = [_law(name, entry) for name, entry in panel["methods"].items()]
    if "curvature" in panel:
        sentences.append(_prediction(panel))
    sentences += _orders(panel["methods"])
    if panel["loss"] == "sigmoid":
        sentences += _worth(panel["methods"])
    if "infinity" in panel:
        sentences += _no_critical_point(panel["infinity"])
    return sentences


def _law(name: str, entry: Mapping[str, Any]) -> str:
    """Which law holds for a method, in numbers, beside the printed order."""
    head = f"{entry['label']} (printed {entry['printed']})"
    whole, fine = entry["laws"]["all"], entry["laws"]["fine"]
    if "power" not in whole:
        best, _ = reached(entry["epsilons"], entry["iterations"])
        return f"{head}: too few points for a law; the least ε reached is {min(best, default=math.nan):.1e}."
    text = f"{head}: {_verdict(whole if 'power' not in fine else fine)}."
    if "power" in fine:
        p = _interval(whole, "power", "exponent", ".2f")
        text += f" Over all ε from {whole['range'][0]:.1e} the best power is p = {p}."
    order = PRINTED[name][1]
    if order is not None:
        above = whole["power"]["low"] > order
        text += f" The bound's power is {order:g}" + (": it is exceeded." if above else ".")
    return text


def _verdict(laws: Mapping[str, Any]) -> str:
    p = f"ε^(-p) with p = {_interval(laws, 'power', 'exponent', '.2f')}"
    b = f"{_interval(laws, 'log', 'per_decade', '.4g')} iterations a decade"
    verdict = {
        "log": f"linear convergence, {b}, fits better than {p}",
        "power": f"{p} fits better than linear convergence at {b}",
        "either": f"{p} and linear convergence at {b} fit alike",
        "neither": f"neither {p} nor linear convergence at {b} fits",
    }[laws["better"]]
    return (
        f"for ε from {laws['range'][0]:.1e} to {laws['range'][1]:.1e}, {verdict} (errors of log N: "
        f"{laws['log']['rms']:.2g} linear, {laws['power']['rms']:.2g} power)"
    )


def _prediction(panel: Mapping[str, Any]) -> str:
    """What the Hessian at the minimiser and Theorem 2 say, beside what was measured."""
    c = panel["curvature"]
    parts = []
    for name, key in (("gd", "gd_per_decade"), ("gdnp", "gdnp_per_decade")):
        laws = panel["methods"].get(name, {}).get("laws", {}).get("fine", {})
        if "log" in laws:
            parts.append(f"{LABELS[name]} {c[key]:.4g} (measured {laws['log']['per_decade']:.4g})")
    return (
        f"The Hessian at the minimiser is positive definite (eigenvalues {c['smallest']:.2g} to "
        f"{c['largest']:.2g}), so GD is linear in the end. Iterations a decade from it, and from (1-μ/L) for "
        f"GDNP: {'; '.join(parts) or 'not measured'}."
    )


def _orders(entries: Mapping[str, Any]) -> list[str]:
    """Who needs least, at the smallest ε of ``TARGETS`` that two methods reach."""
    for eps in reversed(TARGETS):
        found = {name: entry for name, entry in entries.items() if _at(entry, "iterations", eps) is not None}
        if len(found) >= 2:
            break
    else:
        return []
    sentences = []
    for column, form in (("iterations", "{:.0f}"), ("passes", "{:.0f}"), ("seconds", "{:.2g}")):
        values = {entry["label"]: _at(entry, column, eps) or 0.0 for entry in found.values()}
        if column == "passes" and not any(values.values()):
            continue
        ranked = sorted(values.items(), key=lambda item: item[1])
        listed = "; ".join(f"{label} {form.format(value)}" for label, value in ranked)
        sentences.append(f"{column.capitalize()} to ε = {eps:.0e}: {listed}.")
    if "gdnp" in found and len(found) > 2:
        sentences += _price(found, eps)
    absent = [entry["label"] for name, entry in entries.items() if name not in found]
    if absent:
        sentences.append(f"Not there within the iterations allowed: {', '.join(absent)}.")
    return sentences


def _price(found: Mapping[str, Any], eps: float) -> list[str]:
    """Where few iterations of GDNP are bought with long ones."""
    ranks = {}
    for column in ("iterations", "seconds"):
        values = {name: _at(entry, column, eps) or 0.0 for name, entry in found.items()}
        ranks[column] = sorted(values, key=values.__getitem__).index("gdnp")
    if ranks["iterations"] == 0 and ranks["seconds"] > 0:
        place = "most" if ranks["seconds"] == len(found) - 1 else "not the least"
        return [f"GDNP takes the fewest iterations and {place} time: each is a search for the length."]
    return []


def _worth(entries: Mapping[str, Any]) -> list[str]:
    """What the first ε-critical points are like where the loss is bounded."""
    sentences = []
    for eps in (1e-2, 1e-4):
        shown = [
            f"{entry['label']} {_at(entry, 'objective', eps):.3f} and {_at(entry, 'zero_one', eps):.3f} "
            f"(length {_at(entry, 'length', eps):.3g})"
            for entry in entries.values()
            if _at(entry, "iterations", eps) is not None
        ]
        if shown:
            sentences.append(
                f"Objective and 0-1 error at the first point with ‖∇f‖ <= {eps:.0e}: {'; '.join(shown)}."
            )
    return [*sentences, *diverging(entries)]


def _no_critical_point(infinity: Mapping[str, Any]) -> list[str]:
    """The sigmoid on the population, in numbers."""
    best, coin = infinity["best"], infinity["coin"]
    k = len(infinity["lengths"]) // 2
    falling = all(slope < 0.0 for slope in best["slope"])
    rates = f"{best['objective'][k] - infinity['infimum']:.1e} above its infimum {infinity['infimum']:.4f}"
    return [
        "There is no finite critical point on the population: along -S⁻¹u the slope is "
        f"{'negative' if falling else 'not negative everywhere'} at all lengths from "
        f"{infinity['lengths'][0]:g} to {infinity['lengths'][-1]:g}, and at length "
        f"{infinity['lengths'][k]:g} f is {rates} with ‖∇f‖ = {best['gradient_norm'][k]:.1e}. An ε-critical "
        "point is only one that is long enough.",
        "A small gradient is no sign of a good solution: a direction that is right half of the time (0-1 "
        f"error {coin['zero_one']:.2f}) has ‖∇f‖ = {coin['gradient_norm'][-1]:.1e} at length "
        f"{infinity['lengths'][-1]:g}.",
    ]


# --- tables


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """One table for each world and loss, the printed order beside what was measured."""
    columns = (
        "method",
        "printed order",
        "law in the end",
        "p over all ε",
        *(f"N({eps:.0e})" for eps in SHOWN),
        f"passes({SHOWN[0]:.0e})",
        f"s({SHOWN[0]:.0e})",
    )
    return [
        Table(panel["label"], columns, [_row(entry) for entry in panel["methods"].values()])
        for panel in summary["panels"]
    ]


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    whole, fine = entry["laws"]["all"], entry["laws"]["fine"]
    return (
        entry["label"],
        entry["printed"],
        _law_cell(fine if "power" in fine else whole),
        _interval(whole, "power", "exponent", ".2f"),
        *(_cell(entry, "iterations", eps, "{:.0f}") for eps in SHOWN),
        _cell(entry, "passes", SHOWN[0], "{:.0f}"),
        _cell(entry, "seconds", SHOWN[0], "{:.2g}"),
    )


def _law_cell(laws: Mapping[str, Any]) -> str:
    """The better law with its coefficient, in few characters."""
    if "power" not in laws:
        return "too few points"
    linear = f"{_interval(laws, 'log', 'per_decade', '.4g')} a decade"
    power = f"p = {_interval(laws, 'power', 'exponent', '.2f')}"
    return {"log": linear, "power": power, "either": f"{linear}, or {power}"}.get(laws["better"], "neither")


def _interval(laws: Mapping[str, Any], law: str, name: str, form: str) -> str:
    if law not in laws:
        return ""
    low, high = laws[law]["low"], laws[law]["high"]
    return f"{laws[law][name]:{form}} [{low:{form}}, {high:{form}}]"


def _cell(entry: Mapping[str, Any], column: str, eps: float, form: str) -> str:
    value = _at(entry, column, eps)
    if value is None:
        return "not yet"
    return "-" if column == "passes" and value == 0.0 else form.format(value)


def write_markdown(summary: Mapping[str, Any], path: Path) -> Path:
    """Write the tables with what follows from them, for people; returns `path`."""
    lines = [f"# {summary['title']}", ""]
    for table, panel in zip(tables(summary), summary["panels"], strict=True):
        lines += [f"## {table.title}", "", *table.markdown()]
        lines += ["", *(f"- {sentence}" for sentence in panel["findings"]), ""]
    lines += ["## Notes", "", *(f"- {note}" for note in summary["notes"]), ""]
    with replacing(path) as beside:
        beside.write_text("\n".join(lines), encoding="utf-8")
    return path
