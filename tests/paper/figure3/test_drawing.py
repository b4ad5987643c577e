"""The drawings of Figure 3 need neither PyTorch nor a run, and no two layers look the same."""

import sys

from gdnp.paper import redraw
from gdnp.paper.figure3.drawing import DOWNSTREAM, UPSTREAM, layer_styles
from paper_problems import FIGURE3 as TINY


def test_redraws_from_files_alone(figure3, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    drawn = redraw(TINY, figure3.directory, tmp_path)
    for path in drawn.figures:
        assert path.read_bytes() == (figure3.directory / path.name).read_bytes()


def test_every_layer_has_a_look_of_its_own():
    styles = layer_styles({"network": {"depth": 6, "layer": 4}})
    assert list(styles) == [1, 2, 3, 5, 6, 7]
    assert len({(style.color, style.dashes, style.marker) for style in styles.values()}) == 6
    assert {styles[i].color for i in (1, 2, 3)} == set(UPSTREAM)
    assert {styles[i].color for i in (5, 6, 7)} == set(DOWNSTREAM)
    for i in (1, 2, 3):  # the layers at one distance have dashes and marker in common
        assert styles[4 - i].dashes == styles[4 + i].dashes
        assert styles[4 - i].marker == styles[4 + i].marker
