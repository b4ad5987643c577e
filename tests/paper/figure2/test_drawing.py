"""The drawings of Figure 2 come from files alone, and show the curves at iterations or passes."""

import numpy as np
import pytest

from gdnp.paper import Store
from gdnp.paper.figure2.drawing import curve
from gdnp.paper.figure2.summary import panels
from paper_problems import FIGURE2 as TINY
from paper_problems import saved


@pytest.fixture(scope="module")
def results(figure2):
    return saved(TINY, figure2)[1]


def test_figures_are_drawn_from_files_alone(figure2, results, monkeypatch, tmp_path):
    monkeypatch.setattr("gdnp.paper.figure2.race.minimize", None)
    written = TINY.draw(Store(figure2.directory).settings, results, tmp_path)
    names = ["figure2", "figure2-passes", "figure2-sigmoid"]
    assert [path.name for path in written] == [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
    for path in written:
        assert path.read_bytes() == (figure2.directory / path.name).read_bytes()


def test_curve_is_read_at_iterations_or_at_passes(figure2, results):
    """At so many passes it is the last value that had been paid for, none before the first."""
    panel = next(panels(Store(figure2.directory).settings, results))
    values = panel.measure("gdnp")
    at = curve(panel, "gdnp", values, np.array([0.0, 3.0, 12.0]), passes=False, floor=None)
    np.testing.assert_array_equal(at, values[:, [0, 3, 12]])
    spent = panel.curves["gdnp"]["passes"]
    grid = np.array([0.5, spent[0, 2], spent[0, 2] + 0.01, spent[0, 2] - 0.01])
    found = curve(panel, "gdnp", values, grid, passes=True, floor=None)[0]
    np.testing.assert_array_equal(found, [np.nan, values[0, 2], values[0, 2], values[0, 1]])
    cut = curve(panel, "gdnp", values, np.arange(13.0), passes=False, floor=10.0 * values.max())
    np.testing.assert_allclose(cut, values.max(), rtol=1e-15)
