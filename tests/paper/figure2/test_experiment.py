"""Figure 2 and section 4.4 as one experiment: what it refuses, that it repeats, and how large it is."""

import json

import pytest

from gdnp.datasets import DataNotFoundError
from gdnp.paper import ALIASES, EXPERIMENTS, Options, Store, reproduce
from gdnp.paper.figure2.experiment import FULL, PLACES, QUICK, Figure2
from gdnp.paper.runner.cells import METHODS, RACERS
from paper_problems import FIGURE2 as TINY


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
