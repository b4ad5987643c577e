"""Figure 3: trained and measured for real in small, its verdicts on dependencies that are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gdnp.paper import EXPERIMENTS, OptionError, Options, Unavailable, redraw, reproduce
from gdnp.paper.figure3.experiment import FULL, QUICK, Figure3, Profile
from gdnp.paper.figure3.runs import Runs, at_losses, collect, common_losses, layer_numbers
from gdnp.paper.figure3.summary import summarise, tables
from gdnp.paper.figure3.verdicts import STATEMENTS, compare, judge

PROFILE = Profile(
    rows=40, seeds=2, iterations=12, every=4, probes=4, segment=5, pilot=5, steps=(0.1, 0.5), depth=4, width=6
)
TINY = Figure3(quick=PROFILE)
DIGITS = Options(data=("digits",))
SETTINGS = {"network": {"depth": 6, "width": 50, "layer": 4}, "iterations": 2000}
TIMES = np.arange(0, 2001, 200)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def outcome(torch, tmp_path_factory):
    return reproduce(TINY, DIGITS, tmp_path_factory.mktemp("figure3"), workers=1)


def results_of(outcome):
    settings = json.loads((outcome.directory / "settings.json").read_text())
    parts = (json.loads(path.read_text()) for path in (outcome.directory / "parts").iterdir())
    return settings, {part["part"]: part["result"] for part in parts}


# --- end to end


def test_run_leaves_figures_tables_and_verdicts(outcome):
    assert sorted(path.name for path in outcome.figures) == [
        f"figure3{name}.{kind}" for name in ("-equal-loss", "-scaled", "") for kind in ("pdf", "png")
    ]
    assert all(path.stat().st_size > 10_000 for path in outcome.figures)
    summary = outcome.summary
    assert summary["layers"] == [1, 2, 4, 5]
    assert len(summary["verdicts"]) == len(STATEMENTS) * 2 * 2 * 2  # networks, measures, bases
    assert {verdict["of"] for verdict in summary["verdicts"]} == {2}
    for network in summary["networks"].values():
        assert network["loss"][1] < network["loss"][0]
        assert np.array(network["dependencies"]["raw"]).shape == (2, 4)
    assert [len(table.rows) for table in tables(summary)] == [len(STATEMENTS), len(STATEMENTS), 8]
    findings = summary["panels"][0]["findings"]
    assert all(sentence.split(":")[0] in ("Holds", "Fails", "Mixed") for sentence in findings[1:-2])


def test_redraws_from_files_alone(outcome, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    drawn = redraw(TINY, outcome.directory, tmp_path)
    for path in drawn.figures:
        assert path.read_bytes() == (outcome.directory / path.name).read_bytes()


def test_interrupted_run_goes_on_to_the_same_bytes(outcome, tmp_path):
    """Without the later segments of a run, only those are computed again; in two processes."""
    _, settings = TINY.settings(DIGITS)
    parts = {part.name: part for part in TINY.parts(settings, DIGITS)}
    kept = [name for name in parts if not name.startswith("gd/1/") and name != "bn/0/10"]
    folder = tmp_path / "figure3-quick-digits"
    (folder / "parts").mkdir(parents=True)
    (folder / "settings.json").write_bytes((outcome.directory / "settings.json").read_bytes())
    for name in kept:
        file = f"parts/{parts[name].filename}"
        (folder / file).write_bytes((outcome.directory / file).read_bytes())
    again = reproduce(TINY, DIGITS, tmp_path, workers=2)
    assert again.summary == outcome.summary
    for part in parts.values():
        file = f"parts/{part.filename}"
        assert (folder / file).read_bytes() == (outcome.directory / file).read_bytes(), part.name


def test_segments_join_to_the_run_that_is_not_cut(outcome, tmp_path):
    whole = replace(PROFILE, segment=12)
    other = reproduce(Figure3(quick=whole), DIGITS, tmp_path, workers=1)
    for network in ("bn", "gd"):
        cut, uncut = (collect(*results_of(entry), network) for entry in (outcome, other))
        assert cut.loss.shape == (2, 13)
        np.testing.assert_array_equal(cut.loss, uncut.loss)
        np.testing.assert_array_equal(cut.gradient_norm, uncut.gradient_norm)
        np.testing.assert_array_equal(cut.times, [0, 2, 4, 5, 8, 10, 12])
        for measure, values in cut.dependencies.items():
            np.testing.assert_array_equal(values, uncut.dependencies[measure])


def test_measurements_are_those_of_cross_dependency_on_the_trained_network(torch, outcome):
    """The run once more by hand: same weights, plain steps, exact norms."""
    from torch.nn import functional as F

    from gdnp.datasets import load_digits
    from gdnp.nn import cross_dependency, matrix_layers
    from gdnp.paper.figure3.training import build

    settings, results = results_of(outcome)
    data = load_digits()
    X = data.X[:40] - data.X[:40].mean(axis=0)
    X = torch.from_numpy((X / X.std()).astype(np.float32))
    y = torch.from_numpy(data.y[:40].astype(np.int64))
    for network in ("bn", "gd"):
        runs = collect(settings, results, network)
        model = build(64, 10, depth=4, width=6, normalised=network == "bn", seed=1)
        assert list(matrix_layers(model)) == ["W1", "W2", "W3", "W4", "W5"]
        for _ in range(4):
            model.zero_grad()
            F.cross_entropy(model(X), y).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= runs.step * parameter.grad
        loss = F.cross_entropy(model(X), y)
        assert float(loss.detach()) == pytest.approx(runs.loss[1, 4], rel=1e-4)
        gradient = torch.autograd.grad(loss, list(model.parameters()))
        norm = torch.cat([piece.flatten() for piece in gradient]).norm()
        assert float(norm) == pytest.approx(runs.gradient_norm[1, 4], rel=1e-3)
        exact = cross_dependency(model, F.cross_entropy, X, y, "W3", exact=True)
        found = runs.dependencies["raw"][1, list(runs.times).index(4)]
        np.testing.assert_allclose(found, [value for value, _ in exact.values()], rtol=0.5)  # four probes
        weights = [float(weight.detach().norm()) for weight in matrix_layers(model).values()]
        scale = weights[2] * np.delete(weights, 2)
        np.testing.assert_allclose(
            runs.dependencies["scaled"][1, list(runs.times).index(4)], found * scale, rtol=1e-3
        )


def test_every_measurement_has_random_vectors_of_its_own(torch):
    from gdnp.paper.figure3.training import _measure, build

    X, y = torch.linspace(-1.0, 1.0, 40).reshape(10, 4), torch.arange(10) % 3
    model = build(4, 3, depth=2, width=5, normalised=True, seed=0)
    config = {"seed": 1, "network": {"layer": 2}, "probes": 2}
    first, again, later, other = (
        _measure(model, X, y, {**config, "seed": seed}, t)["norm"]
        for seed, t in ((1, 0), (1, 0), (1, 5), (2, 0))
    )
    assert first == again
    assert first != later
    assert first != other


def test_networks_start_from_the_same_weights_and_leave_the_random_state(torch):
    from gdnp.nn import matrix_layers
    from gdnp.paper.figure3.training import build

    before = torch.get_rng_state()
    bn, gd = (build(5, 3, depth=2, width=4, normalised=flag, seed=3) for flag in (True, False))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(matrix_layers(bn).values(), matrix_layers(gd).values(), strict=True):
        assert torch.equal(a, b)
    assert [name for name, _ in bn.named_children()] == ["W1", "BN1", "tanh1", "W2", "BN2", "tanh2", "W3"]
    assert [name for name, _ in gd.named_children()] == ["W1", "tanh1", "W2", "tanh2", "W3"]
    assert bn.W1.bias is None
    assert not gd.W1.bias.any()


def test_step_is_the_best_of_the_grid_and_a_diverging_one_is_not(torch):
    from gdnp.paper.figure3.training import tune

    _, settings = TINY.settings(DIGITS)
    (part,) = (part for part in TINY.parts(settings, DIGITS) if part.name == "gd/step")
    found = tune({**part.config, "steps": [float("inf"), 1e-6, 0.3], "iterations": 10})
    assert found["step"] == 0.3
    assert found["losses"][2] < found["losses"][1]
    assert np.isnan(found["losses"][0])


# --- verdicts on known dependencies


def runs_of(dependencies, *, loss=None, gradient=None):
    """Runs of two seeds whose dependencies are a (m, 6) array."""
    values = np.stack([dependencies, 1.1 * dependencies])
    steps = TIMES[-1] + 1
    course = np.geomspace(2.0, 0.1, steps) if loss is None else loss
    gradient = course if gradient is None else gradient
    return Runs(
        step=0.1,
        loss=np.stack([course, course]),
        gradient_norm=np.stack([gradient, gradient]),
        times=TIMES,
        dependencies={"raw": values, "scaled": 2.0 * values},
        error=0.0,
    )


def verdicts(runs, basis="iterations"):
    losses = common_losses(runs) if basis == "loss" else None
    found = judge(SETTINGS, runs, basis, losses)
    return {(v["id"], v["network"]): v for v in found if v["measure"] == "raw"}


def course(layers, fall):
    """Layers' dependencies that fall by a factor over the run, geometrically."""
    return np.geomspace(1.0, 1.0 / fall, len(TIMES))[:, None] * np.array(layers)


