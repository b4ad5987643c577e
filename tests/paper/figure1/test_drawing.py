"""The drawings of Figure 1 come from files alone, and what is drawn is where it should be."""

import numpy as np
import pytest

from gdnp.paper import redraw
from gdnp.paper.figure1.drawing import ellipse, optimal_line
from paper_problems import FIGURE1 as TINY
from paper_problems import saved


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
