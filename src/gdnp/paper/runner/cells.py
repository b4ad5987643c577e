"""One method in one cell of section 4.4: its multiple chosen on some starts, its runs reported on others."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from gdnp import columns, theory
from gdnp._typing import FloatArray
from gdnp.metric import Covariance
from gdnp.paper.runner.problems import (
    LOSS_LABELS,
    called,
    gaussian_moments,
    gaussian_rows,
    loss_of,
    named,
    prepared_rows,
)
from gdnp.problem import Objective
from gdnp.reference import Reference, newton_minimum

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
"""Those of the paper's Figure 2; what is one's own races with them."""
RIVALS = {"GD": ("gd",), "BN and WN": ("batch_norm_gd", "weight_norm_gd"), "AGD": ("agd",)}
WITH_H = ("gdnp_inner", "gdnp")
"""Whose step has an h, corrected or as printed."""
DECIDED = 100
"""Iterations after which methods are compared."""
LEVEL = 1.2
"""Geometric means within this factor are level."""
LEAST = 1e-14
"""A suboptimality below this is rounding of f."""
WIDEST = 5e4
"""A grid whose best is at its end is extended until that is beyond this, or below one over it."""
TUNING_STARTS = 1_000_003
"""Seed of the starts that are tuned on: none of those that are reported."""


def label_of(spec: Mapping[str, Any]) -> str:
    """(κ, r) and whether it is a sample; the name of real data."""
    if "kappa" not in spec:
        return str(spec["name"])
    return f"({spec['kappa']:g}, {spec['r']:g})" + (" sample" if spec["name"] == "sample" else "")


def field_of(spec: Mapping[str, Any], loss: str, source: str = "") -> tuple[columns.Field, Reference | None]:
    """The problem of a `spec`, and its minimum; known for the log loss alone, else None.

    Its ``name`` is "population" or "sample", of the Gaussian design with ``n``, ``d``, ``kappa``, ``r`` and
    ``seed``; or it is what `described_rows` returned, whose rows are read from `source`.
    """
    return _field(json.dumps(spec, sort_keys=True), loss, source)


@lru_cache(maxsize=4)
def _field(text: str, loss: str, source: str) -> tuple[columns.Field, Reference | None]:
    spec, best = json.loads(text), None
    if spec["name"] == "population":
        u, S = gaussian_moments(spec)
        f: columns.Field = columns.PopulationField(u, S, loss_of(loss))
        if loss == "log_loss":
            coef = theory.lda_solution(u, Covariance(S))
            value = float(f.rays(coef[:, None]).moments(np.ones(1)).value[0])
            best = Reference(value, coef, 0.0, separable=False, iterations=0)
        return f, best
    X, y = gaussian_rows(spec) if spec["name"] == "sample" else prepared_rows(spec, source)
    if loss == "log_loss":
        best = newton_minimum(Objective(X, y, loss, n_jobs=1))
    return columns.SampleField(X, y, loss_of(loss)), best


def facts(config: Mapping[str, Any], source: str = "") -> dict[str, Any]:
    """Rank, L, κ and r = uᵀS⁻¹u of data, and the minimum of softplus on them."""
    f, best = field_of(config["data"], "log_loss", source)
    values = np.linalg.eigvalsh(f.S)
    kept = values[values > columns.SINGULAR * values[-1]]
    found = {"rank": len(kept), "L": values[-1], "kappa": values[-1] / kept[0], "r": f.u @ f.inverse @ f.u}
    assert best is not None
    return {**found, "minimum": best.objective, "separable": best.separable}


def starts_of(d: int, scale: str, seed: int, count: int) -> FloatArray:
    """w̃₀ as columns, (d, count)."""
    size = {"small": 1.0 / math.sqrt(d), "unit": 1.0, "large": 10.0}[scale]
    return np.asarray(size * np.random.default_rng(seed).standard_normal((d, count)))


def runner_of(method: str, h: str) -> str | columns.Runner:
    """The method by name, GDNP with h as printed, or one's own."""
    if ":" in method:
        return named(method)  # type: ignore[no-any-return]
    if method in WITH_H and h != "stein":
        return columns.GDNP(inner=10 if method == "gdnp_inner" else 0, h=h)
    return method


def race(config: Mapping[str, Any], source: str = "") -> dict[str, Any]:
    """Runs of a method at the theory's step and at its best multiple of it.

    `config` has ``data`` (a `spec`), ``loss``, ``scale``, ``method``, ``h``, ``grid`` (multiples to try),
    ``tuning_starts``, ``starts``, ``iterations`` and ``seed``. Measured are the suboptimality of the log loss
    and the gradient norm of others; what else is ``kept`` are names of ``gdnp.columns.Run``.

    Found are ``theory`` and ``best``, arrays (iterations + 1, starts), what was kept of the best runs, of the
    same shape, the ``multiple`` that was chosen, and the ``seconds`` of an iteration from one start.
    """
    f, reference = field_of(config["data"], config["loss"], source)
    d, runner, count = len(f.u), runner_of(config["method"], config["h"]), config["starts"]

    def measured(found: columns.Run) -> FloatArray:
        gap = found.gradient_norm if reference is None else found.objective - reference.objective
        return np.maximum(gap, LEAST)

    trial = starts_of(d, config["scale"], TUNING_STARTS + config["seed"], config["tuning_starts"])

    def scores(multiples: Sequence[float]) -> dict[float, float]:
        wide = np.tile(trial, len(multiples))
        found = columns.run(f, runner, wide, np.repeat(multiples, trial.shape[1]), DECIDED)
        means = np.log(measured(found)[-1]).reshape(len(multiples), -1).mean(axis=1)
        return dict(zip(multiples, means.tolist(), strict=True))

    seen = scores(config["grid"])
    ratio = config["grid"][1] / config["grid"][0]
    while True:
        chosen, low, high = min(seen, key=seen.__getitem__), min(seen), max(seen)
        within = 1.0 / WIDEST < chosen < WIDEST
        if low < chosen < high or not within or len(set(seen.values())) == 1:
            break
        seen |= scores([low / ratio, low / ratio**2] if chosen == low else [high * ratio, high * ratio**2])
    starts, begin = starts_of(d, config["scale"], config["seed"], count), time.process_time()
    found = columns.run(f, runner, np.tile(starts, 2), np.repeat([1.0, chosen], count), config["iterations"])
    seconds = (time.process_time() - begin) / (2 * count * config["iterations"])
    runs = np.split(measured(found), 2, axis=1)
    kept = {name: getattr(found, name)[:, count:] for name in config.get("kept", ())}
    return {"theory": runs[0], "best": runs[1], "multiple": chosen, **kept, "seconds": seconds}


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
        runs = {name: results[part_name(spec, loss, scale, name, h)] for name in settings["methods"]}
        means = {name: mean_at(run, tuning) for name, run in runs.items()}
        best = {rival: min(means[name] for name in names) for rival, names in RIVALS.items()}
        where = f"{label_of(spec)}, {called(loss, LOSS_LABELS)}, {SCALES[scale]}, h {h}, {TUNINGS[tuning]}"
        cells.append(
            {
                "label": where,
                **{"data": label_of(spec), "loss": loss, "scale": scale, "h": h, "tuning": tuning},
                "means": means,
                "first": min((m for m in means if m in RACERS or m not in METHODS), key=means.__getitem__),
                "against": {rival: word(means["gdnp_inner"], theirs) for rival, theirs in best.items()},
            }
        )
    return cells
