"""The claims of section 2, measured afresh."""

import numpy as np
import pytest

from gdnp.paper.claims.reparametrisation import _excess_kurtosis
from paper_problems import claims_of, is_the_recorded_one


@pytest.mark.parametrize("name", claims_of("reparametrisation"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


def test_excess_kurtosis_of_known_samples(rng):
    assert _excess_kurtosis(np.array([-1.0, 1.0, -1.0, 1.0])) == pytest.approx(-2.0)
    assert _excess_kurtosis(5.0 + 3.0 * rng.standard_normal(200_000)) == pytest.approx(0.0, abs=0.05)
    assert _excess_kurtosis(rng.exponential(size=400_000)) == pytest.approx(6.0, rel=0.1)