def test_verdicts_as_the_paper_has_them():
    """W1 > ... > W7, BN's falls 64-fold in 2000 iterations (8-fold in 1000), GD's stays."""
    layers = [6.0, 5.0, 4.0, 2.0, 1.0, 0.5]
    found = verdicts({"bn": runs_of(course(layers, 64.0)), "gd": runs_of(course(layers, 1.5))})
    assert found["depth", "bn"]["value"] == pytest.approx(1.2)
    assert found["depth", "bn"]["holds"] == 2
    assert found["distance-downstream", "gd"]["value"] == pytest.approx(2.0)
    assert found["distance-upstream", "bn"]["value"] == pytest.approx(4.0 / 5.0)
    assert found["distance-upstream", "bn"]["holds"] == 0
    assert found["upstream", "bn"]["value"] == pytest.approx(np.sqrt(77.0 / 5.25))
    assert found["upstream-same-size", "bn"]["value"] == pytest.approx(np.sqrt(2.0 * 5.0))
    assert found["decay", "bn"]["value"] == pytest.approx(8.0)
    assert found["decay", "bn"]["holds"] == 2
    assert found["elevated", "gd"]["value"] == pytest.approx(1.5**-0.5)
    assert found["elevated", "gd"]["holds"] == 2
    assert not found["elevated", "bn"]["expected"]


