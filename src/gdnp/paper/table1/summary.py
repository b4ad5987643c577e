"""What came out of Table 1: the law that the iterations follow, their cost, what a small gradient says."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.runner.experiment import Results, Settings, Table, said, summary_head
from gdnp.paper.runner.problems import LOSS_LABELS, WORLD_LABELS
from gdnp.paper.table1.rates import compare

TITLE = "Table 1: iterations to an ε-critical point"
LABELS = {"gd": "GD", "agd": "AGD (convex)", "agd_nonconvex": "AGD (non-convex)", "gdnp": "GDNP"}
PRINTED: dict[str, tuple[str, float | None]] = {
    "gd": ("ε^(-2)", 2.0),
    "agd": ("ε^(-1), convex", 1.0),
    "agd_nonconvex": ("ε^(-7/4) log(1/ε)", 1.75),
    "gdnp": ("log²(1/ε)", None),
}
"""The orders of the printed table, and their exponents."""
AT = ("passes", "objective", "length", "zero_one")
"""What is known of the first iterate at ε."""
SHOWN = (1e-4, 1e-7)


def summarise(settings: Settings, results: Results) -> dict[str, Any]:
    """Whatever is called ``seconds`` differs from run to run; nothing else does."""
    return {
        **summary_head(TITLE, settings),
        **{key: settings[key] for key in ("design", "starts", "max_iter")},
        "panels": [
            _panel(settings, results, world, loss)
            for world in settings["worlds"]
            for loss in settings["losses"]
        ],
    }


def _panel(settings: Settings, results: Results, world: str, loss: str) -> dict[str, Any]:
    entries = {
        name: _method(name, settings["epsilons"][name], results[f"{world}/{loss}/{name}"])
        for name in settings["methods"]
    }
    label = f"{LOSS_LABELS[loss]}, {WORLD_LABELS[world]}"
    if world == "population":  # there are no data to pass over
        for entry in entries.values():
            entry["passes"] = [None] * len(entry["passes"])
    panel: dict[str, Any] = {"world": world, "loss": loss, "label": label, "methods": entries}
    panel["curvature"] = results.get(f"{world}/{loss}/curvature")
    return {**panel, "findings": _findings(panel)}


def _method(name: str, epsilons: Sequence[float], found: Mapping[str, Any]) -> dict[str, Any]:
    counts = _means(found["iterations"])
    eps, n = known(epsilons, counts, 1.0)
    half = len(n) // 2
    return {
        "label": LABELS[name],
        "printed": PRINTED[name][0],
        "epsilons": list(epsilons),
        "iterations": counts,
        **{column: _means(found[column], geometric=column == "passes") for column in AT},
        "laws": {"all": compare(eps, n), "fine": compare(eps[half:], n[half:])},
        "seconds": found["seconds"],
    }


def _means(values: Any, *, geometric: bool = True) -> list[float | None]:
    """Over the starts at each ε; geometric where all are positive. None unless all of them got there."""
    found = []
    for row in np.array(values, dtype=np.float64):
        mean = np.exp(np.log(row).mean()) if geometric and (row > 0.0).all() else row.mean()
        found.append(float(mean) if math.isfinite(mean) else None)
    return found


def known(
    epsilons: Sequence[float], values: Sequence[float | None], least: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """The ε that were reached with a value of at least `least`, and the values; both (m,)."""
    found = [(eps, n) for eps, n in zip(epsilons, values, strict=True) if n is not None and n >= least]
    eps, kept = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return eps, kept


def _at(entry: Mapping[str, Any], column: str, eps: float) -> float | None:
    """The value at an ε of the list, up to rounding."""
    near = np.isclose(entry["epsilons"], eps, rtol=1e-9, atol=0.0)
    return entry[column][int(near.argmax())] if near.any() else None


# --- sentences


def _findings(panel: Mapping[str, Any]) -> list[str]:
    entries, say = panel["methods"], partial(said, "table1")
    above = ", ".join(entry["label"] for name, entry in entries.items() if _exceeds(name, entry))
    sentences = [say("exceeded", above=above or "none")]
    if panel["curvature"]:
        laws = {name: entries[name]["laws"]["fine"] for name in ("gd", "gdnp")}
        measured = {
            n: f"{law['log']['value']:.4g}" if "log" in law else "not measured" for n, law in laws.items()
        }
        decades = [
            say("decade", label=LABELS[n], predicted=panel["curvature"][n], measured=seen)
            for n, seen in measured.items()
        ]
        sentences.append(say("curvature", decades="; ".join(decades), **panel["curvature"]))
    if panel["loss"] != "sigmoid":
        return sentences
    for eps in (1e-2, 1e-4):  # where the loss is bounded: what the first ε-critical points are like
        points = [
            say("point", label=entry["label"], **{column: _at(entry, column, eps) for column in AT})
            for entry in entries.values()
            if _at(entry, "iterations", eps) is not None
        ]
        sentences += [say("points", eps=eps, points="; ".join(points))] * bool(points)
    return [*sentences, say("nothing critical")]


def _exceeds(name: str, entry: Mapping[str, Any]) -> bool:
    """Whether the iterations rise with a higher power of 1/ε than is printed."""
    order, laws = PRINTED[name][1], entry["laws"]["all"]
    return order is not None and "power" in laws and laws["power"]["low"] > order


# --- tables


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """One table for each world and loss, the printed order beside what was measured."""
    counts = (*(f"N({eps:.0e})" for eps in SHOWN), f"passes({SHOWN[0]:.0e})")
    columns = ("method", "printed order", "law in the end", "p over all ε", *counts, "ms an iteration")
    return [
        Table(panel["label"], columns, [_row(entry) for entry in panel["methods"].values()])
        for panel in summary["panels"]
    ]


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    whole, fine = entry["laws"]["all"], entry["laws"]["fine"]
    laws, law = (fine if "power" in fine else whole), "too few points"
    if "power" in laws:
        linear, power = f"{_interval(laws, 'log', '.4g')} a decade", f"p = {_interval(laws, 'power', '.2f')}"
        law = {"log": linear, "power": power, "either": f"{linear}, or {power}"}.get(
            laws["better"], "neither"
        )
    counts = [_at(entry, "iterations", eps) for eps in SHOWN]
    passes = _at(entry, "passes", SHOWN[0])
    return (
        entry["label"],
        entry["printed"],
        law,
        _interval(whole, "power", ".2f"),
        *("not yet" if count is None else f"{count:.0f}" for count in counts),
        "-" if passes is None else f"{passes:.0f}",
        f"{1e3 * entry['seconds']:.2g}",
    )


def _interval(laws: Mapping[str, Any], law: str, form: str) -> str:
    """A coefficient with its interval; "" where no law was fitted."""
    if law not in laws:
        return ""
    return f"{laws[law]['value']:{form}} [{laws[law]['low']:{form}}, {laws[law]['high']:{form}}]"
