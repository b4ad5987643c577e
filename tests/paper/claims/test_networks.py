"""The claims of section 5 on one hidden layer, measured afresh."""

import numpy as np
import pytest

from gdnp.paper.claims.networks import THETA, _length_term, _units
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