def test_verdicts_that_fail():
    layers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    found = verdicts({"bn": runs_of(course(layers, 1.1)), "gd": runs_of(course(layers, 64.0))})
    missed = ("depth", "distance-downstream", "upstream", "upstream-same-size", "before-criticality")
    assert all(found[name, "bn"]["holds"] == 0 for name in missed)
    assert found["distance-upstream", "bn"]["holds"] == 2
    assert found["decay", "bn"]["holds"] == found["elevated", "gd"]["holds"] == 0


def test_before_criticality_is_while_the_gradient_is_large():
    """Downstream takes over at measurement 7, which counts if the gradient is not small by then."""
    values = course([3.0, 3.0, 3.0, 1.0, 1.0, 1.0], 1.0)
    values[7:, 3:] = 9.0
    for small_from, expected in ((5, 3.0), (9, 1.0 / 3.0)):
        gradient = np.ones(TIMES[-1] + 1)
        gradient[TIMES[small_from] :] = 0.05
        runs = runs_of(values, gradient=gradient)
        found = verdicts({"bn": runs, "gd": runs})
        for name in ("before-criticality", "before-criticality-same-size"):
            assert found[name, "bn"]["value"] == pytest.approx(expected)


def test_equal_loss_compares_at_losses_that_both_reach():
    """GD is four times as slow: at equal loss its dependencies, a function of the loss alone, are BN's."""
    layers = np.array([6.0, 5.0, 4.0, 2.0, 1.0, 0.5])
    fast, slow = np.geomspace(2.0, 0.02, 2001), np.geomspace(2.0, 2.0 / 100.0**0.25, 2001)
    runs = {
        name: runs_of(loss[TIMES][:, None] * layers, loss=loss) for name, loss in (("bn", fast), ("gd", slow))
    }
    losses = common_losses(runs)
    assert losses[0] == pytest.approx(2.0)
    assert losses[-1] == pytest.approx(2.0 / 100.0**0.25)
    for entry in runs.values():
        np.testing.assert_allclose(at_losses(entry, "raw", losses)[0], losses[:, None] * layers, rtol=1e-10)
    ratio = compare(SETTINGS, runs, losses)
    assert ratio["loss"]["raw"]["value"] == pytest.approx(1.0)
    assert ratio["iterations"]["raw"]["value"] == pytest.approx(100.0**0.75)
    assert ratio["iterations"]["raw"]["holds"] == 2
    found = verdicts(runs, "loss")
    assert found["decay", "bn"]["value"] == found["decay", "gd"]["value"] == pytest.approx(100.0**0.25)


