"""The claims of section 4.4, measured afresh."""

import pytest

from gdnp.paper.claims import experiments
from gdnp.paper.claims.experiments import _runs, _told_apart
from paper_problems import claims_of, is_the_recorded_one


@pytest.mark.parametrize("name", claims_of("experiments"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


def test_runs_that_are_the_same_are_noticed(monkeypatch):
    assert _told_apart()
    runs = dict(_runs())
    one = next(name for name in runs if name.startswith("(100") and "/gd-" in name)
    monkeypatch.setattr(experiments, "_runs", lambda: {**runs, one.replace("/gd-", "/agd-"): runs[one]})
    assert not _told_apart()
