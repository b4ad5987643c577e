"""Figure 2 and section 4.4 as one experiment: what it refuses, says and draws, and its page."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from gdnp.datasets import DataNotFoundError
from gdnp.paper import ALIASES, EXPERIMENTS, Options, Store, StoreError, reproduce
from gdnp.paper.figure2 import FLOOR, FULL, PLACES, QUICK, Figure2, chart, reached
from gdnp.paper.runner.cells import METHODS, RACERS, part_name
from paper_problems import FIGURE2 as TINY
from paper_problems import are_valid_plotly, saved


def test_unusable_data_are_refused_before_anything_is_written(tmp_path):
    three = tmp_path / "three.csv"
    three.write_text("a,y\n1,0\n2,1\n3,2\n")
    with pytest.raises(ValueError, match=r"exactly two classes\. Got 3"):
        reproduce(TINY, Options(data=(str(three),)), tmp_path / "out")
    wide = tmp_path / "wide.svm"
    wide.write_text("+1 2049:1\n-1 1:1\n")
    with pytest.raises(ValueError, match=r"at most 2048 columns.*Got 2049"):
        reproduce(TINY, Options(data=(str(wide),)), tmp_path / "out")
    with pytest.raises(ValueError, match=r"different names\. Got gaussian, gaussian"):
        reproduce(TINY, Options(data=("gaussian", "gaussian")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_repeat_bit_for_bit_in_any_number_of_processes(figure2, tmp_path):
    again = reproduce(TINY, out=tmp_path, workers=2)
    first = {path.name: json.loads(path.read_text()) for path in (figure2.directory / "parts").iterdir()}
    second = {path.name: json.loads(path.read_text()) for path in (again.directory / "parts").iterdir()}
    assert first.keys() == second.keys()
    for name, document in first.items():
        for found in (document, second[name]):
            found["result"].pop("seconds", None)
        assert json.dumps(document) == json.dumps(second[name])


def test_seed_changes_starts_and_sample(figure2):
    other = TINY.settings(Options(seed=1))[1]
    ours = {part.key for part in TINY.parts(Store(figure2.directory).settings, Options())}
    assert ours.isdisjoint(part.key for part in TINY.parts(other, Options(seed=1)))


def test_separable_data_are_called_so(separable, tmp_path):
    outcome = reproduce(TINY, Options(data=(str(separable),)), tmp_path, workers=1)
    assert outcome.directory.name == "figure2-quick-separable"
    softplus = outcome.summary["panels"][0]
    assert softplus["facts"]["separable"]
    assert softplus["facts"]["minimum"] == 0.0
    assert "separable" in softplus["findings"][0]
    assert len(outcome.figures) == 8


def test_the_full_design_is_that_of_the_docs():
    assert set(FULL["methods"]) == set(QUICK["methods"]) == set(METHODS) > set(RACERS)
    assert [round(step / FULL["grid"][0], 6) for step in FULL["grid"]] == [
        round(1.3**k, 6) for k in range(12)
    ]
    assert (FULL["tuning_starts"], FULL["starts"], FULL["data"]) == (3, 10, ("a9a",))
    assert FULL["populations"] == PLACES
    assert set(QUICK["populations"]) <= set(FULL["populations"])
    folder, settings = Figure2().settings(Options())
    assert folder == "figure2-quick"
    assert settings["losses"] == ["log_loss", "sigmoid"]


def test_section_4_4_is_another_name_of_it():
    assert EXPERIMENTS[ALIASES["section44"]].name == "figure2"
    assert not set(ALIASES) & set(EXPERIMENTS)


def test_a9a_that_is_not_here_is_said_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError, match="fetch_a9a"):
        Figure2().settings(Options(full=True))
    assert Figure2().settings(Options())[0] == "figure2-quick"


def test_data_of_the_user_take_the_place_of_the_others(separable):
    folder, settings = TINY.settings(Options(data=("gaussian", str(separable))))
    assert folder == "figure2-quick-gaussian-separable"
    assert [spec["name"] for spec in settings["data"]] == ["sample", "separable.csv"]


@pytest.fixture(scope="module")
def found(figure2):
    return saved(TINY, figure2)


def test_every_cell_has_a_verdict_for_every_rival(figure2):
    cells = figure2.summary["cells"]
    assert len(cells) == 2 * 2 * 3 * 2 * 2  # data, losses, scales, h, tunings
    for rival, counts in figure2.summary["counts"].items():
        assert sum(counts.values()) == len(cells)
        assert counts["faster"] == sum(cell["against"][rival] == "faster" for cell in cells)
    assert len({cell["label"] for cell in cells}) == len(cells)


def test_verdicts_follow_from_the_runs(figure2, found):
    settings, results = found
    data = {("(4, 0.5)"): settings["data"][0], "(4, 0.5) sample": settings["data"][1]}
    for cell in figure2.summary["cells"]:
        for name in RACERS:
            runs = results[part_name(data[cell["data"]], cell["loss"], cell["scale"], name, cell["h"])]
            ends = np.asarray(runs[cell["tuning"]])[-1]
            assert cell["means"][name] == pytest.approx(np.exp(np.log(ends).mean()), rel=1e-12)
        assert cell["means"][cell["first"]] == min(cell["means"][name] for name in RACERS)
        ratio = cell["means"]["gdnp_inner"] / cell["means"]["gd"]
        word = "faster" if ratio < 1.0 / 1.2 else "slower" if ratio > 1.2 else "level"
        assert cell["against"]["GD"] == word


def test_panels_follow_from_the_curves(figure2, found):
    settings, results = found
    softplus, sigmoid = figure2.summary["panels"]
    run = results[part_name(settings["data"][1], "log_loss", "unit", "agd", "stein")]
    gap = np.array(run["objective"]) - results["(4, 0.5) sample/facts"]["minimum"]
    np.testing.assert_allclose(gap, run["best"], rtol=1e-9)
    entry = softplus["methods"]["agd"]
    assert entry["final"]["measure"] == pytest.approx(np.median(gap[-1]))
    hits = [np.flatnonzero(row <= 1e-4) for row in gap.T]
    expected = sorted(hit[0] if hit.size else np.inf for hit in hits)[1]
    assert (entry["iterations"] or np.inf) == expected
    assert (entry["passes"] or np.inf) == expected + 1  # gradient descent: one at the start, one a step
    finals = [entry["final"]["objective"] for entry in sigmoid["methods"].values()]
    assert sigmoid["best_objective"] <= min(finals)


@pytest.mark.parametrize(
    ("measure", "median"),
    [
        ([[3, 1, 0], [3, 3, 0], [3, 0, 3]], 1.0),  # the first time counts, not the last
        ([[3, 3, 3], [3, 3, 3], [3, 0, 3]], None),
        ([[3, 1, 0], [3, 3, 3]], None),
        ([[0, 3, 3]], 0.0),
    ],
)
def test_reached(measure, median):
    runs = np.array(measure, dtype=float).T
    assert reached(runs, 1.0, np.broadcast_to(np.arange(3.0)[:, None], runs.shape)) == median


def test_sentences_say_who_is_ahead_as_measured(figure2):
    for panel in figure2.summary["panels"]:
        cells = [
            cell
            for cell in figure2.summary["cells"]
            if cell["label"].startswith(panel["label"]) and cell["data"] == "(4, 0.5) sample"
        ]
        faster = sum(cell["against"]["AGD"] == "faster" for cell in cells)
        expected = f"GDNP after 100 iterations against AGD, in {len(cells)} cells: faster in {faster},"
        assert any(sentence.startswith(expected) for sentence in panel["findings"])


def test_a_method_that_a_small_gradient_flatters_is_named(figure2):
    sigmoid = figure2.summary["panels"][1]
    ends = {e["label"]: e["final"] for e in sigmoid["methods"].values()}
    best = min(ends.values(), key=lambda end: end["objective"])
    misled = [
        label
        for label, end in ends.items()
        if end["objective"] > 1.05 * best["objective"] and end["gradient_norm"] < best["gradient_norm"]
    ]
    said = [s for s in sigmoid["findings"] if s.startswith("A small gradient")]
    assert bool(said) == bool(misled)
    assert all(f"{label} (gradient norm" in said[0] for label in misled)
    assert any(s.startswith("Final lengths in S (median): GD ") for s in sigmoid["findings"])


def test_tables_have_a_row_for_every_method_and_for_every_cell(figure2):
    *panels, cells = TINY.tables(figure2.summary)
    assert [table.title for table in panels] == ["(4, 0.5) sample, softplus", "(4, 0.5) sample, sigmoid"]
    for table in panels:
        assert [row[0] for row in table.rows] == list(METHODS.values())
    assert len(cells.rows) == len(figure2.summary["cells"])
    assert "GDNP against GD: faster in" in cells.note
    for table in (*panels, cells):
        assert {len(row) for row in table.rows} == {len(table.columns)}


@pytest.fixture(scope="module")
def results(figure2):
    return saved(TINY, figure2)


def test_figures_are_drawn_from_files_alone(figure2, results, monkeypatch, tmp_path):
    monkeypatch.setattr("gdnp.columns.run", None)
    written = TINY.draw(*results, tmp_path)
    names = ["section44", "figure2", "figure2-passes", "figure2-sigmoid"]
    assert [path.name for path in written] == [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
    for path in written:
        assert path.read_bytes() == (figure2.directory / path.name).read_bytes()


def test_curves_are_read_at_iterations_or_at_passes(results):
    """At so many passes it is the last value that had been paid for, none before the first."""
    settings, found = results
    sample = settings["data"][1]
    run = found[part_name(sample, "log_loss", "unit", "gdnp_inner", "stein")]
    values, spent = np.array(run["best"]).T, np.array(run["passes"]).T
    at, paid = (
        next(c for c in chart(settings, found, sample, "log_loss", against=how).curves if c.label == "GDNP")
        for how in ("iterations", "passes")
    )
    np.testing.assert_array_equal(at.runs, np.maximum(values, 0.1 * FLOOR["log_loss"]))
    for row, cost, seen in zip(values, spent, paid.runs, strict=True):
        assert np.isnan(seen[: int(np.ceil(cost[0]))]).all()
        for x in range(int(np.ceil(cost[0])), len(seen)):
            assert seen[x] == row[np.flatnonzero(cost <= x)[-1]]


def test_figures_are_valid_plotly(results):
    softplus, sigmoid = figures = TINY.interactive(*results)
    assert are_valid_plotly(figures)
    labels = [[button["label"] for button in f["layout"]["updatemenus"][0]["buttons"]] for f in figures]
    tail = ["steps of the theory", "starts N(0, I/d)", "starts 10 N(0, I)"]
    assert labels[0] == ["iterations", "passes", *tail]
    assert labels[1] == ["iterations", "passes", "objective f", "0-1 error", *tail]
    assert softplus["layout"]["yaxis"]["type"] == sigmoid["layout"]["yaxis"]["type"] == "log"


def test_line_is_the_geometric_mean_of_the_runs(results):
    settings, found = results
    figure = TINY.interactive(settings, found)[1]
    trace = next(trace for trace in figure["data"] if trace.get("name") == "AGD")
    runs = np.array(found[part_name(settings["data"][1], "sigmoid", "unit", "agd", "stein")]["best"])
    assert trace["x"] == list(range(13))
    np.testing.assert_allclose(trace["y"], np.exp(np.log(runs).mean(axis=1)), rtol=1e-3)
    low, high = figure["layout"]["yaxis"]["range"]
    assert 10.0**low <= runs.min() * 1.001
    assert 10.0**high >= runs[0].max()


def test_every_method_is_in_every_chart(results):
    settings, found = results
    for loss in settings["losses"]:
        for what in ("measure", "objective", "zero_one"):
            drawn = chart(settings, found, settings["data"][1], loss, what)
            assert [curve.label for curve in drawn.curves] == list(METHODS.values())
            assert drawn.log == (what == "measure")


WORDS = ("faster", "level", "slower")


@pytest.fixture(scope="module")
def script():
    """The script as a module; ``benchmarks`` is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "figure2.py"
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_figure2", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_page_and_pictures_come_from_the_result(script, figure2, tmp_path, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "figure2", TINY)
    monkeypatch.setattr("gdnp.columns.run", None)
    assert script.main([str(figure2.directory), str(tmp_path)]) == 0
    text = (tmp_path / "figure2.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\((\S+\.png)\)", text):
        assert (tmp_path / name).read_bytes() == (figure2.directory / name).read_bytes()
    cells = figure2.summary["cells"]
    for rival, counts in figure2.summary["counts"].items():
        assert script.counted(cells, rival) == " / ".join(str(counts[word]) for word in WORDS)
    assert (
        f"| all | {' | '.join(script.counted(cells, rival) for rival in figure2.summary['counts'])} |" in text
    )
    assert "**quick** profile" in text
    assert "nan" not in text