def test_a_loss_that_rises_is_waited_out():
    loss = np.geomspace(2.0, 0.1, 2001)
    loss[400:500], loss[500:900] = 3.0, 2.5
    runs = runs_of(np.geomspace(1.0, 0.1, len(TIMES))[:, None] * np.ones(6), loss=loss)
    found = at_losses(runs, "raw", np.array([np.sqrt(loss[200] * loss[1000]), loss[1200]]))
    values = runs.dependencies["raw"][0]
    np.testing.assert_allclose(found[0], [np.sqrt(values[1] * values[5]), values[6]])


def test_a_run_that_diverges_is_told_not_hidden(outcome):
    settings, results = results_of(outcome)
    for piece in (results["gd/0/5"], results["gd/0/10"]):
        piece["loss"] = [None] * len(piece["loss"])
        piece["gradient_norm"] = [None] * len(piece["gradient_norm"])
        for record in piece["records"]:
            record["norm"] = [None] * 4
    summary = summarise("Figure 3", settings, results)
    assert summary["losses"] is None
    assert "The runs have no training loss in common" in summary["panels"][0]["findings"][-1]
    gd = [v for v in summary["verdicts"] if v["network"] == "gd" and v["id"] == "upstream"]
    assert all(np.isnan(v["value"]) and v["holds"] <= 1 for v in gd)


def test_shallow_networks_have_no_pairs_to_compare(torch, tmp_path):
    shallow = Figure3(quick=replace(PROFILE, depth=2, seeds=1, iterations=4))
    summary = reproduce(shallow, DIGITS, tmp_path, workers=1).summary
    values = {v["id"]: v["value"] for v in summary["verdicts"] if v["network"] == "bn"}
    assert values["upstream-same-size"] is values["distance-upstream"] is None
    assert values["upstream"] > 0.0
    assert "-" in tables(summary)[0].rows[2][1]


# --- options


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
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(Unavailable, match=r'^Figure 3 needs PyTorch, .*: pip install "gdnp\[torch\]"\.$'):
        TINY.settings(Options())


def test_profiles_are_those_of_the_paper():
    assert (FULL.seeds, FULL.iterations, FULL.every, FULL.rows) == (5, 5000, 200, None)
    assert (FULL.depth, FULL.width) == (QUICK.depth, QUICK.width) == (6, 50)
    assert isinstance(EXPERIMENTS["figure3"], Figure3)
    assert layer_numbers(SETTINGS) == [1, 2, 3, 5, 6, 7]


def test_interactive_figures_are_valid_plotly(outcome):
    go = pytest.importorskip("plotly.graph_objects")
    figures = TINY.interactive(*results_of(outcome))
    assert [figure["layout"]["title"]["text"] for figure in figures] == [
        "Loss and gradient norm",
        "Dependencies, BN",
        "Dependencies, GD (no BN)",
    ]
    for figure in figures:
        go.Figure(figure)
        json.dumps(figure, allow_nan=False)
    assert len(figures[1]["layout"]["updatemenus"][0]["buttons"]) == 4
