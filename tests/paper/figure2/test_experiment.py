"""Figure 2 as an experiment: what it refuses, and that it repeats."""

import json

import pytest

from gdnp.paper import Options, Store, reproduce
from gdnp.paper.figure2.experiment import FULL, QUICK, Figure2
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


def test_curves_repeat_bit_for_bit_in_any_number_of_processes(figure2, tmp_path):
    again = reproduce(TINY, out=tmp_path, workers=2)
    first = {path.name: json.loads(path.read_text()) for path in (figure2.directory / "parts").iterdir()}
    second = {path.name: json.loads(path.read_text()) for path in (again.directory / "parts").iterdir()}
    assert first.keys() == second.keys()
    for name, document in first.items():
        for found in (document, second[name]):
            found["result"].pop("seconds", None)
        assert json.dumps(document) == json.dumps(second[name])


def test_seed_changes_starts_and_sample(figure2, tmp_path):
    other = TINY.settings(Options(seed=1))[1]
    ours = {part.key for part in TINY.parts(Store(figure2.directory).settings, Options())}
    assert ours.isdisjoint(part.key for part in TINY.parts(other, Options(seed=1)))


def test_separable_data_are_called_so(separable, tmp_path):
    outcome = reproduce(TINY, Options(data=(str(separable),)), tmp_path, workers=1)
    assert outcome.directory.name == "figure2-quick-separable"
    softplus = outcome.summary["panels"][0]
    assert softplus["reference"]["separable"]
    assert softplus["reference"]["objective"] == 0.0
    assert "separable" in softplus["findings"][0]
    assert len(outcome.figures) == 6


def test_profiles_are_those_of_the_paper():
    assert QUICK.data == ("gaussian", "breast_cancer")
    assert FULL.data == ("gaussian", "a9a")
    assert (FULL.starts, FULL.rows) == (10, 20_000)
    folder, settings = Figure2().settings(Options())
    assert folder == "figure2-quick"
    assert settings["losses"] == ["log_loss", "sigmoid"]
    assert {"gd", "agd", "weight_norm_gd", "batch_norm_gd", "gdnp", "gdnp_inner"} <= set(settings["methods"])
