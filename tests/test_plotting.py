"""gdnp.plotting: files are whole and legible, and nothing global is touched."""

from __future__ import annotations

import itertools
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from gdnp.paper.runner.cells import METHODS
from gdnp.plotting import STYLES, new_figure, save, titled


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    rng = np.random.default_rng(0)
    with new_figure(1, 1, width=3.0, height=2.5) as (figure, axes):
        x = np.arange(30.0)
        axes[0, 0].semilogy(x, np.exp(-x / 5.0 + rng.standard_normal((4, 30))).T)
        titled(axes[0, 0], "Title", "and a note")
        yield save(figure, tmp_path_factory.mktemp("drawn") / "plot")


def test_png_is_sharp_and_not_blank(drawn):
    with Image.open(drawn[0]) as image:
        assert min(image.info["dpi"]) >= 150
        assert image.size == (600, 500)
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels != 255).any(axis=1).mean() > 0.02
    assert len(np.unique(pixels, axis=0)) > 50


def test_pdf_is_whole_and_keeps_letters(drawn):
    contents = drawn[1].read_bytes()
    assert contents.startswith(b"%PDF-")
    assert contents.rstrip().endswith(b"%%EOF")
    assert b"/FontFile2" in contents  # embedded TrueType, not outlines
    assert b"CreationDate" not in contents


def test_failed_save_leaves_the_old_figure(drawn):
    class Broken(Figure):
        def savefig(self, path, **kwargs):
            path.write_bytes(b"half")
            raise OSError("disk full")

    before = drawn[0].read_bytes()
    with pytest.raises(OSError, match="disk full"):
        save(Broken(), drawn[0].with_suffix(""))
    assert drawn[0].read_bytes() == before
    assert sorted(drawn[0].parent.iterdir()) == sorted(drawn)


def test_global_state_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    before = dict(matplotlib.rcParams)
    with new_figure(1, 2, width=4.0, height=2.0) as (figure, axes):
        assert axes.shape == (1, 2)
        save(figure, tmp_path / "empty")
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules


def test_users_own_style_does_not_reach_the_figures(tmp_path):
    with (
        matplotlib.rc_context({"font.size": 40.0, "axes.facecolor": "red"}),
        new_figure(1, 1, width=2.0, height=2.0) as (_, axes),
    ):
        assert axes[0, 0].get_facecolor() == (1.0, 1.0, 1.0, 1.0)
        assert axes[0, 0].title.get_fontsize() < 12.0


def test_every_method_has_a_look_of_its_own():
    assert STYLES.keys() == METHODS.keys()
    looks = {(style.color, str(style.dashes), style.marker) for style in STYLES.values()}
    assert len(looks) == len(STYLES)
    # without colour: dashes and marker tell any two apart
    for a, b in itertools.combinations(STYLES.values(), 2):
        assert (str(a.dashes), a.marker) != (str(b.dashes), b.marker)
    # with colour, in the eyes of a deuteranope (Machado et al. 2009, severity 1)
    matrix = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    colors = {style.color for style in STYLES.values()}
    for a, b in itertools.combinations(colors, 2):
        assert np.linalg.norm(matrix @ (np.array(to_rgb(a)) - np.array(to_rgb(b)))) > 0.1


def test_text_is_legible():
    with new_figure(1, 1, width=3.0, height=2.0) as (_, axes):
        axis = axes[0, 0]
        axis.plot([0.0, 1.0], [1.0, 2.0])
        sizes = [text.get_fontsize() for text in (*axis.get_xticklabels(), axis.xaxis.label, axis.title)]
    assert min(sizes) >= 8.0
