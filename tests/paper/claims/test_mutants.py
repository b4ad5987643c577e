"""Wrong code under which verdicts change: every pair of a claim and a mutant that it names is run.

A claim that is a race, a rate or a bound and that passes for wrong code would say nothing. Each mutant
replaces one function where the claims and the solvers read it.
"""

import importlib
import os
from dataclasses import replace

import pytest

from gdnp import columns, theory
from gdnp.paper.claims import CLAIMS, experiments, networks, run_claims
from gdnp.paper.figure3 import verdicts
from gdnp.paper.runner import cells
from gdnp.solvers import lengths
from gdnp.solvers.step_sizes import AdaptiveStep

BOUND, RATE, FIT, STEP = (
    theory.gradient_bound,
    theory.rayleigh_bound,
    lengths.Bisection.fit,
    AdaptiveStep.__call__,
)
RUNNERS, STARTS, INNER = dict(columns.RUNNERS), cells.starts_of, experiments._inner
RAYLEIGH, LENGTH_TERM, UNITS = theory.rayleigh_step, networks._length_term, networks.minimize_units
FALL = verdicts.Course.fall.fget


def _half_step(*arguments):
    return 0.5 * STEP(*arguments)


def _half_rayleigh(u, metric, w):
    return 0.5 * (w + RAYLEIGH(u, metric, w))


def _one_step(model, loss, *, direction, length, other):
    from gdnp.nn.groups import param_groups

    return param_groups(model, loss, direction=direction, length=direction, other=other)


def _from_the_output(*arguments, **named):
    from gdnp.nn.dependency import cross_dependency

    found = cross_dependency(*arguments, **named)
    return dict(zip(found, reversed(found.values()), strict=True))


MUTANTS = {
    "half the exponent": [
        (theory, "rayleigh_bound", lambda metric, gap, steps: RATE(metric, gap, 0.5 * steps))
    ],
    "half a step of Eq. 13": [(theory, "rayleigh_step", _half_rayleigh)],
    "half a step of Eq. 17": [(AdaptiveStep, "__call__", _half_step)],
    "h as printed": [(AdaptiveStep, "__call__", lambda self, *rest: STEP(replace(self, h="printed"), *rest))],
    "a bound 100 times larger": [
        (theory, "gradient_bound", lambda *arguments, **named: 100.0 * BOUND(*arguments, **named))
    ],
    "bisection 16 times coarser": [
        (
            lengths.Bisection,
            "fit",
            lambda self, *rest: FIT(replace(self, steps=max(self.steps - 4, 0)), *rest),
        )
    ],
    "a length term 1e6 times larger": [
        (networks, "_length_term", lambda *arguments: 1e6 * LENGTH_TERM(*arguments))
    ],
    "one sweep for all": [
        (networks, "minimize_units", lambda *arguments, **named: UNITS(*arguments, **{**named, "sweeps": 1}))
    ],
    "WN in place of BN": [(columns.RUNNERS, "batch_norm_gd", RUNNERS["weight_norm_gd"])],
    "GDNP in place of BN": [(columns.RUNNERS, "batch_norm_gd", RUNNERS["gdnp_inner"])],
    "GDNP in place of GD": [(columns.RUNNERS, "gd", RUNNERS["gdnp_inner"])],
    "GD in place of BN and WN": [
        (columns.RUNNERS, "batch_norm_gd", RUNNERS["gd"]),
        (columns.RUNNERS, "weight_norm_gd", RUNNERS["gd"]),
    ],
    "no momentum": [(columns.RUNNERS, "agd", RUNNERS["gd"])],
    "h as printed for every h": [(columns.RUNNERS, "gdnp_inner", columns.GDNP(h="printed"))],
    "starts of one scale": [
        (module, "starts_of", lambda d, scale, *rest: STARTS(d, "unit", *rest))
        for module in (cells, experiments)
    ],
    "a fall for a rise": [(verdicts.Course, "fall", property(lambda run: 1.0 / FALL(run)))],
    "softplus for the sigmoid": [(experiments, "LOSS", "log_loss")],
    "layers counted from the output": [("gdnp.nn", "cross_dependency", _from_the_output)],
    "one step for direction and length": [("gdnp.nn", "param_groups", _one_step)],
    "one step on g for ten": [(experiments, "_inner", lambda spec, inner: INNER(spec, 1))],
}
"""What each replaces: (where, name, wrong code), an attribute or an entry."""

SLOW = {
    ("theorem-2", "half the exponent"),
    ("theorem-2", "a bound 100 times larger"),
    ("theorem-2", "bisection 16 times coarser"),
    ("theorem-3", "half a step of Eq. 17"),
    ("theorem-3", "half the exponent"),
    ("gdnp-iterates", "h as printed"),
    ("gdnp-accelerates-a9a", "no momentum"),
    ("gdnp-accelerates-a9a", "starts of one scale"),
}
"""Left to the long run."""
PAIRS = [(name, mutant) for name, claim in CLAIMS.items() for mutant in claim.mutants]


@pytest.mark.parametrize(("name", "mutant"), PAIRS, ids=[f"{name}-{mutant}" for name, mutant in PAIRS])
def test_the_verdict_changes(name, mutant, monkeypatch):
    if (name, mutant) in SLOW and not os.environ.get("GDNP_LONG"):
        pytest.skip("takes seconds, and other pairs show the same: GDNP_LONG=1 runs it")
    if CLAIMS[name].section.startswith("4.4"):
        experiments._runs()  # before anything is wrong, so that a mutant runs what it replaces alone
    if any(isinstance(where, str) for where, _, _ in MUTANTS[mutant]):
        importlib.import_module("gdnp.paper.figure3.training")  # else it would keep what is wrong here
    for where, what, wrong in MUTANTS[mutant]:
        where = importlib.import_module(where) if isinstance(where, str) else where
        (monkeypatch.setitem if isinstance(where, dict) else monkeypatch.setattr)(where, what, wrong)
    replaced = {what for _, what, _ in MUTANTS[mutant]}
    # Of the runs that claims share, those of methods that are as they were need not be run again.
    again = {key for key in experiments.SEEN if key[0] in replaced or "starts_of" in replaced}
    monkeypatch.setattr(experiments, "SEEN", {k: v for k, v in experiments.SEEN.items() if k not in again})
    (result,) = run_claims([name])
    if result.measurement is None:
        pytest.skip(f"{result.outcome}: {result.reason}")
    assert result.agrees is False, result.measurement.evidence


def test_every_mutant_is_used():
    assert set(MUTANTS) == {mutant for _, mutant in PAIRS}


def test_every_race_rate_and_bound_has_a_mutant():
    judged = """
        eq-14 theorem-1 theorem-1-order eq-18 eq-19 theorem-2 theorem-3 eq-22 algorithm-3 gdnp-iterates
        gdnp-metric-one-step direction-loss-independent algorithm-2-one-sweep gaussian-linear-rate
        sigmoid-linear-rate bn-wn-like-gd gdnp-against-gd gdnp-against-bn-wn gdnp-against-agd
        steps-in-w-matter separate-steps table-1 gdnp-accelerates-a9a figure-3-upstream figure-3-downstream
    """
    assert [name for name in judged.split() if not CLAIMS[name].mutants] == []
