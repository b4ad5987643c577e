"""The command line on files that are never held as a whole."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from clusters import cluster
from command import one_sentence, started
from gdnp.cli import main
from gdnp.design import StreamDesign
from gdnp.models import load_model
from gdnp.solvers import Status

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("typer")
pytest.importorskip("skops")


@pytest.fixture
def folder(tmp_path, rng):
    X = rng.standard_normal((3000, 3))
    t = X @ [1.0, -2.0, 0.5] + rng.logistic(size=3000)
    table = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "label": np.where(t > 0.0, "yes", "no")}
    (tmp_path / "T").mkdir()
    pq.write_table(pa.table(table), tmp_path / "T" / "x.parquet", row_group_size=700)
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "t": t}), tmp_path / "t.parquet")
    pq.write_table(pa.table({"a": X[:, 0], "t": np.full(3000, 0.5)}), tmp_path / "same.parquet")
    return table


def test_fit_and_predict(folder, capsys):
    arguments = ["fit", "T", "--memory", "1MB", "--scratch", ".", "--checkpoint", "c.npz", "--out", "m.skops"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["columns"], found["classes"]) == (3000, 3, ["no", "yes"])
    assert found["certificate"]["proved"]
    assert found["readings"] <= 8
    model = load_model("m.skops")
    assert main(["predict", "m.skops", "T", "--target", "label", "--proba", "--out", "p.csv"]) == 0
    said = capsys.readouterr().err
    lines = np.genfromtxt("p.csv", delimiter=",", dtype=str)
    assert lines[0].tolist() == ["prediction", "probability_no", "probability_yes"]
    X = np.column_stack([folder[name] for name in "abc"])
    np.testing.assert_array_equal(lines[1:, 0], model.set_params().predict(_named(X)))
    accuracy = np.mean(lines[1:, 0] == folder["label"])
    assert f"accuracy {accuracy:.4f} on 3,000 rows" in said
    assert main(["predict", "m.skops", "T"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == lines[1:, 0].tolist()


def _named(X):
    return pytest.importorskip("pandas").DataFrame(X, columns=list("abc"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("t.parquet", "--checkpoint must not be DATA itself"),
        ("m.skops", "--checkpoint must not be --out itself"),
        ("absent/c.npz", "--checkpoint must be in a folder that can be written to"),
        ("T", "--checkpoint must name a file"),
    ],
)
def test_a_checkpoint_overwrites_nothing_else(folder, capsys, path, message):
    arguments = ["fit", "t.parquet", "--memory", "1MB", "--out", "m.skops", "--checkpoint", path]
    before = Path("t.parquet").read_bytes()
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert Path("t.parquet").read_bytes() == before


def test_a_file_that_is_no_checkpoint_stays(folder, capsys):
    Path("c.npz").write_text("mine")
    assert main(["fit", "t.parquet", "--memory", "1MB", "--checkpoint", "c.npz"]) == 1
    assert "c.npz must be a checkpoint of this fit. Got another file" in capsys.readouterr().err
    assert Path("c.npz").read_text() == "mine"


def test_numbers_are_regressed_and_said_in_words(folder, capsys):
    assert main(["fit", "t.parquet", "--memory", "1GB", "--tol", "1e-6"]) == 0
    out = capsys.readouterr().out
    assert "  task        regression" in out
    assert "  readings    " in out


def test_an_interrupt_says_how_to_go_on(folder, capsys, monkeypatch):
    arguments = ["fit", "T", "--checkpoint", "c.npz", "--out", "m.skops"]
    summed, left = StreamDesign._summed, [6]

    def interrupted(self, jobs, merge):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return summed(self, jobs, merge)

    monkeypatch.setattr(StreamDesign, "_summed", interrupted)
    assert main(arguments) == 130
    said = capsys.readouterr().err
    assert re.search(r"m.skops has the best model so far, about \S+ of f above the least\.\n", said)
    assert "c.npz has the last point; the same command with --force goes on from it" in said
    kept = load_model("m.skops")
    assert main([*arguments, "--json", "--force"]) == 0
    resumed = json.loads(capsys.readouterr().out)
    assert resumed["certificate"]["proved"]
    known, least = kept.certificate_, load_model("m.skops").certificate_.objective
    assert known.status is Status.STOPPED
    assert -1e-8 * least <= known.objective - least <= 2.0 * known.gap * least + 1e-8 * least
    assert main(["fit", "T", "--checkpoint", "d.npz", "--out", "n.skops"]) == 0
    np.testing.assert_array_equal(load_model("m.skops").coef_, load_model("n.skops").coef_)


SLOW = """
import signal, sys, time
from gdnp.cli import main
from gdnp.design import StreamDesign
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell leaves it ignored
summed, read = StreamDesign._summed, []
def slow(*given):
    found = summed(*given)
    read.append(print("read", file=sys.stderr, flush=True))
    time.sleep(60.0 if len(read) > 7 else 0.0)  # after three iterations, until the test stops it
    return found
