"""The command as a process: exit codes, one sentence for every error, and pipes that close."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest
import typer

from command import one_sentence, started
from gdnp.cli import main
from gdnp.cli.errors import ClaimFailed, NotConverged, UsageError
from gdnp.paper import Stopped


def _ends_with(monkeypatch, outcome):
    """The command, doing this: an exception to raise, or what parsing gives."""

    def app(**_):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr("gdnp.cli.application.app", app)
    return main(["reproduce", "figure2", "--force", "--data", "my file.csv"])


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UsageError("two options."), 2, "two options."),
        (NotConverged("not there."), 4, "not there."),
        (ClaimFailed("eq-9 differs."), 5, "eq-9 differs."),
        (typer.BadParameter("no such thing"), 2, "Invalid value: no such thing."),
        (KeyboardInterrupt(), 130, "Stopped."),
        (
            Stopped("out", 3, 8),
            130,
            "Stopped: 3 of 8 parts are saved in out; go on with: gdnp reproduce figure2 --data 'my file.csv'",
        ),
        (FileNotFoundError(2, "No such file", "a.csv"), 3, "No such file: a.csv."),
        (FileNotFoundError("Data must be a file."), 3, "Data must be a file."),
        (PermissionError(13, "Permission denied", "a.csv"), 1, "Permission denied: a.csv."),
        (ValueError("several\n   lines"), 1, "several lines"),
        (RuntimeError(), 1, "RuntimeError without a message."),
    ],
)
def test_every_end_has_its_code_and_one_sentence(capsys, monkeypatch, error, code, sentence):
    assert _ends_with(monkeypatch, error) == code
    assert one_sentence(capsys) == f"gdnp: {sentence}\n"


def test_what_parsing_gives_is_done(monkeypatch):
    done = []
    assert _ends_with(monkeypatch, lambda: done.append("work")) == 0
    assert done == ["work"]
    assert _ends_with(monkeypatch, None) == 0  # --help
    assert _ends_with(monkeypatch, 2) == 2


def test_errors_can_be_looked_into(monkeypatch):
    monkeypatch.setenv("GDNP_DEBUG", "1")
    with pytest.raises(ValueError, match="wrong inside"):
        _ends_with(monkeypatch, ValueError("wrong inside"))


def test_sigterm_stops_the_command_and_means_afterwards_what_it_meant(capsys, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    assert _ends_with(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM)) == 130
    assert one_sentence(capsys) == "gdnp: Stopped.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_signals_are_left_alone(capsys):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["--version"])))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_missing_extra(capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["data"]) == 1
    assert 'needs typer and rich: pip install "gdnp[cli]"' in one_sentence(capsys)


def test_import_of_the_module_is_light():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, gdnp.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"typer", "matplotlib", "gdnp.paper"}.isdisjoint(done.stdout.split())


def test_closed_pipes_are_no_traceback(capsys):
    """At the last flush of a short output, and in the middle of a long one."""
    pytest.importorskip("skops")
    short = started("-m", "gdnp", "data", "--json")
    short.stdout.close()
    assert main(["fit", "gaussian", "--task", "classification", "--out", "m.skops"]) == 0
    long = started("-m", "gdnp", "predict", "m.skops", "gaussian", "--proba")
    assert long.stdout.readline().startswith("prediction,")
    long.stdout.close()
    for process in (short, long):
        err = process.stderr.read()
        assert process.wait(timeout=60) == 1
        process.stderr.close()
        assert not re.search("Traceback|BrokenPipe", err)


def test_no_color_on_a_terminal(capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = {}
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        assert main(["diagnose", "breast_cancer"]) == 0
        captured = capsys.readouterr()
        shown[no_color] = captured.out + captured.err
    assert re.search(r"\x1b\[[\d;]*m", shown[""])
    assert not re.search(r"\x1b\[[\d;]*m", shown["1"])
