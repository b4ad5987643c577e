"""``gdnp reproduce``: what it writes and prints, what it refuses, and how it is stopped and goes on."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
from command import one_sentence, started
from gdnp import columns
from gdnp.cli import main
from gdnp.paper import EXPERIMENTS
from gdnp.paper.claims import CLAIMS, Verdict
from gdnp.paper.runner.problems import TableFile, identified, named, read

SCRIPT = """
import os
import signal
import sys
import time
from pathlib import Path
sys.path.insert(0, {tests!r})
import tiny
from gdnp.cli import main
from gdnp.paper import EXPERIMENTS
from gdnp import columns
EXPERIMENTS["figure2"] = tiny.UNDRAWN
compute = columns.run
def run(*arguments, **options):
    if len(list(Path({parts!r}).glob("*.json"))) >= 3:
        time.sleep(600.0)  # in the middle of a part, until the test stops it
    return compute(*arguments, **options)
columns.run = run
if __name__ == "__main__":  # not in workers, which run this too and are to be deaf
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell leaves it ignored
    sys.exit(main())
"""


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    for name, experiment in tiny.EXPERIMENTS.items():
        monkeypatch.setitem(EXPERIMENTS, name, experiment)


def _reproduce(*arguments):
    return main(["reproduce", "figure2", "--jobs", "1", *map(str, arguments)])


def test_run_says_where_everything_is(capsys, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "figure2", tiny.FIGURE2)  # with its drawings
    assert _reproduce() == 0
    captured = capsys.readouterr()
    folder = Path("gdnp-results/figure2-quick")
    for name in ("figure2", "figure2-passes", "figure2-sigmoid", "section44"):
        for kind in ("png", "pdf"):
            assert f"{folder / name}.{kind}\n" in captured.out
            assert (folder / f"{name}.{kind}").stat().st_size > 1000
    assert "(4, 0.5) sample, softplus" in captured.out
    assert "iterations to 1e-04" in captured.out
    assert "Traceback" not in captured.err


def test_no_name_runs_every_experiment(capsys, monkeypatch):
    """Of two, and of the claims two: tests/paper runs each experiment and measures each claim."""
    two = {name: EXPERIMENTS[name] for name in ("theorems", "figure2")}
    monkeypatch.setattr("gdnp.paper.EXPERIMENTS", two)
    monkeypatch.setattr(
        "gdnp.paper.claims.experiment.CLAIMS", {name: CLAIMS[name] for name in ("eq-9", "eq-15")}
    )
    assert main(["reproduce", "--jobs", "1", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["experiments"]) == list(two)


def test_section_4_4_is_figure_2_by_another_name(capsys):
    assert main(["reproduce", "section44", "--jobs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["experiments"]["figure2"]
    assert Path(found["directory"]).name == "figure2-quick"
    assert found["summary"]["cells"]
    assert _reproduce("--json") == 0
    assert json.loads(capsys.readouterr().out)["experiments"]["figure2"]["reused"]
    assert main(["reproduce", "section4"]) == 2
    assert "did you mean section44?" in capsys.readouterr().err


def test_without_pytorch_the_other_experiments_go_on(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    few = {"figure2": tiny.UNDRAWN, "figure3": tiny.FIGURE3}
    monkeypatch.setattr("gdnp.paper.EXPERIMENTS", few)
    assert main(["reproduce", "--jobs", "1", "--json"]) == 0
    captured = capsys.readouterr()
    assert list(json.loads(captured.out)["experiments"]) == ["figure2"]
    sentence = 'Figure 3 needs PyTorch, which is not installed: pip install "gdnp[torch]".'
    assert f"figure3 was left out: {sentence}\n" in captured.err
    assert "All experiments take one to five minutes" in captured.err
    assert captured.err.rstrip().endswith("/report.html")
    assert "Open the page in a browser: file:///" in captured.err
    assert main(["reproduce", "figure3", "--jobs", "1"]) == 1
    assert one_sentence(capsys) == f"gdnp: {sentence}\n"
    assert not Path("gdnp-results/figure3-quick").exists()


def test_devices_that_are_not_there(capsys):
    torch = pytest.importorskip("torch")
    assert main(["reproduce", "figure3", "--device", "nonsense"]) == 2
    assert "Got 'nonsense': leave it out" in one_sentence(capsys)
    if not torch.cuda.is_available():
        assert main(["reproduce", "figure3", "--device", "cuda"]) == 2
        assert re.search(r"one that PyTorch \S+ finds here. Got 'cuda'", one_sentence(capsys))
    assert main(["reproduce", "figure2", "--device", "cuda"]) == 2
    assert "--device is for figure3, which trains networks. Got it for figure2" in one_sentence(capsys)
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
    assert "--force" in one_sentence(capsys)
    assert (summary.read_bytes(), summary.stat().st_mtime_ns) == before
    assert _reproduce("--seed", 1, "--force") == 0
    assert json.loads(summary.read_text())["seed"] == 1


def test_from_draws_without_running(capsys, tmp_path, monkeypatch):
    assert _reproduce() == 0
    monkeypatch.setattr("gdnp.columns.run", None)
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
    assert "Got nowhere" in one_sentence(capsys)
    assert main(["reproduce", "--from", str(tmp_path)]) == 3
    assert "folder of a finished result" in one_sentence(capsys)
    assert main(["reproduce", "figure2", "--from", str(tmp_path)]) == 1
    assert "Got no settings.json" in one_sentence(capsys)


def test_unknown_data(capsys):
    assert _reproduce("--data", "nosuch") == 3
    assert "breast_cancer" in one_sentence(capsys)
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
        ("data.xyz", "1\n", "at least two rows with features"),
    ],
)
def test_unusable_file(capsys, tmp_path, name, contents, message):
    (tmp_path / name).write_text(contents)
    assert _reproduce("--data", name) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_file_that_may_not_be_read(capsys, tmp_path):
    (tmp_path / "secret.csv").write_text("a,y\n1,0\n2,1\n")
    (tmp_path / "secret.csv").chmod(0)
    assert _reproduce("--data", "secret.csv") == 1
    assert "Permission denied: secret.csv" in one_sentence(capsys)


def test_out_that_is_no_folder(capsys, tmp_path):
    (tmp_path / "taken").touch()
    assert _reproduce("--out", "taken") == 1
    assert "taken" in one_sentence(capsys)


def test_data_needs_a_name(capsys):
    assert main(["reproduce", "--data", "a9a"]) == 2
    assert "need the NAME of an experiment" in capsys.readouterr().err


def test_what_was_found_out_of_a_table_is_said(monkeypatch, tmp_path, capsys):
    pytest.importorskip("pandas")
    (tmp_path / "t.csv").write_text("id;x;y\n" + "".join(f"{k};{k % 7},5;{'ab'[k % 2]}\n" for k in range(40)))
    monkeypatch.setattr("gdnp.paper.reproduce", lambda *a, **k: 1 / 0)
    assert main(["reproduce", "figure1", "--data", str(tmp_path / "t.csv"), "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "fields are kept apart by semicolons" in said
    assert "the target is the last column, 'y' (--target names another).\n" in said


def test_two_columns_reach_figure1(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "gdnp.paper.reproduce", lambda experiment, options, *a, **k: seen.append(options) or 1 / 0
    )
    options = ["--data", "breast_cancer", "--columns", "1", "mean texture", "--out", str(tmp_path)]
    assert main(["reproduce", "figure1", *options]) == 1
    assert seen[0].columns == ("1", "mean texture")
    assert seen[0].data == ("breast_cancer",)


def test_a_verdict_that_differs_is_exit_status_5(monkeypatch, tmp_path, capsys):
    """Recorded the other way round, a claim that holds must be noticed."""
    claim = CLAIMS["eq-9"]
    for recorded, code in ((claim.recorded, 0), (Verdict.FALSE_AS_PRINTED, 5)):
        only = {"eq-9": replace(claim, recorded=recorded)}
        for module in ("experiment", "registry"):
            monkeypatch.setattr(f"gdnp.paper.claims.{module}.CLAIMS", only)
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
    assert "should be a folder that can be made" in one_sentence(capsys)


def _wait_for_parts(process, folder, count):
    deadline = time.monotonic() + 120.0
    while len(list(folder.glob("*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _until_gone(group):
    for _ in range(200):
        os.killpg(group, 0)
        time.sleep(0.02)


@pytest.fixture
def stalled(tmp_path):
    """Start the command in a session of its own, as a terminal would; after three parts it hangs."""
    processes = []

    def run(*arguments):
        parts = str(tmp_path / "gdnp-results" / "figure2-quick" / "parts")
        script = tmp_path / "stalling.py"
        script.write_text(SCRIPT.format(parts=parts, tests=str(Path(tiny.__file__).parent)))
        # An interrupt in the middle of open() leaves the file to the garbage collector, which Python reports.
        quiet = ("-W", "ignore::ResourceWarning")
        processes.append(started(*quiet, script, *arguments, cwd=tmp_path, start_new_session=True))
        return processes[-1]

    yield run
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(
    ("jobs", "stop"), [("1", signal.SIGINT), ("2", signal.SIGINT), ("2", signal.SIGTERM)]
)
def test_interrupted_run_goes_on_where_it_was(capsys, stalled, tmp_path, jobs, stop):
    process = stalled("reproduce", "figure2", "--jobs", jobs, "--force")
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
    with pytest.raises(ProcessLookupError, match="No such process"):  # no worker is left behind
        _until_gone(process.pid)

    before = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert len(before) == int(said[1]) < int(said[2])
    assert not (parts.parent / "summary.json").exists()
    for path in parts.iterdir():
        json.loads(path.read_text())  # every file is whole

    program, *arguments = said[4].split()
    assert program == "gdnp"
    assert main([*arguments, "--jobs", "1", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["experiments"]["figure2"]["summary"]["panels"]
    assert f"Going on from {said[1]} finished parts of {said[2]}." in captured.err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(parts.iterdir())) == int(said[2])


def test_reproduce_writes_the_page_and_says_where(capsys):
    assert _reproduce("--out", "here") == 0
    assert capsys.readouterr().out.endswith("here/report.html\n")
    assert "Figure 2" in Path("here/report.html").read_text(encoding="utf-8")
    assert _reproduce("--out", "here", "--json") == 0
    assert json.loads(capsys.readouterr().out)["report"] == "here/report.html"


def test_reproduce_without_plotly_says_so_and_goes_on(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert _reproduce("--out", "here") == 0
    captured = capsys.readouterr()
    assert "plotly" in captured.err
    assert not Path("here/report.html").exists()
    assert "summary.json" in captured.out


# --- a loss and a method of one's own


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The module of the guide, in the working folder; forgotten at the end."""
    guide = Path(__file__).parents[2] / "docs" / "guide" / "change-one-thing.md"
    block = next(b for b in re.findall(r"```python\n(.*?)```", guide.read_text(), re.S) if "heavy_ball" in b)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    Path("mine.py").write_text(block)
    yield Path("mine.py")
    sys.modules.pop("mine", None)


