"""Figure 3 as an experiment: what it refuses and says, its drawings, and that it goes on where it stopped."""

import sys

import numpy as np
import pytest

from gdnp.paper import EXPERIMENTS, OptionError, Options, Unavailable, redraw, reproduce
from gdnp.paper.figure3.experiment import DOWNSTREAM, FULL, QUICK, UPSTREAM, Figure3, layer_styles
from gdnp.paper.figure3.verdicts import BASES, STATEMENTS
from paper_problems import DIGITS, SIZE3, are_valid_plotly, saved
from paper_problems import FIGURE3 as TINY


def test_interrupted_run_goes_on_to_the_same_bytes(figure3, tmp_path):
    """Without the later segments of a run, only those are computed again; in two processes."""
    _, settings = TINY.settings(DIGITS)
    parts = {part.name: part for part in TINY.parts(settings, DIGITS)}
    kept = [name for name in parts if not name.startswith("gd/1/") and name != "bn/0/10"]
    folder = tmp_path / "figure3-quick-digits"
    (folder / "parts").mkdir(parents=True)
    (folder / "settings.json").write_bytes((figure3.directory / "settings.json").read_bytes())
    for name in kept:
        file = f"parts/{parts[name].filename}"
        (folder / file).write_bytes((figure3.directory / file).read_bytes())
    again = reproduce(TINY, DIGITS, tmp_path, workers=2)
    assert again.summary == figure3.summary
    for part in parts.values():
        file = f"parts/{part.filename}"
        assert (folder / file).read_bytes() == (figure3.directory / file).read_bytes(), part.name


def test_quick_takes_what_is_there_and_downloads_nothing(torch, monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    folder, settings = TINY.settings(Options())
    assert folder == "figure3-quick"
    assert settings["data"]["name"] == "digits"
    assert settings["data"]["batches"] == []
    assert settings["network"]["layer"] == 3
    assert settings["measured"] == [0, 2, 4, 5, 8, 10, 12]


def test_refuses_what_it_cannot_train_on(torch):
    with pytest.raises(OptionError, match=r"one of cifar10, mnist, digits. Got breast_cancer"):
        TINY.settings(Options(data=("breast_cancer",)))
    with pytest.raises(OptionError, match=r"Got digits, mnist"):
        TINY.settings(Options(data=("digits", "mnist")))
    with pytest.raises(OptionError, match=r"PyTorch \S+ finds here. Got 'nonsense': leave it out"):
        TINY.settings(Options(device="nonsense"))
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match=r"finds here. Got 'cuda': leave it out"):
            TINY.settings(Options(device="cuda"))


def test_without_pytorch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Unavailable, match=r'^Figure 3 needs PyTorch, .*: pip install "gdnp\[torch\]"\.$'):
        TINY.settings(Options())


def test_profiles_are_those_of_the_paper():
    assert [FULL[key] for key in ("seeds", "iterations", "every", "rows")] == [5, 5000, 200, None]
    assert (FULL["depth"], FULL["width"]) == (QUICK["depth"], QUICK["width"]) == (6, 50)
    assert isinstance(EXPERIMENTS["figure3"], Figure3)


def test_run_leaves_figures_tables_and_verdicts(figure3):
    assert sorted(path.name for path in figure3.figures) == [
        f"figure3{name}.{kind}" for name in ("-equal-loss", "-scaled", "") for kind in ("pdf", "png")
    ]
    assert all(path.stat().st_size > 10_000 for path in figure3.figures)
    summary = figure3.summary
    assert summary["layers"] == [1, 2, 4, 5]
    assert len(summary["verdicts"]) == len(STATEMENTS) * 2 * 2 * 2  # networks, measures, bases
    assert {verdict["of"] for verdict in summary["verdicts"]} == {2}
    for network in summary["networks"].values():
        assert network["loss"][1] < network["loss"][0]
        assert np.array(network["dependencies"]["raw"]).shape == (2, 4)
    assert [len(table.rows) for table in TINY.tables(summary)] == [len(STATEMENTS), len(STATEMENTS), 8]
    for table, basis in zip(TINY.tables(summary), BASES, strict=False):
        for row, statement in zip(table.rows, STATEMENTS, strict=True):
            held = [
                v["holds"] == 2
                for v in summary["verdicts"]
                if (v["id"], v["basis"], v["expected"]) == (statement.id, basis, True)
            ]
            assert (row[0], row[-1] == "holds") == (statement.text, all(held))


def test_a_run_that_diverges_is_told_not_hidden(figure3):
    settings, results = saved(TINY, figure3)
    for piece in (results["gd/0/5"], results["gd/0/10"]):
        piece["loss"] = [None] * len(piece["loss"])
        piece["gradient_norm"] = [None] * len(piece["gradient_norm"])
        for record in piece["records"]:
            record["norm"] = [None] * 4
    summary = TINY.summarise(settings, results)
    assert summary["losses"] is None
    assert "The runs have no training loss in common" in summary["panels"][0]["findings"][-1]
    gd = [v for v in summary["verdicts"] if v["network"] == "gd" and v["id"] == "upstream"]
    assert all(np.isnan(v["value"]) and v["holds"] <= 1 for v in gd)


def test_shallow_networks_have_no_pairs_to_compare(torch, tmp_path):
    shallow = Figure3({**SIZE3, "depth": 2, "seeds": 1, "iterations": 4})
    summary = reproduce(shallow, DIGITS, tmp_path, workers=1).summary
    values = {v["id"]: v["value"] for v in summary["verdicts"] if v["network"] == "bn"}
    assert values["upstream-same-size"] is values["distance-upstream"] is None
    assert values["upstream"] > 0.0
    assert "-" in TINY.tables(summary)[0].rows[2][1]


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


def test_interactive_figures_are_valid_plotly(figure3):
    figures = TINY.interactive(*saved(TINY, figure3))
    assert [figure["layout"]["title"]["text"] for figure in figures] == [
        "Loss and gradient norm",
        "Dependencies, BN",
        "Dependencies, GD (no BN)",
    ]
    assert are_valid_plotly(figures)
    assert len(figures[1]["layout"]["updatemenus"][0]["buttons"]) == 4


def test_dependencies_are_geometric_means_over_the_seeds(figure3):
    settings, results = saved(TINY, figure3)
    trace = next(
        trace
        for trace in TINY.interactive(settings, results)[1]["data"]
        if trace.get("name", "").startswith("W1,")
    )
    chains = [[results[f"bn/{seed}/{start}"] for start in (0, 5, 10)] for seed in (0, 1)]
    norms = [[record["norm"][0] for piece in chain for record in piece["records"]] for chain in chains]
    assert trace["x"] == [0, 2, 4, 5, 8, 10, 12]
    np.testing.assert_allclose(trace["y"], np.exp(np.log(norms).mean(axis=0)), rtol=1e-3)
