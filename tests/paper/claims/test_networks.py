"""The claims of section 5 on one hidden layer, measured afresh."""

import sys

import numpy as np
import pytest

from gdnp.paper.claims import run_claims
from gdnp.paper.claims.networks import THETA, _length_term, _plane, _units
from paper_problems import claims_of, is_the_recorded_one


@pytest.mark.parametrize("name", claims_of("networks"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


def test_units_meet_what_theorem_3_assumes():
    """The gradient at a unit on the line of S⁻¹u is along u, which the units before and after leave so."""
    for k, f in enumerate(_units(4)):
        assert f.network.theta[k % 3] == THETA[k % 3]
        gradient = f.at(0.7 * f.optimal_direction).gradient
        off = gradient - (gradient @ f.u) / (f.u @ f.u) * f.u
        assert np.linalg.norm(off) <= 1e-9 * np.linalg.norm(gradient)


def test_length_term_falls_fourfold_with_every_step():
    f = _units(1)[0]
    assert _length_term(f, 4.0, 3) == pytest.approx(_length_term(f, 4.0, 2) / 4.0)
    assert _length_term(f, 8.0, 2) == pytest.approx(4.0 * _length_term(f, 4.0, 2))


@pytest.mark.parametrize("r", [0.2, 0.9])
def test_plane_integrates_the_gaussian(r):
    """Mean (√r, 0), covariance diag(1 - r, 1), total one."""
    z, weight = _plane(r, 0.12)
    assert weight.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(weight @ z, [np.sqrt(r), 0.0], atol=1e-12)
    second = (z - weight @ z).T @ ((z - weight @ z) * weight[:, None])
    np.testing.assert_allclose(second, np.diag([1.0 - r, 1.0]), atol=1e-12)


@pytest.mark.parametrize(
    "name", ["mlp-gradient", "lemma-2", "first-layer-gradient", "cross-dependency-rank-one"]
)
def test_a_missing_extra_is_never_a_verdict(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    for module in [module for module in sys.modules if module.partition("gdnp.nn")[1]]:
        monkeypatch.delitem(sys.modules, module)
    (result,) = run_claims([name])
    assert result.outcome == "NOT RUN: torch missing"
    assert result.agrees is None
    assert result.reason.endswith("run: pip install 'gdnp[torch]'.")
