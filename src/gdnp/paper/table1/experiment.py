"""Table 1: how many iterations and passes it takes to reach a gradient norm of at most ε."""

import math
import time
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from gdnp import columns, methods
from gdnp._typing import FloatArray
from gdnp.paper.runner.cells import field_of
from gdnp.paper.runner.experiment import Experiment, OptionError, Options, Settings
from gdnp.paper.runner.problems import LOSS_LABELS, WORLD_LABELS, gaussian_objective, start_at
from gdnp.paper.table1 import drawing, summary
from gdnp.solvers import Progress, minimize
from gdnp.store import Part

SEPARATE = ("agd_nonconvex",)
"""Whose parameters depend on ε, so that every ε is a run of its own."""


QUICK: dict[str, Any] = {
    **{"d": 10, "kappa": 20.0, "r": 0.5},  # of the Gaussian design
    "rows": 4000,  # n of the sample
    "starts": 2,
    "max_iter": 6000,
    "gdnp_max_iter": 300,  # the same for GDNP, whose iterations take longer
    "decades": (1, 8),  # ε runs from 10^(-first) to 10^(-last)
    "per_decade": 4,  # values of ε in each
    "separate_per_decade": 2,  # the same where every ε is a run of its own
}
FULL = QUICK | {
    "d": 20,
    "kappa": 100.0,
    "rows": 10_000,
    "starts": 5,
    "max_iter": 20_000,
    "gdnp_max_iter": 3000,
}
FULL["decades"] = (1, 10)


def epsilons(size: Mapping[str, Any], *, separate: bool) -> list[float]:
    """The ε, falling, for methods of one run or of a run for each ε."""
    (first, last), each = size["decades"], size["separate_per_decade" if separate else "per_decade"]
    return [10.0 ** -(first + k / each) for k in range((last - first) * each + 1)]


class Table1(Experiment):
    """GD, AGD, the non-convex AGD and GDNP at their safe steps, from the same random starts."""

    name, title = "table1", summary.TITLE
    quick, full = QUICK, FULL
    summarise = staticmethod(summary.summarise)
    tables = staticmethod(summary.tables)
    draw = staticmethod(drawing.draw)
    interactive = staticmethod(drawing.interactive)

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and configuration; the data are the Gaussian design, whatever `options` names."""
        if any(name != "gaussian" for name in options.data):
            raise OptionError(
                "Table 1 is about Gaussian data, where GDNP's rate is proved. "
                f"Got {', '.join(options.data)}: leave --data out."
            )
        folder, size, settings = self.begun(options)
        shape = {**{key: size[key] for key in ("d", "kappa", "r")}, "n": size["rows"]}
        most = {"gdnp": size["gdnp_max_iter"]}
        settings |= {
            "design": {**shape, "seed": options.seed},
            "losses": list(LOSS_LABELS),
            "worlds": list(WORLD_LABELS),
            "methods": list(summary.LABELS),
            "starts": size["starts"],
            "max_iter": {name: most.get(name, size["max_iter"]) for name in summary.LABELS},
            "epsilons": {name: epsilons(size, separate=name in SEPARATE) for name in summary.LABELS},
        }
        return folder, settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """The runs of each world, loss and method; and the Hessian of softplus at its minimum."""
        parts = []
        for world, loss, name in product(settings["worlds"], settings["losses"], settings["methods"]):
            config = {
                "design": {**settings["design"], "name": world},
                "loss": loss,
                "method": name,
                **{key: settings[key] for key in ("starts", "seed")},
                **{key: settings[key][name] for key in ("max_iter", "epsilons")},
            }
            cost = config["max_iter"] * (20.0 if name in SEPARATE else 1.0)
            parts.append(Part(f"{world}/{loss}/{name}", _runs, config, cost=cost))
        config = {"design": {**settings["design"], "name": "population"}}
        return [*parts, Part("population/log_loss/curvature", _curvature, config)]


def _runs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where each ε is reached first, and what the iterate there is like: (ε, starts), nan where it is not."""
    f, _ = field_of(config["design"], config["loss"])
    starts = np.stack([start_at(len(f.u), config["seed"], k) for k in range(config["starts"])], axis=1)
    begin = time.process_time()
    if config["method"] in SEPARATE:
        found, taken = _separate(config, f, starts)
    else:
        run = columns.run(f, config["method"], starts, 1.0, config["max_iter"])
        hit = run.gradient_norm <= np.array(config["epsilons"])[:, None, None]
        first, taken = hit.argmax(axis=1), starts.shape[1] * config["max_iter"]
        seen = {name: getattr(run, name)[first, range(starts.shape[1])] for name in summary.AT}
        found = {
            name: np.where(hit.any(axis=1), values, np.nan)
            for name, values in {"iterations": first, **seen}.items()
        }
    return {**found, "seconds": (time.process_time() - begin) / taken}


def _separate(
    config: Mapping[str, Any], f: columns.Field, starts: FloatArray
) -> tuple[dict[str, FloatArray], int]:
    """The same of a method that is told ε, and how many iterations that took."""
    objective = gaussian_objective(config["design"], config["design"]["name"], config["loss"])
    shape, taken = (len(config["epsilons"]), starts.shape[1]), 0
    found = {name: np.full(shape, np.nan) for name in ("iterations", *summary.AT)}
    for i, k in np.ndindex(*shape):
        eps = config["epsilons"][i]

        def reached(progress: Progress, i: int = i, k: int = k, eps: float = eps) -> bool:
            if np.linalg.norm(progress.point.gradient) > eps:
                return False
            wrong = f.rays(progress.point.coef[:, None]).wrong(np.ones(1))[0]
            seen = {name: getattr(progress, name, wrong) for name in summary.AT}
            for name, value in {"iterations": progress.iteration, **seen}.items():
                found[name][i, k] = value
            return True

        method = methods.agd_nonconvex(epsilon=eps)
        ended = minimize(
            objective, method, starts[:, k], max_iter=config["max_iter"], tol=0.0, callback=reached
        )
        taken += max(ended.n_iter, 1)
    return found, taken


def _curvature(config: Mapping[str, Any]) -> dict[str, Any]:
    """The Hessian of softplus on the population at its minimiser, by central differences of the gradient."""
    f, best = field_of(config["design"], "log_loss")
    assert best is not None
    h, ones = 1e-4, np.ones(len(f.u))
    ends = (f.rays(best.coef[:, None] + sign * h * np.eye(len(f.u))).gradient(ones) for sign in (1.0, -1.0))
    values = np.linalg.eigvalsh((next(ends) - next(ends)) / (2.0 * h))
    return {
        "smallest": float(values[0]),
        "largest": float(values[-1]),
        "gd": math.log(10.0) / -math.log1p(-columns.safe_step(f) * float(values[0])),
        "gdnp": math.log(10.0) / -math.log1p(-1.0 / config["design"]["kappa"]),
    }