def test_each_choice_divides_the_cells(script, figure2):
    sizes = {name: len(cells) for name, cells in script.groups(figure2.summary["cells"])}
    total = sizes.pop("all")
    assert sizes["N(0, I)"] == sizes["N(0, I/d)"] == total / 3
    assert sizes["h stein"] == sizes["steps of the theory"] == sizes["(4, 0.5)"] == total / 2


def test_a_folder_that_is_no_result_is_refused(script, tmp_path):
    with pytest.raises(StoreError, match=r"Got no settings\.json"):
        script.write(tmp_path, tmp_path)


def test_cells_are_counted_beside_what_the_claims_saw(script, figure2, monkeypatch):
    monkeypatch.setattr(script, "PLACES", ((4.0, 0.5),))
    here = [c for c in figure2.summary["cells"] if (c["data"], c["loss"]) == ("(4, 0.5)", "log_loss")]
    rows = list(script.beside_claims(figure2.summary["cells"]))
    assert [row[0] for row in rows] == ["`gdnp-against-gd`", "`gdnp-against-bn-wn`", "`gdnp-against-agd`"]
    for (_, verdict, seen, counts), rival in zip(rows, ("GD", "BN and WN", "AGD"), strict=True):
        assert verdict == "DEPENDS ON AN UNPRINTED CHOICE"
        assert seen.startswith(f"faster than {rival} in")
        faster = sum(cell["against"][rival] == "faster" for cell in here)
        assert counts.startswith(f"{faster} / ")
        assert counts.endswith(f" of {len(here)}")
