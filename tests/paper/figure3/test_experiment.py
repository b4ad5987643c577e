"""Figure 3 as an experiment: what it refuses, and that it goes on where it stopped."""

import sys

import pytest

from gdnp.paper import EXPERIMENTS, OptionError, Options, Unavailable, reproduce
from gdnp.paper.figure3.experiment import FULL, QUICK, Figure3
from paper_problems import DIGITS
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
