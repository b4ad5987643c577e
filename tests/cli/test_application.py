"""What the command says of itself, and what it refuses before it does anything."""

import subprocess
import sys

import pytest

import gdnp
from command import one_sentence
from gdnp.cli import main
from gdnp.cli.application import COMMANDS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "figure9"], "NAME is not known: did you mean figure"),
        (["reproduce", "--nonsense"], "No such option"),
        (["reproduce", "--jobs", "0"], "Invalid value"),
        (["reproduce", "--jobs", "many"], "Invalid value"),
        (["reproduce", "--seed", "-1"], "Invalid value"),
        (["nonsense"], "the command is not known: it must be one of fit, predict"),
        (["predit"], "did you mean predict?"),
        (["fit"], "See gdnp fit --help."),
        (["reproduce", "--from", "x", "--full"], "--from draws what is there"),
        (["reproduce", "figure3", "--check"], "--check is for theorems"),
        (["reproduce", "figure2", "more"], "unexpected extra argument"),
    ],
)
def test_wrong_usage(capsys, arguments, message):
    assert main(arguments) == 2
    assert message in one_sentence(capsys)


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "reproduce" in captured.err


def test_help_and_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gdnp {gdnp.__version__}\n"
    assert main(["reproduce", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--data", "--full", "--out", "--json", "--force", "--from"))


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["-h"]])
def test_words_of_the_command_need_no_mathematics(arguments):
    """They are there at once: NumPy alone would take as long as everything else."""
    code = f"import sys; from gdnp.cli import main; main({arguments}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    assert {"numpy", "sklearn", "pandas", "rich.console"}.isdisjoint(done.stderr.split())


def test_every_command_is_where_its_name_says(capsys):
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"Usage: gdnp {name} [OPTIONS]" in shown
        assert "\\b" not in shown  # which keeps the lines of examples apart
        assert "<str>" not in shown.partition("Options:")[2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gdnp ", list(COMMANDS)),
        ("gdnp di", ["diagnose"]),
        ("gdnp fit --lo", ["--loss"]),
        ("gdnp fit --loss hu", ["huber"]),
        ("gdnp reproduce fig", ["figure1", "figure2", "figure3"]),
    ],
)
def test_completion(capsys, monkeypatch, line, words):
    monkeypatch.setenv("_GDNP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == words
