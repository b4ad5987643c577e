"""What the command says of itself, and what it refuses before it does anything."""

import pytest

import gdnp
from command import one_sentence
from gdnp.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "figure9"], "NAME is not known: did you mean figure"),
        (["reproduce", "--nonsense"], "No such option"),
        (["reproduce", "--jobs", "0"], "Invalid value"),
        (["reproduce", "--jobs", "many"], "Invalid value"),
        (["reproduce", "--seed", "-1"], "Invalid value"),
        (["nonsense"], "No such command"),
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
