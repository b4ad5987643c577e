"""The drawings of Figure 1 come from files alone, and what is drawn is where it should be."""

import numpy as np
import pytest

from gdnp.paper import redraw
from gdnp.paper.figure1.drawing import ellipse, optimal_line
from paper_problems import FIGURE1 as TINY
from paper_problems import are_valid_plotly, saved


def test_redraws_from_files_alone(figure1, tmp_path):
    drawn = redraw(TINY, figure1.directory, tmp_path)
    assert sorted(path.name for path in drawn.figures) == [
        "figure1-sample.pdf",
        "figure1-sample.png",
        "figure1.pdf",
        "figure1.png",
    ]
    for path in drawn.figures:
        assert path.stat().st_size > 10_000
    assert (tmp_path / "figure1.png").read_bytes() == (figure1.directory / "figure1.png").read_bytes()
    assert len(TINY.tables(drawn.summary)) == 2


@pytest.mark.parametrize("world", ["population", "sample"])
def test_ellipse_and_line_are_those_of_the_problem(figure1, world):
    paths = saved(TINY, figure1)[1][f"{world}/paths"]
    S, u = np.array(paths["S"]), np.array(paths["u"])
    points = ellipse(paths, 40)
    assert points.shape == (40, 2)
    np.testing.assert_allclose(np.einsum("ij,jk,ik->i", points, S, points), paths["g0"] ** 2)
    np.testing.assert_allclose(points[0], points[-1], atol=1e-12)
    # Twice the largest radius away from the start to the other side: it goes all the way round.
    assert np.ptp(points, axis=0) == pytest.approx(
        2.0 * paths["g0"] * np.sqrt(np.diag(np.linalg.inv(S))), rel=0.01
    )
    for end in optimal_line(paths):
        v = np.linalg.solve(S, u)
        assert abs(end[0] * v[1] - end[1] * v[0]) < 1e-12 * np.linalg.norm(end) * np.linalg.norm(v)
        assert (end < paths["low"]).any() or (end > paths["high"]).any()


# --- in the report


def test_figures_are_valid_plotly(figure1):
    figures = TINY.interactive(*saved(TINY, figure1))
    assert [figure["layout"]["title"]["text"] for figure in figures] == [
        "Least squares",
        "Logistic",
        "Sigmoid",
    ]
    assert are_valid_plotly(figures)


def test_paths_end_where_the_saved_ones_do(figure1):
    settings, results = saved(TINY, figure1)
    for figure, loss in zip(TINY.interactive(settings, results), settings["losses"], strict=True):
        traces = [trace for trace in figure["data"] if trace.get("visible", True)]
        by_name = {trace["name"]: trace for trace in traces if "name" in trace}
        paths = results["population/paths"]
        entry = paths["losses"][loss]
        for name, expected in (("GD", entry["gd"]), ("GDNP_seq: direction, then length", entry["ray"])):
            end = by_name[name]["x"][-1], by_name[name]["y"][-1]
            np.testing.assert_allclose(end, expected[-1], rtol=1e-3)
        np.testing.assert_allclose(
            [by_name["start"]["x"][0], by_name["start"]["y"][0]], paths["start"], rtol=1e-3
        )
        assert ("minimum" in by_name) == (entry["gd_stationary"] or entry["ray_stationary"])


def test_level_sets_shade_low_values(figure1):
    """The share of the frame where f is lower takes the place of f."""
    settings, results = saved(TINY, figure1)
    figure = TINY.interactive(settings, results)[0]
    (ground,) = (t for t in figure["data"] if t["type"] == "contour" and t.get("visible", True))
    values = np.array(results["population/paths"]["losses"]["squared_error"]["levels"]["values"])
    shares = np.array(ground["z"])
    assert shares.shape == values.shape
    assert shares.flat[values.argmin()] == shares.min() == 0.0
    assert shares.flat[values.argmax()] == shares.max() < 1.0
    assert (np.argsort(shares, axis=None)[-3:] == np.argsort(values, axis=None)[-3:]).all()
