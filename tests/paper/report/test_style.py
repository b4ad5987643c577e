"""Defaults of the report's figures."""

from gdnp.paper.report.style import AXIS, LAYOUT, styled


def test_defaults_fill_what_a_figure_leaves_open():
    given = {"title": {"text": "T"}, "xaxis": {"title": {"text": "x"}, "ticks": ""}, "margin": {"l": 56}}
    layout = styled({"data": [1], "layout": given})["layout"]
    assert "title" not in layout  # it stands in the text
    assert layout["xaxis"] == {**AXIS, "title": {**AXIS["title"], "text": "x"}, "ticks": ""}
    assert layout["margin"] == {**LAYOUT["margin"], "l": 56}
    assert layout["yaxis"] == AXIS
    assert given["xaxis"] == {"title": {"text": "x"}, "ticks": ""}


def test_further_axes_look_like_the_first():
    assert styled({"layout": {"yaxis2": {"side": "right"}}})["layout"]["yaxis2"] == {**AXIS, "side": "right"}