OWN = ("--loss", "log_loss", "--loss", "mine:Cauchy", "--method", "mine:heavy_ball")


def test_loss_and_method_of_ones_own_race_in_figure_2(capsys, monkeypatch, mine):
    monkeypatch.setitem(EXPERIMENTS, "figure2", tiny.FIGURE2)
    assert _reproduce(*OWN, "--json") == 0
    found = json.loads(capsys.readouterr().out)["experiments"]["figure2"]
    folder = Path(found["directory"])
    assert folder.name == "figure2-quick-softplus-Cauchy-heavy_ball"
    assert (folder / "figure2-Cauchy.png").stat().st_size > 1000
    panels = {panel["loss"]: panel["methods"] for panel in found["summary"]["panels"]}
    assert set(panels) == {"log_loss", "mine:Cauchy"}
    assert panels["log_loss"]["mine:heavy_ball"]["label"] == "heavy_ball"


def test_method_of_ones_own_is_what_its_formula_says(mine):
    X, y = np.random.default_rng(0).standard_normal((50, 3)), np.tile([1.0, -1.0], 25)
    f = columns.SampleField(X, y, "log_loss")
    found = columns.run(f, named("mine:heavy_ball"), np.ones((3, 1)), 1.0, 2)
    X = X - X.mean(axis=0)
    w = before = np.ones(3)
    for k in range(3):
        assert found.objective[k, 0] == pytest.approx(np.logaddexp(0.0, -y * (X @ w)).mean(), rel=1e-12)
        gradient = -X.T @ (y / (1.0 + np.exp(y * (X @ w)))) / 50
        w, before = w - columns.safe_step(f) * gradient + 0.9 * (w - before), w


