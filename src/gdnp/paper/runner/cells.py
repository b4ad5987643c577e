"""One method in one cell of section 4.4: its multiple chosen on some starts, its runs reported on others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from gdnp import columns, theory
from gdnp._typing import FloatArray
from gdnp.metric import Covariance
from gdnp.paper.runner.problems import LOSS_LABELS, a9a, gaussian_moments, gaussian_rows
from gdnp.problem import Objective
from gdnp.reference import newton_minimum

__all__ = [
    "HS",
    "METHODS",
    "RACERS",
    "RIVALS",
    "SCALES",
    "TUNINGS",
    "WITH_H",
    "cells_of",
    "field_of",
    "label_of",
    "mean_at",
    "part_name",
    "race",
    "word",
]

SCALES = {"small": "N(0, I/d)", "unit": "N(0, I)", "large": "10 N(0, I)"}
TUNINGS = {"theory": "steps of the theory", "best": "best of a grid"}
HS = ("stein", "printed")
METHODS = {
    "gd": "GD",
    "agd": "AGD",
    "weight_norm_gd": "WN",
    "batch_norm_gd": "BN",
    "gdnp_inner": "GDNP",
    "gdnp": "GDNP (bisection)",
    "gdnp_metric": "GDNP (metric)",
    "two_step": "Two-step LS",
}
RACERS = ("gd", "agd", "weight_norm_gd", "batch_norm_gd", "gdnp_inner")
"""Those of the paper's Figure 2."""
RIVALS = {"GD": ("gd",), "BN and WN": ("batch_norm_gd", "weight_norm_gd"), "AGD": ("agd",)}
WITH_H = ("gdnp_inner", "gdnp")
"""Whose step has an h, corrected or as printed."""
DECIDED = 100
"""Iterations after which methods are compared."""
LEVEL = 1.2
"""Geometric means within this factor are level."""
LEAST = 1e-14
"""A suboptimality below this is rounding of f."""
EXTENSIONS = 4
"""How often a grid whose best is at its end is extended."""
TUNING_STARTS = 1_000_003
"""Seed of the starts that are tuned on: none of those that are reported."""


def label_of(spec: Mapping[str, Any]) -> str:
    """(κ, r) and whether it is a sample; the name of real data."""
    if spec["name"] == "a9a":
        return "a9a"
    return f"({spec['kappa']:g}, {spec['r']:g})" + (" sample" if spec["name"] == "sample" else "")


def field_of(spec: Mapping[str, Any], loss: str) -> tuple[columns.Field, float]:
    """The problem of a `spec`, and its minimum f*; 0 for a bounded loss, which has none.

    Its ``name`` is "population" or "sample", of the Gaussian design with ``n``, ``d``, ``kappa``, ``r`` and
    ``seed``, or "a9a" with the rows that ``every`` leaves.
    """
    return _field(tuple(sorted(spec.items())), loss)


@lru_cache(maxsize=4)
def _field(items: tuple[tuple[str, Any], ...], loss: str) -> tuple[columns.Field, float]:
    spec, best = dict(items), 0.0
    X: Any
    if spec["name"] == "population":
        u, S = gaussian_moments(spec)
        f: columns.Field = columns.PopulationField(u, S, loss)
        if loss == "log_loss":
            coef = theory.lda_solution(u, Covariance(S))
            best = float(f.rays(coef[:, None]).moments(np.ones(1)).value[0])
        return f, best
    if spec["name"] == "sample":
        X, y = gaussian_rows(spec)
    else:
        data = a9a()
        X, y = data.X[:: spec["every"]], data.signs()[:: spec["every"]]
    if loss == "log_loss":
        best = newton_minimum(Objective(X, y, loss, n_jobs=1)).objective
    return columns.SampleField(X, y, loss), best


def starts_of(d: int, scale: str, seed: int, count: int) -> FloatArray:
    """w̃₀ as columns, (d, count)."""
    size = {"small": 1.0 / math.sqrt(d), "unit": 1.0, "large": 10.0}[scale]
    return np.asarray(size * np.random.default_rng(seed).standard_normal((d, count)))


