"""The phase diagram and Figure 2 are drawn from files alone."""

from gdnp.paper import Store
from paper_problems import SECTION44, saved


def test_figures_are_drawn_from_files_alone(section44, monkeypatch, tmp_path):
    results = saved(SECTION44, section44)[1]
    monkeypatch.setattr("gdnp.columns.run", None)
    written = SECTION44.draw(Store(section44.directory).settings, results, tmp_path)
    names = ["section44", "section44-figure2"]
    assert [path.name for path in written] == [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
    for path in written:
        assert path.read_bytes() == (section44.directory / path.name).read_bytes()
