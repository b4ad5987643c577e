"""The claim of section 6, measured afresh."""

import pytest

from paper_problems import claims_of, is_the_recorded_one

pytest.importorskip("torch")

from gdnp.paper.claims.conclusion import _loss


@pytest.mark.parametrize("name", claims_of("conclusion"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_each_rate_is_that_of_its_parameters(name):
    """A rate of zero stops its group alone: all three together stop everything."""
    still = _loss(name, (0.0, 0.0, 0.0), (0,))
    ends = [_loss(name, rates, (0,)) for rates in ((0.01, 0.0, 0.0), (0.0, 0.01, 0.0), (0.0, 0.0, 0.01))]
    assert max(ends) < still
    assert len(set(ends)) == 3
