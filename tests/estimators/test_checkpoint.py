"""A fit that was ended at any iteration goes on to the coefficients of one that was not."""

import os
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone

from command import started
from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.design import StreamDesign, source
from gdnp.design.block import EPS
from gdnp.estimators.checkpoint import Kept
from gdnp.losses import LOSSES
from gdnp.solvers import Status

N, D = 9000, 5


@pytest.fixture
def rows(rng, tmp_path):
    X = rng.standard_t(4, size=(N, D)) * 10.0 ** np.arange(-2, D - 2)
    t = X @ (1.0 / X.std(axis=0)) + rng.logistic(size=N)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", t > -1.0)
    np.save(tmp_path / "three.npy", np.digitize(t, [-2.0, 1.0]))
    np.save(tmp_path / "t.npy", t)
    return tmp_path


class Ended(Exception):
    pass


def ending(monkeypatch, error):
    """How many readings are left before one raises that; 0 is never."""
    summed, left = StreamDesign._summed, [0]

    def counted(self, jobs, merge):
        left[0] -= 1
        if left[0] == 0:
            raise error
        return summed(self, jobs, merge)

    monkeypatch.setattr(StreamDesign, "_summed", counted)
    return left


@pytest.mark.parametrize(
    ("kind", "y"), [(GDNPClassifier, "y.npy"), (GDNPClassifier, "three.npy"), (GDNPRegressor, "t.npy")]
)
@pytest.mark.parametrize("alpha", [1e-4, 1e-9])
def test_every_reading_may_be_the_last(kind, y, alpha, rows, monkeypatch):
    """Ended in its k-th reading, for every k, and then let go on."""

    def fitted(file):
        loss = "log_loss" if kind is GDNPClassifier else "pseudo_huber"
        return kind(loss, alpha=alpha).fit(rows / "X.npy", rows / y, checkpoint=file)

    whole, left = fitted(rows / "whole.npz"), ending(monkeypatch, Ended)
    ended = resumed = 0
    for k in range(1, 100):
        file, left[0] = rows / f"{k}.npz", k
        try:
            fitted(file)
            break
        except Ended:
            ended += 1
        left[0], resumed = 0, resumed + file.exists()
        found = fitted(file)
        np.testing.assert_array_equal(found.coef_, whole.coef_)
        np.testing.assert_array_equal(found.intercept_, whole.intercept_)
        assert found.certificate_ == whole.certificate_
        assert found.history_["readings"][-1] <= whole.history_["readings"][-1] + 1.0
    assert ended >= 4
    assert resumed >= 2
    assert (rows / "whole.npz").stat().st_size <= 8 * whole.coef_.size * (D + 1) + 3000


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (GDNPClassifier(alpha=1e-9), "y.npy"),
        (GDNPClassifier(), "three.npy"),
        (GDNPClassifier("sigmoid"), "y.npy"),
        (GDNPClassifier(solver="gdnp_metric", tol=1e-3), "y.npy"),
        (GDNPRegressor(), "t.npy"),
        (GDNPRegressor("huber"), "t.npy"),
    ],
    ids=str,
)
@pytest.mark.parametrize("cost", [1.0, 10.0])
def test_ctrl_c_leaves_the_best_model_so_far(model, y, cost, rows, monkeypatch):
    """In any reading: nothing before the first iteration, then f that falls to that of the whole fit."""

    def fitted(model):
        return model.fit(source(rows / "X.npy", y=rows / y, read_cost=cost))

    least, values = fitted(clone(model)).certificate_.objective, []
    left = ending(monkeypatch, KeyboardInterrupt)
    for k in range(1, 40):
        mine, left[0] = clone(model), k
        try:
            fitted(mine)
            break
        except KeyboardInterrupt:
            assert hasattr(mine, "coef_") or not values
        if hasattr(mine, "coef_"):
            known = mine.certificate_
            assert (known.status, known.kind) == (Status.STOPPED, "newton_decrement")
            assert len(mine.history_["readings"]) == len(mine.history_["objective"])
            assert known.objective == mine.history_["objective"][-1]
            assert np.isfinite(mine.predict(np.load(rows / "X.npy")[:5]).astype(float)).all()
            values.append(known.objective)
    assert len(set(values)) > 1 or mine.n_iter_ <= 2
    assert values == sorted(values, reverse=True)
    assert values[-1] >= least * (1.0 - 1e-7)