StreamDesign._summed = slow
sys.exit(main(["fit", "X.npy", "--memory", "1GB", "--tol", "1e-12", "--out", "m.skops", "--verbose"]))
"""


def test_a_real_ctrl_c_keeps_the_best_model_so_far(rng, capsys):
    X = rng.standard_normal((5000, 4)) * [1.0, 20.0, 1e-2, 1.0]
    np.save("X.npy", np.column_stack([X, X @ [1.0, 0.1, 50.0, 0.0] + rng.logistic(size=5000) > 0.0]))
    process = started("-c", SLOW)
    said = []
    while sum("objective" in line for line in said) < 3:
        said.append(process.stderr.readline())
        assert said[-1], "".join(said)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert re.search(r"gdnp: m.skops has the best model so far.*\.\ngdnp: Stopped\.\n$", err)
    kept = load_model("m.skops")
    values = [float(line.split("objective")[1].split()[0]) for line in said if "objective" in line]
    assert kept.certificate_.status is Status.STOPPED
    assert kept.certificate_.objective == pytest.approx(values[-1], rel=1e-9)
    assert len(kept.history_["readings"]) == len(values)
    assert kept.predict(X).shape == (5000,)
    assert main(["show", "m.skops"]) == 0
    assert "on X.npy: 5,000 rows, 4 columns" in capsys.readouterr().out


def test_convert(capsys, tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + "1.5,0\n2,1\n0,1\n" * 20)
    assert main(["data", "convert", "t.csv", "out"]) == 0
    assert "60 rows, 2 columns" in capsys.readouterr().out
    assert main(["fit", "out"]) == 0
    assert "  classes     0, 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "T", "--memory", "much"], 2, "--memory must be a number of bytes"),
        (["fit", "T", "--target", "none"], 1, "must have a column 'none'"),
        (["fit", "T", "--target", "a"], 1, r"Got label (string): leave them out, or encode it first."),
        (
            ["fit", "same.parquet", "--memory", "1GB"],
            1,
            "The last column should have at least two values. Got '0.5'",
        ),
        (["fit", "none", "--memory", "1GB"], 3, "A data file was expected at none"),
        (["fit", "."], 1, "must be the same in all files"),
        (["fit", "T", "--out", "t.parquet"], 1, "is already there"),
        (["fit", "T", "--cv", "3"], 2, "--cv is for a table in memory"),
        (["fit", "T", "--sep", ";"], 2, "--sep is for a table in memory"),
        (["fit", "T", "--date-format", "%d"], 2, "--date-format is for a table in memory"),
        (["data", "nonsense"], 2, "convert FILE FOLDER. Got nonsense"),
        (["data", "convert", "none.csv", "x"], 3, "expected at none.csv"),
    ],
)
def test_what_does_not_work_is_one_sentence(folder, arguments, code, message, capsys, tmp_path):
    assert main(arguments) == code
    assert message in one_sentence(capsys)


@pytest.mark.filterwarnings("ignore")  # of Dask's own making
def test_a_fit_on_a_cluster(folder, capsys):
    pytest.importorskip("distributed")
    main(["fit", "T", "--memory", "1GB", "--json"])
    here = json.loads(capsys.readouterr().out)
    with cluster() as client:
        there = ["--scheduler", client.scheduler.address]
        assert main(["fit", "T", *there, "--verbose", "--json"]) == 0
        said = capsys.readouterr()
        found = json.loads(said.out)
        assert found["objective"] == pytest.approx(here["objective"], rel=1e-7)
        assert found["classes"] == ["no", "yes"]
        assert found["rounds"] <= 12
        assert found["megabytes_sent"] < 0.1
        assert "rounds" in said.err
        assert "gap about" in said.err
        assert main(["fit", "t.parquet", *there]) == 0
        shown = capsys.readouterr().out
        assert "  task        regression" in shown
        assert " rounds, " in shown
        assert main(["fit", "none", *there]) == 3
        assert "must be at none, as the workers see it" in one_sentence(capsys)
        assert main(["fit", "T", "--memory", "1GB", *there]) == 2
        assert "Got --scheduler, too" in one_sentence(capsys)
