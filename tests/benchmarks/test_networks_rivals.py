"""The benchmark against rivals in a few steps: methods run, data are white, and the table is one."""

import importlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def rivals(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("networks_rivals")
    monkeypatch.setattr(module, "WIDTH", 8)
    monkeypatch.setattr(module, "DEPTH", 4)
    return module


def test_every_method_trains_on_the_table_of_raw_columns(rivals):
    for method in rivals.methods():
        if method.optimizer != "adamw" and method.name != "plain":
            continue
        if method.optimizer == "soap":
            pytest.importorskip("pytorch_optimizer")
        config = {"task": "table", "method": vars(method), "rate": 0.01, "seed": 0}
        found = rivals.run({**config, "seconds": 0.02, "batch": 100, "device": "cpu"})
        assert found["steps"] >= 1
        assert found["seconds"] >= 0.02
        assert 0.0 <= found["accuracy"] <= 1.0


def test_data_are_standardised_and_white(rivals):
    sets = rivals.load("table")
    assert [len(y) for _, y in sets] == [300, 100, 169]
    for data, tight in (("standardised", 1e-3), ("ZCA", 0.05)):
        (x, _), *others = rivals.prepared(data, sets, 1e-14)
        covariance = x.double().mT.cov(correction=0)
        torch.testing.assert_close(covariance.diagonal(), torch.ones(30).double(), rtol=0.0, atol=tight)
        if data == "ZCA":
            torch.testing.assert_close(covariance, torch.eye(30).double(), rtol=0.0, atol=tight)
        assert len(others) == 2


def test_the_study_writes_its_table(rivals, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rivals, "RATES", {"sgd": (0.01, 0.1)})
    monkeypatch.setattr(rivals, "methods", lambda: [rivals.Method("BatchNorm", "raw", "plain", "sgd")])
    arguments = ["table", "--seconds", "0.01", "--optimizers", "sgd", "--out", str(tmp_path)]
    rivals.main(arguments)
    text = (tmp_path / "networks_rivals.md").read_text(encoding="utf-8")
    assert "| table | sgd | BatchNorm | 0." in text
    assert text.strip() in capsys.readouterr().out
    monkeypatch.setattr(rivals, "run", None)
    rivals.main(arguments)  # from the files alone
    with pytest.raises(SystemExit):
        rivals.main(["nosuch"])
    assert "TASK must be among" in capsys.readouterr().err
