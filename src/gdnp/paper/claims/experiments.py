"""Section 4.4: what the experiments are said to show, measured against tuned rivals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from gdnp import methods
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_design, load_breast_cancer
from gdnp.paper.claims.problems import a9a
from gdnp.paper.claims.registry import Measurement, Verdict, judge, register
from gdnp.paper.runner.reference import newton_minimum
from gdnp.problem import Objective
from gdnp.solvers import Status, minimize
from gdnp.solvers.state import Method

claim = partial(register, section="4.4 Experiments I")
ITERATIONS = 100
MULTIPLES = tuple(2.0**k for k in range(-2, 8))
"""Constant steps tried, in units of 1/(L sup φ''), GD's safe step."""


@dataclass(frozen=True)
class _Race:
    """f - f* after 10 and after 100 iterations from one start, and the multiple of the safe step used."""

    at_10: float
    at_100: float
    multiple: float | None = None


def _start(f: Objective, seed: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(f.n_features) / math.sqrt(f.n_features)


def _run(
    f: Objective, method: Method, start: FloatArray, best: float, multiple: float | None = None
) -> _Race:
    result = minimize(f, method, start, max_iter=ITERATIONS, tol=0.0)
    if result.status is Status.NON_FINITE:
        return _Race(math.inf, math.inf, multiple)
    gaps = result.history["objective"] - best
    return _Race(float(gaps[min(10, len(gaps) - 1)]), float(gaps[-1]), multiple)


def _tuned(
    f: Objective, make: Callable[..., Method], start: FloatArray, best: float, multiples: Iterable[float]
) -> _Race:
    """The run with the smallest f after 100 iterations."""
    safe = 1.0 / (f.covariance.largest * f.loss.max_curvature)
    runs = [_run(f, make(step=multiple * safe), start, best, multiple) for multiple in multiples]
    return min(runs, key=lambda run: run.at_100)


@claim(
    "gaussian-linear-rate",
    "On the Gaussian design the loss of GDNP falls at the linear rate of the theorem.",
    source="Section 4.4, Results",
    scope="softplus, finite sample (4000 x 20, κ = 100, r = .5)",
)
def gaussian_linear_rate() -> Measurement:
    """The factor by which f - f* falls in a step, and how straight log(f - f*) is."""
    data = gaussian_design(4000, 20, kappa=100.0, r=0.5, seed=0)
    f = Objective(data.X, data.y, "log_loss", n_jobs=1)
    best = newton_minimum(f).objective
    result = minimize(f, methods.gdnp_inner(), _start(f, 0), max_iter=500, tol=0.0)
    steps = np.arange(200, 501)
    log = np.log(result.history["objective"][steps] - best)
    slope, intercept = np.polyfit(steps, log, 1)
    straight = 1.0 - float(np.var(log - slope * steps - intercept) / np.var(log))
    factor, bound = math.exp(slope), (1.0 - 1.0 / f.covariance.condition) ** 2
    return judge(
        factor,
        bound,
        f"Steps 200 to 500: f - f* shrinks by {factor:.4f} a step where (1-μ/L)² = {bound:.4f}; a "
        f"straight line explains {100.0 * straight:.1f} % of log(f - f*).",
        slack=1e-3,
        holds=straight > 0.99,
    )


@claim(
    "bn-wn-like-gd",
    "Simple BN and WN, one constant step on (w, g), perform like gradient descent.",
    source="Section 4.4, Results",
    scope="softplus, steps tuned on a grid for each problem and start; 'like' means within a factor of "
    "10 of f - f* after 100 iterations",
)
def bn_wn_like_gd() -> Measurement:
    """f - f* of tuned GD, BN and WN, geometric means over three starts."""
    gaussian, cancer = gaussian_design(4000, 20, kappa=100.0, r=0.5, seed=0), load_breast_cancer()
    X = np.asarray(cancer.X)[:, :10]  # all 30 columns separate the classes: f would have no minimum
    problems = {
        "Gaussian": Objective(gaussian.X, gaussian.y, "log_loss", n_jobs=1),
        "breast_cancer (ten means, standardised)": Objective(
            (X - X.mean(axis=0)) / X.std(axis=0), cancer.y, "log_loss", n_jobs=1
        ),
    }
    worst, shown = 0.0, []
    for name, f in problems.items():
        best = newton_minimum(f).objective
        logs = np.array(
            [
                [
                    math.log10(_tuned(f, make, start, best, MULTIPLES).at_100)
                    for make in (methods.gd, methods.batch_norm_gd, methods.weight_norm_gd, methods.agd)
                ]
                for start in (_start(f, seed) for seed in range(3))
            ]
        ).mean(axis=0)
        worst = max(worst, *np.abs(logs[1:3] - logs[0]))
        inner = np.mean(
            [math.log10(_run(f, methods.gdnp_inner(), _start(f, seed), best).at_100) for seed in range(3)]
        )
        gd, bn, wn, agd = (f"{10.0**value:.1e}" for value in logs)
        shown.append(f"{name}: GD {gd}, BN {bn}, WN {wn}; GDNP {10.0**inner:.1e}, AGD {agd}")
    ratio = 10.0**worst
    return judge(
        ratio,
        10.0,
        f"f - f* after 100 iterations. {'. '.join(shown)}. BN or WN is at most a factor of "
        f"{ratio:.1f} from GD.",
    )


@claim(
    "gdnp-accelerates-a9a",
    "GDNP accelerates optimisation on a9a, where the data are not Gaussian.",
    source="Section 4.4, Results",
    recorded=Verdict.FAILS_OUTSIDE_SCOPE,
    scope="softplus, 100 iterations from one random start: against GD at its safe step 1/(L sup φ''), "
    "not against a tuned step or AGD",
)
def gdnp_accelerates_a9a() -> Measurement:
    """f - f* of GDNP against GD at its safe step, tuned GD and tuned AGD; and of the S-metric step."""
    data = a9a()
    f = Objective(data.X, data.y, "log_loss", n_jobs=1)
    best, start = newton_minimum(f).objective, _start(f, 0)
    ours, metric = _run(f, methods.gdnp_inner(), start, best), _run(f, methods.gdnp_metric(), start, best)
    multiples = (0.5, 1.0, 2.0, 4.0)
    safe = _tuned(f, methods.gd, start, best, (1.0,))
    gd, agd = (_tuned(f, make, start, best, multiples) for make in (methods.gd, methods.agd))
    ratio = ours.at_100 / min(gd.at_100, agd.at_100)
    return judge(
        ratio,
        1.0,
        f"f - f* after 10 and 100 iterations: GDNP {ours.at_10:.1e}, {ours.at_100:.1e}; GD at its "
        f"safe step {safe.at_10:.1e}, {safe.at_100:.1e}; GD at the best of {len(multiples)} steps "
        f"({gd.multiple:g} times that) {gd.at_100:.1e}; AGD likewise ({agd.multiple:g} times) "
        f"{agd.at_100:.1e}. The S-preconditioned step is at the minimum to 1e-12 by then: "
        f"{'yes' if metric.at_100 <= 1e-12 else 'no'}. Ratio of GDNP to the best rival.",
        inside=ours.at_100 < safe.at_100,
        counterexample="a9a itself, once the step of GD is tuned or momentum is added.",
    )