def runner_of(method: str, h: str) -> str | columns.GDNP:
    """The method by name, or GDNP with h as printed."""
    if method in WITH_H and h != "stein":
        return columns.GDNP(inner=10 if method == "gdnp_inner" else 0, h=h)
    return method


def race(config: Mapping[str, Any]) -> dict[str, Any]:
    """Runs of a method at the theory's step and at its best multiple of it.

    `config` has ``data`` (a `spec`), ``loss``, ``scale``, ``method``, ``h``, ``grid`` (multiples to try),
    ``tuning_starts``, ``starts``, ``iterations`` and ``seed``. Measured are the suboptimality of the log loss
    and the gradient norm of the sigmoid.

    Returns
    -------
    dict
        ``theory`` and ``best``: arrays (iterations + 1, starts); ``multiple``, the one that was chosen.
    """
    f, best = field_of(config["data"], config["loss"])
    d, runner = len(f.u), runner_of(config["method"], config["h"])
    convex = config["loss"] == "log_loss"

    def measured(starts: FloatArray, multiples: FloatArray | float, iterations: int) -> FloatArray:
        found = columns.run(f, runner, starts, multiples, iterations)
        values = found.objective - best if convex else found.gradient_norm
        return np.maximum(values, LEAST)

    trial = starts_of(d, config["scale"], TUNING_STARTS + config["seed"], config["tuning_starts"])

    def scores(multiples: Sequence[float]) -> dict[float, float]:
        wide = np.tile(trial, len(multiples))
        ends = measured(wide, np.repeat(multiples, trial.shape[1]), DECIDED)[-1]
        means = np.log(ends).reshape(len(multiples), -1).mean(axis=1)
        return dict(zip(multiples, means.tolist(), strict=True))

    seen = scores(config["grid"])
    ratio = config["grid"][1] / config["grid"][0]
    for _ in range(EXTENSIONS):
        chosen, low, high = min(seen, key=seen.__getitem__), min(seen), max(seen)
        if low < chosen < high or len(set(seen.values())) == 1:
            break
        seen |= scores([low / ratio, low / ratio**2] if chosen == low else [high * ratio, high * ratio**2])
    starts = starts_of(d, config["scale"], config["seed"], config["starts"])
    both = np.repeat([1.0, chosen], config["starts"])
    runs = np.split(measured(np.tile(starts, 2), both, config["iterations"]), 2, axis=1)
    return {"theory": runs[0], "best": runs[1], "multiple": chosen}


def mean_at(found: Mapping[str, Any], tuning: str, iteration: int = DECIDED) -> float:
    """The geometric mean over starts."""
    values = np.asarray(found[tuning], dtype=np.float64)
    return float(np.exp(np.log(values[min(iteration, len(values) - 1)]).mean()))


def word(ours: float, theirs: float) -> str:
    """Faster, level within 20 %, or slower."""
    return "faster" if ours * LEVEL < theirs else "slower" if theirs * LEVEL < ours else "level"


def part_name(spec: Mapping[str, Any], loss: str, scale: str, method: str, h: str) -> str:
    """The name of the part that has these runs."""
    return f"{label_of(spec)}/{loss}/{scale}/{method}-{h if method in WITH_H else HS[0]}"


def cells_of(settings: Mapping[str, Any], results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was seen in each cell: means after 100 iterations, who is first, GDNP against each rival."""
    cells = []
    for spec, loss, scale, h, tuning in product(settings["data"], settings["losses"], SCALES, HS, TUNINGS):
        means = {
            method: mean_at(
                results[part_name(spec, loss, scale, method, h if method in WITH_H else HS[0])], tuning
            )
            for method in settings["methods"]
        }
        ours = means["gdnp_inner"]
        cells.append(
            {
                "label": f"{label_of(spec)}, {LOSS_LABELS[loss]}, {SCALES[scale]}, h {h}, {TUNINGS[tuning]}",
                **{"data": label_of(spec), "loss": loss, "scale": scale, "h": h, "tuning": tuning},
                "means": means,
                "first": min((name for name in RACERS), key=means.__getitem__),
                "against": {
                    rival: word(ours, min(means[name] for name in names)) for rival, names in RIVALS.items()
                },
            }
        )
    return cells
