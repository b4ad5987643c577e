"""Table 1 as an experiment: it repeats but for the clock."""

import json

import numpy as np
import pytest

from gdnp.paper import EXPERIMENTS, Options, reproduce
from gdnp.paper.table1.experiment import Table1, epsilons
from paper_problems import TABLE1 as TINY


def without_seconds(document):
    """All but what a clock has measured."""
    if isinstance(document, dict):
        return {k: without_seconds(v) for k, v in document.items() if k != "seconds"}
    return [without_seconds(v) for v in document] if isinstance(document, list) else document


def test_same_bytes_twice_but_for_the_clock(table1, tmp_path):
    again = reproduce(TINY, Options(), tmp_path, workers=2)
    parts = sorted(path.name for path in (table1.directory / "parts").iterdir())
    assert parts == sorted(path.name for path in (again.directory / "parts").iterdir())
    for name in [*(f"parts/{name}" for name in parts), "settings.json", "summary.json"]:
        first, second = (json.loads((found.directory / name).read_text()) for found in (table1, again))
        assert without_seconds(first) == without_seconds(second), name


def test_refuses_other_data():
    with pytest.raises(ValueError, match=r"about Gaussian data, where .* Got a9a: leave --data out"):
        TINY.settings(Options(data=("a9a",)))
    assert TINY.settings(Options(data=("gaussian",)))[0] == "table1-quick"


def test_is_registered():
    assert isinstance(EXPERIMENTS["table1"], Table1)


def test_epsilons_fall_evenly_from_the_first_decade_to_the_last():
    for separate, each in ((False, 4), (True, 2)):
        found = epsilons(TINY.quick, separate=separate)
        assert len(found) == 5 * each + 1
        np.testing.assert_allclose(np.diff(np.log10(found)), -1.0 / each)
        assert (found[0], found[-1]) == pytest.approx((1e-1, 1e-6))
