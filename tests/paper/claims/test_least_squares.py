"""The claims of section 3, measured afresh."""

import pytest

from paper_problems import claims_of, is_the_recorded_one


@pytest.mark.parametrize("name", claims_of("least_squares"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)