def test_ctrl_c_in_the_first_of_several_targets_keeps_nothing(rows, monkeypatch):
    ending(monkeypatch, KeyboardInterrupt)[0] = 6
    model = GDNPClassifier("sigmoid")
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows / "X.npy", rows / "three.npy")
    assert not hasattr(model, "coef_")


def test_a_process_that_is_killed(rows):
    """By SIGKILL, at any moment; no file is left beside the checkpoint's."""
    script = (
        "import sys, time\nfrom gdnp import GDNPClassifier\nfrom gdnp.design import StreamDesign\n"
        "summed = StreamDesign._summed\n"
        "def slow(*a):\n    time.sleep(0.05)\n    return summed(*a)\n"
        "StreamDesign._summed = slow\nprint('ready', flush=True)\n"
        "m = GDNPClassifier().fit('X.npy', 'y.npy', checkpoint='c.npz')\nprint(m.coef_.tobytes().hex())\n"
    )
    whole = GDNPClassifier().fit(rows / "X.npy", rows / "y.npy", checkpoint=rows / "w.npz").coef_
    for pause in (0.3,):
        process = started("-c", script, cwd=rows)
        assert process.stdout.readline() == "ready\n"
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = started("-c", script, cwd=rows)
    out, err = process.communicate(timeout=120)
    assert not err
    assert out.split()[-1] == whole.tobytes().hex()
    assert not [name for name in os.listdir(rows) if name.startswith(".")]
    assert sys.executable


def test_what_does_not_go_together(rows):
    file = rows / "c.npz"
    GDNPClassifier().fit(rows / "X.npy", rows / "y.npy", checkpoint=file)
    before = file.read_bytes()
    for model, message in (
        (GDNPClassifier(alpha=1e-3), "must be a checkpoint of this fit"),
        (GDNPClassifier(solver="gdnp"), "production solver"),
        (GDNPClassifier("sigmoid"), "must be a checkpoint of this fit"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(rows / "X.npy", rows / "y.npy", checkpoint=file)
    with pytest.raises(ValueError, match="needs a convex loss"):
        GDNPClassifier("sigmoid").fit(rows / "X.npy", rows / "y.npy", checkpoint=rows / "d.npz")
    np.save(rows / "many.npy", np.arange(N) % 40)
    with pytest.raises(ValueError, match=r"few enough classes.*Got 40 with 5 columns"):
        GDNPClassifier().fit(rows / "X.npy", rows / "many.npy", checkpoint=rows / "d.npz")
    assert not (rows / "d.npz").exists()
    with pytest.raises(ValueError, match="checkpoint is for X that is read from files"):
        GDNPClassifier().fit(np.ones((4, 2)), [0, 1, 0, 1], checkpoint=file)
    assert file.read_bytes() == before
    file.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="must be a checkpoint"):
        GDNPClassifier().fit(rows / "X.npy", rows / "y.npy", checkpoint=file)


def rows_of(*numbers):
    """Rows of a history: passes and objectives."""

    class Point:
        length = 1.0

    for k, (passes, objective) in enumerate(numbers):
        yield SimpleNamespace(
            passes=passes,
            seconds=0.0,
            objective=objective,
            gradient_norm=1e-20,
            iteration=k,
            point=Point(),
            solution=lambda: (np.array([1.0]), 0.0),
        )


@pytest.mark.parametrize("exact", [True, False])
def test_the_best_of_all_starts_is_kept_with_its_own_history(exact):
    kept = Kept(SimpleNamespace(cost=SimpleNamespace(read={})), None)
    for row in rows_of((1.0, 0.5), (2.0, 0.2), (1.0, 0.4)):
        kept(row)
    found = kept.fitted(SimpleNamespace(solver="newton", loss=LOSSES["log_loss"]), exact)
    assert found.certificate.objective == 0.2
    assert found.history["objective"].tolist() == [0.5, 0.2]
    assert found.certificate.gap == (4.0 * EPS if exact else np.inf)
