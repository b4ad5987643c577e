"""The command ``gdnp``: what goes where, how it ends, and how it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gdnp
from gdnp.cli import main
from gdnp.datasets import fetch
from gdnp.paper import EXPERIMENTS
from gdnp.paper.claims import CLAIMS
from gdnp.paper.figure2.experiment import Figure2, Profile
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.figure3.experiment import Profile as Figure3Profile
from gdnp.paper.table1.experiment import Profile as Table1Profile
from gdnp.paper.table1.experiment import Table1

REFUSED = "http://127.0.0.1:9"  # the discard port: nobody answers
METHODS = ("gd", "agd", "gdnp_inner")
TINY = Figure2(
    quick=Profile(data=("gaussian",), rows=200, starts=2, max_iter=6, grid=(1.0, 4.0)), methods=METHODS
)

TINY_FIGURE3 = Figure3(
    quick=Figure3Profile(
        rows=30, seeds=1, iterations=2, every=1, probes=1, segment=2, pilot=1, steps=(0.1,), depth=2, width=3
    )
)

TINY_TABLE1 = Table1(
    quick=Table1Profile(
        d=3,
        kappa=4.0,
        r=0.5,
        rows=300,
        starts=1,
        max_iter=200,
        gdnp_max_iter=30,
        decades=(1, 4),
        per_decade=4,
        separate_per_decade=2,
    )
)

# An interrupt in the middle of open() leaves the file to the garbage collector, which Python would report.
WARNINGS = ("-W", "error", "-W", "ignore::ResourceWarning")
SCRIPT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell leaves it ignored
from gdnp.cli import main
from gdnp.paper import EXPERIMENTS
from gdnp.paper.figure2.experiment import Figure2, Profile
EXPERIMENTS["figure2"] = Figure2(
    quick=Profile(data=("gaussian",), rows={rows}, starts=4, max_iter={max_iter}, grid=(1.0, 4.0)),
    methods={methods},
)
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(EXPERIMENTS, "figure2", TINY)
    monkeypatch.setitem(EXPERIMENTS, "figure3", TINY_FIGURE3)
    monkeypatch.setitem(EXPERIMENTS, "table1", TINY_TABLE1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GDNP_DEBUG", raising=False)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path / "nothing"))
    for key, remote in fetch.FILES.items():
        monkeypatch.setitem(fetch.FILES, key, fetch.RemoteFile(remote.sha256, (f"{REFUSED}/{key}",)))


def _reproduce(*arguments):
    return main(["reproduce", "figure2", "--jobs", "1", *map(str, arguments)])


def _one_sentence(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"gdnp: .+\n", captured.err), captured.err
    return captured.err


# --- reproduce


def test_run_says_where_everything_is(capsys, tmp_path):
    assert _reproduce() == 0
    captured = capsys.readouterr()
    folder = Path("gdnp-results/figure2-quick")
    for name in ("figure2", "figure2-passes", "figure2-sigmoid"):
        for kind in ("png", "pdf"):
            assert f"{folder / name}.{kind}\n" in captured.out
            assert (folder / f"{name}.{kind}").stat().st_size > 1000
    assert "Gaussian design, softplus" in captured.out
    assert "iterations to 1e-4" in captured.out
    assert "Traceback" not in captured.err


def test_no_name_runs_every_experiment(capsys, monkeypatch):
    """Of the claims two: tests/paper/test_claims.py measures each of them."""
    pytest.importorskip("torch")
    monkeypatch.setattr(
        "gdnp.paper.claims.experiment.CLAIMS", {name: CLAIMS[name] for name in ("eq-9", "eq-15")}
    )
    assert main(["reproduce", "--jobs", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["experiments"].keys() == EXPERIMENTS.keys()


def test_without_pytorch_the_other_experiments_go_on(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    few = {"figure2": TINY, "figure3": TINY_FIGURE3}
    monkeypatch.setattr("gdnp.paper.EXPERIMENTS", few)
    assert main(["reproduce", "--jobs", "1", "--json"]) == 0
    captured = capsys.readouterr()
    assert list(json.loads(captured.out)["experiments"]) == ["figure2"]
    sentence = 'Figure 3 needs PyTorch, which is not installed: pip install "gdnp[torch]".'
    assert f"figure3 was skipped: {sentence}\n" in captured.err
    assert main(["reproduce", "figure3", "--jobs", "1"]) == 1
    assert _one_sentence(capsys) == f"gdnp: {sentence}\n"
    assert not Path("gdnp-results/figure3-quick").exists()


def test_devices_that_are_not_there(capsys):
    torch = pytest.importorskip("torch")
    assert main(["reproduce", "figure3", "--device", "nonsense"]) == 2
    assert "Got 'nonsense': leave it out" in _one_sentence(capsys)
    if not torch.cuda.is_available():
        assert main(["reproduce", "figure3", "--device", "cuda"]) == 2
        assert re.search(r"one that PyTorch \S+ finds here. Got 'cuda'", _one_sentence(capsys))
    assert main(["reproduce", "figure2", "--device", "cuda"]) == 2
    assert "--device is for figure3, which trains networks. Got it for figure2" in _one_sentence(capsys)
    assert not Path("gdnp-results").exists()


def test_json_is_one_document_and_nothing_else(capsys):
    assert _reproduce("--json") == 0
    first = json.loads(capsys.readouterr().out)["experiments"]["figure2"]
    assert not first["reused"]
    assert [panel["loss"] for panel in first["summary"]["panels"]] == ["log_loss", "sigmoid"]
    assert all(Path(path).is_file() for path in first["figures"])
    assert _reproduce("--json") == 0
    captured = capsys.readouterr()
    second = json.loads(captured.out)["experiments"]["figure2"]
    assert second["reused"]
    assert second["summary"] == first["summary"]
    assert "already holds this result: it is drawn again" in captured.err


def test_finished_result_is_not_overwritten(capsys, monkeypatch):
    assert _reproduce() == 0
    summary = Path("gdnp-results/figure2-quick/summary.json")
    before = summary.read_bytes(), summary.stat().st_mtime_ns
    capsys.readouterr()
    assert _reproduce("--seed", 1) == 1
    assert "--force" in _one_sentence(capsys)
    assert (summary.read_bytes(), summary.stat().st_mtime_ns) == before
    assert _reproduce("--seed", 1, "--force") == 0
    assert json.loads(summary.read_text())["seed"] == 1


def test_from_draws_without_running(capsys, tmp_path, monkeypatch):
    assert _reproduce() == 0
    monkeypatch.setattr("gdnp.paper.figure2.race.minimize", None)
    folder = tmp_path / "gdnp-results" / "figure2-quick"
    figure = folder / "figure2.png"
    before = figure.read_bytes()
    figure.unlink()
    page = folder.parent / "report.html"
    page.write_text("an old page")
    assert main(["reproduce", "--from", str(folder)]) == 0
    assert figure.read_bytes() == before
    assert "<html" in page.read_text(encoding="utf-8")
    assert main(["reproduce", "figure2", "--from", str(folder), "--out", "elsewhere"]) == 0
    assert (tmp_path / "elsewhere" / "figure2.png").read_bytes() == before


def test_from_nowhere(capsys, tmp_path):
    assert main(["reproduce", "figure2", "--from", "nowhere"]) == 3
    assert "Got nowhere" in _one_sentence(capsys)
    assert main(["reproduce", "--from", str(tmp_path)]) == 3
    assert "folder of a finished result" in _one_sentence(capsys)
    assert main(["reproduce", "figure2", "--from", str(tmp_path)]) == 1
    assert "Got no settings.json" in _one_sentence(capsys)


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "figure9"], "NAME must be one of figure1, figure2"),
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
    assert message in _one_sentence(capsys)


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


def test_unknown_data(capsys):
    assert _reproduce("--data", "nosuch") == 3
    assert "breast_cancer" in _one_sentence(capsys)
    assert not Path("gdnp-results").exists()


def test_missing_data_offline(capsys, offline):
    assert _reproduce("--data", "a9a") == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    message = captured.err.splitlines()[-1]  # after the note of each download that is tried
    assert re.match("gdnp: a9a .* no mirror served it", message)
    assert "sha256 f5d5ffd8" in message
    assert "GDNP_DATA" in message


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("empty.csv", "", "empty file"),
        ("broken.svm", "+1 1:x\n-1 2:1\n", "LIBSVM"),
        ("three.csv", "a,y\n1,0\n2,1\n3,2\n", "exactly two classes"),
        ("data.xyz", "1\n", "suffix"),
    ],
)
def test_unusable_file(capsys, tmp_path, name, contents, message):
    (tmp_path / name).write_text(contents)
    assert _reproduce("--data", name) == 1
    assert message in _one_sentence(capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_file_that_may_not_be_read(capsys, tmp_path):
    (tmp_path / "secret.csv").write_text("a,y\n1,0\n2,1\n")
    (tmp_path / "secret.csv").chmod(0)
    assert _reproduce("--data", "secret.csv") == 1
    assert "Permission denied: secret.csv" in _one_sentence(capsys)


def test_out_that_is_no_folder(capsys, tmp_path):
    (tmp_path / "taken").touch()
    assert _reproduce("--out", "taken") == 1
    assert "taken" in _one_sentence(capsys)


@pytest.mark.parametrize("missing", ["typer", "rich", "matplotlib"])
def test_missing_extra(capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert _reproduce() == 1
    captured = capsys.readouterr()
    assert missing in captured.err
    assert 'pip install "gdnp[cli]"' in captured.err.splitlines()[-1]
    assert captured.out == ""


def test_import_of_the_module_is_light():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, gdnp.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"typer", "matplotlib", "gdnp.paper"}.isdisjoint(done.stdout.split())


# --- data


def test_data_lists_what_is_known(capsys, offline, tmp_path):
    assert main(["data", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "nothing")
    entries = {entry["name"]: entry for entry in found["datasets"]}
    assert entries["gaussian"]["present"]
    assert not entries["a9a"]["present"]
    assert entries["a9a"]["path"] == str(tmp_path / "nothing" / "a9a" / "a9a")
    assert len(entries["a9a.t"]["sha256"]) == 64
    assert len(entries["cifar10"]["files"]) == 5
    assert entries["mnist"]["path"] == str(tmp_path / "nothing" / "mnist")
    assert entries["mnist"]["sha256"] is None
    assert main(["data"]) == 0
    shown = capsys.readouterr().out
    assert "breast_cancer" in shown
    assert "mushrooms" in shown
    batches = tmp_path / "nothing" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    (batches / "data_batch_2").touch()
    assert main(["data"]) == 0
    assert "1 of 5 files" in capsys.readouterr().out


# --- processes


@pytest.fixture
def start(tmp_path):
    """Start the command in a session of its own, as a terminal would."""
    started = []

    def run(*arguments, rows=200, max_iter=6, **environment):
        script = tmp_path / "tiny.py"
        script.write_text(SCRIPT.format(rows=rows, max_iter=max_iter, methods=METHODS))
        process = subprocess.Popen(
            [sys.executable, *WARNINGS, str(script), "reproduce", "figure2", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _wait_for_parts(process, folder, count):
    deadline = time.monotonic() + 60.0
    while len(list(folder.glob("*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("jobs", "stop"), [("1", signal.SIGINT), ("2", signal.SIGINT), ("2", signal.SIGTERM)]
)
def test_interrupted_run_goes_on_where_it_was(start, tmp_path, jobs, stop):
    size = {"rows": 4000, "max_iter": 500}  # long enough to be stopped in the middle on a busy machine
    process = start("--jobs", jobs, "--force", **size)
    parts = tmp_path / "gdnp-results" / "figure2-quick" / "parts"
    _wait_for_parts(process, parts, 3)
    if stop is signal.SIGINT:
        os.killpg(process.pid, stop)  # Ctrl-C reaches the whole group
    else:
        process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    said = re.fullmatch(
        r"gdnp: Stopped: (\d+) of (\d+) parts are saved in (\S+); go on with: (.*)", err.splitlines()[-1]
    )
    assert said, err
    assert "--force" not in said[4]
    with pytest.raises(ProcessLookupError):  # no worker is left behind
        _until_gone(process.pid)

    before = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert len(before) == int(said[1]) < int(said[2])
    assert not (parts.parent / "summary.json").exists()
    for path in parts.iterdir():
        json.loads(path.read_text())  # every file is whole

    process = start(*said[4].split()[3:], "--json", **size)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["experiments"]["figure2"]["summary"]["panels"]
    assert f"Going on from {said[1]} finished parts of {said[2]}." in err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(parts.iterdir())) == int(said[2])


def _until_gone(group):
    for _ in range(200):
        os.killpg(group, 0)
        time.sleep(0.02)


def test_no_color_on_a_terminal(start):
    process = start("--jobs", "1", NO_COLOR="1", FORCE_COLOR="1", TTY_COMPATIBLE="1")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert not re.search(r"\x1b\[[\d;]*m", out + err)


def test_closed_pipe_is_no_traceback(start):
    process = start("--jobs", "1")
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_data_needs_a_name(capsys):
    assert main(["reproduce", "--data", "a9a"]) == 2
    assert "need the NAME of an experiment" in capsys.readouterr().err


def test_two_columns_reach_figure1(monkeypatch, tmp_path):
    import gdnp.paper

    seen = []
    monkeypatch.setattr(
        gdnp.paper, "reproduce", lambda experiment, options, *a, **k: seen.append(options) or 1 / 0
    )
    main(
        [
            "reproduce",
            "figure1",
            "--data",
            "breast_cancer",
            "--columns",
            "1",
            "mean texture",
            "--out",
            str(tmp_path),
        ]
    )
    assert seen[0].columns == ("1", "mean texture")
    assert seen[0].data == ("breast_cancer",)


def test_a_verdict_that_differs_is_exit_status_5(monkeypatch, tmp_path, capsys):
    """Recorded the other way round, a claim that holds must be noticed."""
    from dataclasses import replace

    from gdnp.paper.claims import Verdict
    from gdnp.paper.claims import experiment as theorems

    claim = CLAIMS["eq-9"]
    for recorded, code in ((claim.recorded, 0), (Verdict.FAILS_OUTSIDE_SCOPE, 5)):
        only = {"eq-9": replace(claim, recorded=recorded)}
        for module in (theorems, __import__("gdnp.paper.claims.registry", fromlist=["CLAIMS"])):
            monkeypatch.setattr(module, "CLAIMS", only)
        out = ["--out", str(tmp_path / recorded.name), "--jobs", "1"]
        assert main(["reproduce", "theorems", "--check", *out]) == code
        assert main(["reproduce", "theorems", *out]) == 0
    assert "eq-9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["theorems", "--data", "a9a"], "theorems takes no --data. Got a9a"),
        (["table1", "--data", "breast_cancer"], "Got breast_cancer"),
        (["figure1", "--data", "breast_cancer", "--columns", "1", "1"], "two different columns"),
    ],
)
def test_options_that_an_experiment_cannot_use_are_wrong_usage(capsys, tmp_path, arguments, message):
    assert main(["reproduce", *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_no_missing_data(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["reproduce", "figure2", "--out", str(tmp_path / "file" / "folder")]) == 1
    assert "should be a folder that can be made" in _one_sentence(capsys)


def test_the_package_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "gdnp", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("gdnp ")