def test_other_code_of_ones_own_is_another_result(capsys, mine):
    assert _reproduce(*OWN, "--json") == 0
    mine.write_text(mine.read_text().replace("0.9 *", "0.25 *"))
    sys.modules.pop("mine")
    capsys.readouterr()
    assert _reproduce(*OWN) == 1
    assert "own" in capsys.readouterr().err


def test_what_is_not_ones_own_is_refused_before_anything_is_written(capsys, mine):
    assert _reproduce("--method", "math:pi") == 2
    assert "should name a function" in one_sentence(capsys)
    assert not Path("gdnp-results").exists()


# --- tables, read as they are elsewhere


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A target on the left, decimal commas, and a number that is a code."""
    monkeypatch.chdir(tmp_path)
    numbers = np.random.default_rng(0).standard_normal((200, 2))
    rows = [f"{int(a + b > 0.0)};{a};{b};{k % 3}".replace(".", ",") for k, (a, b) in enumerate(numbers)]
    Path("t.csv").write_text("\n".join(["y;a;b;k", *rows]) + "\n")
    return ["reproduce", "figure1", "--jobs", "1", "--data", "t.csv", "--target", "y"]


def test_tables_are_read_as_they_are_by_other_commands(capsys, table):
    assert main([*table, "--drop", "k"]) == 0
    printed = capsys.readouterr()
    assert "numbers have a decimal comma" in printed.err
    assert "t.csv: a, b" in printed.out
    assert main([*table, "--drop", "a"]) == 1  # other columns are another result
    assert "other settings (data)" in capsys.readouterr().err


def test_what_was_said_of_a_table_decides_its_rows(table):
    said = TableFile("t.csv")
    said.asked = json.dumps({"target": "1", "reading": {"decimal": ","}, "columns": {"drop": ["k"]}})
    data = read(pickle.loads(pickle.dumps(said)))  # as for the processes that compute parts
    assert data.feature_names == ("a", "b")
    assert set(data.y) == {0.0, 1.0}
    assert identified(said) != identified("t.csv")
    with pytest.raises(ValueError, match="Got 3"):
        read(TableFile("t.csv")).signs()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["figure1", "--data", "breast_cancer", "--target", "y"], "Got them for breast_cancer"),
        (["--target", "y"], "need --data FILE"),
        (["--from", "gone", "--drop", "k"], "--from draws what is there"),
    ],
)
def test_options_of_tables_without_a_table_are_refused(arguments, said, capsys):
    assert main(["reproduce", *arguments]) == 2
    assert said in one_sentence(capsys)
