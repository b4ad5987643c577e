"""Estimators on a real Dask cluster: the same model as in memory, whoever dies."""

import gc
import re
import sys
from itertools import pairwise
from subprocess import run

import numpy as np
import pytest

from clusters import cluster, kill_one
from gdnp import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV, Objective, Status, minimize
from gdnp.datasets import Dataset
from gdnp.design import source
from gdnp.diagnose import diagnose

pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own making

from gdnp.design.cluster import ClusterRows  # noqa: E402

N, D, PART = 6000, 5, 3000


@pytest.fixture(scope="module")
def client():
    with cluster() as found:
        yield found


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((N, D))
    eta = Z @ [1.0, -1.0, 0.5, 0.0, 2.0]
    X = Z * [1e-3, 1.0, 1e2, 1.0, 10.0] + 5.0
    y = np.where(eta + rng.logistic(size=N) > 0.0, "yes", "no")
    return X, y, eta + rng.standard_normal(N), rng.random(N)


def collection(array):
    return da.from_array(array, chunks=(PART, -1) if array.ndim == 2 else PART)


def same(a, b):
    """Both are within their gaps of the same minimum."""
    f, g = a.certificate_, b.certificate_
    assert g.status is Status.CONVERGED
    assert abs(f.objective - g.objective) <= (f.gap + g.gap) * abs(f.objective) + 1e-14 * abs(f.objective)


@pytest.mark.parametrize(
    "options",
    [{"alpha": 1e-3}, {"alpha": 0.0}, {"class_weight": "balanced"}, {"loss": "sigmoid", "alpha": 1e-3}],
    ids=str,
)
def test_a_classifier_is_the_one_in_memory(client, data, options):
    X, y, _, s = data
    here = GDNPClassifier(**options).fit(X, y, s)
    there = GDNPClassifier(**options).fit(*map(collection, (X, y, s)), client=client)
    same(here, there)
    assert there.classes_.tolist() == ["no", "yes"]
    assert there.history_["readings"][-1] > 0
    predicted = there.predict(collection(X))
    assert isinstance(predicted, da.Array)
    np.testing.assert_array_equal(predicted.compute(), there.predict(X))
    np.testing.assert_allclose(there.predict_proba(collection(X)).compute(), there.predict_proba(X))
    assert there.score(collection(X), collection(y), collection(s)) == pytest.approx(there.score(X, y, s))


@pytest.mark.parametrize("options", [{}, {"loss": "pseudo_huber", "delta": 0.1}], ids=str)
def test_a_regressor_is_the_one_in_memory(client, data, options):
    X, _, target, _ = data
    here = GDNPRegressor(**options).fit(X, target)
    there = GDNPRegressor(**options).fit(collection(X), collection(target))
    same(here, there)
    assert there.score(collection(X), collection(target)) == pytest.approx(here.score(X, target), rel=1e-6)


def test_a_frame_keeps_its_names_and_parts_may_be_empty_or_of_any_size(client, data):
    dd = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    X, y, _, _ = data
    frame = pandas.DataFrame(X, columns=list("abcde")).assign(label=y)
    parts = dd.concat([dd.from_pandas(frame[k:m], npartitions=1) for k, m in ((0, 0), (0, 700), (700, N))])
    model = GDNPClassifier(alpha=1e-3).fit(parts, "label")
    assert model.feature_names_in_.tolist() == list("abcde")
    same(GDNPClassifier(alpha=1e-3).fit(X, y), model)
    assert model.score(parts, "label") == pytest.approx(model.score(frame[list("abcde")], y))
    numbered = dd.from_dask_array(collection(X))  # columns 0 to 4
    again = GDNPClassifier(alpha=1e-3).fit(numbered, collection(y))
    np.testing.assert_array_equal(again.predict(numbered).compute(), again.predict(collection(X)).compute())


@pytest.mark.parametrize("known", [True, False])
def test_labels_may_be_categories_and_weights_a_column(client, data, known):
    dd = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    X, y, _, s = data
    frame = pandas.DataFrame(X, columns=list("abcde")).assign(label=pandas.Categorical(y), mass=s)
    parts = dd.from_pandas(frame, npartitions=2)
    if not known:
        parts["label"] = parts["label"].cat.as_unknown()
    assert parts["label"].cat.known is known
    model = GDNPClassifier(alpha=1e-3).fit(parts, "label", "mass")
    assert model.feature_names_in_.tolist() == list("abcde")
    same(GDNPClassifier(alpha=1e-3).fit(X, y, s), model)
    with pytest.raises(ValueError, match=r"columns of X must hold numbers\. Got category in 'label'"):
        GDNPClassifier(alpha=1e-3).fit(parts, collection(y))


def test_chunk_lengths_may_be_unknown_and_workers_without_rows(client, data):
    X, y, _, s = data
    keep = X[:, 1] > 5.0
    arrays = [collection(a)[collection(keep)] for a in (X, y, s)]
    assert np.isnan(arrays[0].shape[0])
    model = GDNPClassifier(alpha=1e-3).fit(*arrays)
    same(GDNPClassifier(alpha=1e-3).fit(X[keep], y[keep], s[keep]), model)
    alone = [da.from_array(a, chunks=-1) for a in (X, y)]  # one part, two workers
    same(GDNPClassifier(alpha=1e-3).fit(X, y), GDNPClassifier(alpha=1e-3).fit(*alone))


def test_columns_far_from_zero_or_constant_cost_no_digits_and_few_rounds(client, data):
    X, y, _, _ = data
    odd = np.column_stack([X, X[:, 0] * 1e3 + 500.0, np.full(N, 7.3)])
    model = GDNPClassifier(alpha=1e-3).fit(collection(odd), collection(y))
    same(GDNPClassifier(alpha=1e-3).fit(odd, y), model)
    assert model.coef_[0, -1] == 0.0
    assert model.history_["rounds"][-1] <= 12


def test_a_slow_worker_changes_nothing_but_the_time(client, data):
    arrays = [collection(a) for a in data[:2]]
    whole = GDNPClassifier(alpha=1e-3).fit(*arrays)

    def slow(seconds):
        import time

        import gdnp.design.cluster as there

        if seconds:
            there.quick = quick = there._done
            there._done = lambda *given, **work: (time.sleep(seconds), quick(*given, **work))[1]
        else:
            there._done = there.quick

    one = [min(client.scheduler_info()["workers"])]
    client.run(slow, 0.05, workers=one)
    try:
        model = GDNPClassifier(alpha=1e-3).fit(*arrays)
    finally:
        client.run(slow, 0.0, workers=one)
    assert model.certificate_ == whole.certificate_
    np.testing.assert_array_equal(model.coef_, whole.coef_)


def test_rounds_bytes_and_the_gap_are_seen_as_a_fit_goes_on(client, data, capsys):
    X, y, _, _ = data
    seen = []
    objective = Objective(source(collection(X)).design, y, alpha=1e-3)
    minimize(objective, "newton", callback=lambda row: seen.append(row.read))
    assert len(seen) > 1
    for name in ("rounds", "bytes"):
        assert all(a[name] < b[name] for a, b in pairwise(seen))
    capsys.readouterr()
    model = GDNPClassifier(alpha=1e-3, verbose=1).fit(collection(X), collection(y))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(model.history_["rounds"])
    for line, rounds in zip(lines, model.history_["rounds"], strict=True):
        assert re.search(rf" {rounds:.0f} rounds  [0-9.]+ MB  objective .*  gap about [0-9.]+e", line)


@pytest.mark.parametrize("at", [2, 9])
def test_a_worker_that_dies_in_a_round_changes_nothing(client, data, monkeypatch, at):
    X, y, _, _ = data
    whole = GDNPClassifier(alpha=1e-3).fit(collection(X), collection(y))
    rounds, original = [0], ClusterRows.round

    def counted(self, *args, **options):
        rounds[0] += 1
        if rounds[0] == at:
            kill_one(client)
        return original(self, *args, **options)

    monkeypatch.setattr(ClusterRows, "round", counted)
    model = GDNPClassifier(alpha=1e-3).fit(collection(X), collection(y))
    assert rounds[0] > at
    assert model.certificate_.status is whole.certificate_.status
    assert model.certificate_.objective == pytest.approx(whole.certificate_.objective, rel=1e-12)


def test_a_warm_start_and_three_classes_in_float32(client, data):
    X, _, target, _ = data
    y, small = np.digitize(target, [-1.0, 1.0]), X.astype(np.float32)
    model = GDNPClassifier(alpha=1e-3, warm_start=True).fit(collection(small), collection(y))
    assert model.coef_.dtype == np.float32
    peer = GDNPClassifier(alpha=1e-3).fit(small, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, rtol=1e-3, atol=1e-5)
    first = model.history_["rounds"][-1]
    assert model.fit(collection(small), collection(y)).history_["rounds"][-1] <= first


def test_a_client_that_closes_is_one_sentence_and_leaves_a_checkpoint(data, monkeypatch, tmp_path):
    X, y, _, _ = data
    arrays = collection(X), collection(y)
    original, rounds, at = ClusterRows.fetched, [0], {}

    def fetched(self, futures):
        rounds[0] += 1
        at.get(rounds[0], lambda client: None)(self.client)
        return original(self, futures)

    with cluster(1) as own:
        whole = GDNPClassifier(alpha=1e-3).fit(*arrays)
        monkeypatch.setattr(ClusterRows, "fetched", fetched)
        at[3] = lambda client: client.cluster.scale(2)  # a worker that is added midway changes nothing
        grown = GDNPClassifier(alpha=1e-3).fit(*arrays)
        assert grown.certificate_.objective == whole.certificate_.objective
        rounds[0], at = 0, {5: lambda client: client.close()}
        with pytest.raises(ConnectionError, match="the scheduler must stay"):
            GDNPClassifier(alpha=1e-3).fit(*arrays, client=own, checkpoint=tmp_path / "point.npz")
    assert (tmp_path / "point.npz").exists()


GONE = """
import os
import dask.array as da, numpy as np
from distributed import Client, LocalCluster
from gdnp import GDNPClassifier
from gdnp.design.cluster import ClusterRows

def fetched(self, futures, seen=[]):
    seen.append(1)
    if len(seen) == 5:
        self.client.cluster.sync(self.client.cluster.scheduler.close)
    return original(self, futures)

original, ClusterRows.fetched = ClusterRows.fetched, fetched
rng = np.random.default_rng(0)
X = rng.standard_normal((6000, 3))
y = X[:, 0] + rng.logistic(size=6000) > 0.0
arrays = [da.from_array(a, chunks=(3000, *a.shape[1:])) for a in (X, y)]
client = Client(LocalCluster(n_workers=1, processes=False, dashboard_address=None))
try:
    GDNPClassifier(alpha=1e-3).fit(*arrays, checkpoint="point.npz")
except ConnectionError as error:
    print(error, flush=True)
os._exit(0)  # closing what has no scheduler takes half a minute
"""


def test_a_scheduler_that_is_gone_is_one_sentence_and_leaves_a_checkpoint(tmp_path):
    done = run([sys.executable, "-c", GONE], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the scheduler must stay")
    assert (tmp_path / "point.npz").exists()


def test_a_part_that_cannot_be_made_is_named(client, data):
    X, y, _, _ = data

    def part(k):
        if k == 1:
            raise OSError("no such disk")
        return X[:PART]

    parts = [da.from_delayed(dask.delayed(part)(k), (PART, D), float) for k in range(2)]
    with pytest.raises(ValueError, match=r"part 1 of X must be there. Got no such disk"):
        GDNPClassifier().fit(da.concatenate(parts), collection(y))


def test_diagnose_looks_at_a_sample_on_a_worker(client, data):
    X, y, _, _ = data
    here = diagnose(Dataset("rows", X, y))
    there = diagnose(Dataset("rows", collection(X), collection(y)))
    assert there.name == f"rows ({N:,} rows drawn from {N:,})"
    assert (there.d, there.separability.kind) == (here.d, here.separability.kind)
    assert there.r == pytest.approx(here.r, rel=0.1)


def test_several_targets_are_the_ones_in_memory(client, data):
    X, _, target, s = data
    Y = np.column_stack([target, X[:, 0] - target])
    here = GDNPRegressor(alpha=1e-3).fit(X, Y, s)
    there = GDNPRegressor(alpha=1e-3).fit(*map(collection, (X, Y, s)))
    assert there.coef_.shape == (2, D)
    np.testing.assert_allclose(there.coef_, here.coef_, rtol=1e-6, atol=1e-9)
    assert there.predict(collection(X)).shape == (N, 2)


def test_weights_may_be_whole_numbers_and_stand_for_repeated_rows(client, data):
    X, y, target, _ = data
    s = np.arange(N) % 3
    for model, labels in ((GDNPClassifier(alpha=1e-3), y), (GDNPRegressor(), target)):
        there = type(model)(**model.get_params()).fit(*map(collection, (X, labels, s)))
        same(model.fit(np.repeat(X, s, axis=0), np.repeat(labels, s)), there)


def test_a_fit_goes_on_from_its_checkpoint(client, data, tmp_path):
    X, y, _, _ = data
    path = tmp_path / "point.npz"
    model = GDNPClassifier(alpha=1e-3).fit(collection(X), collection(y), checkpoint=path)
    assert path.exists()
    again = GDNPClassifier(alpha=1e-3).fit(collection(X), collection(y), checkpoint=path)
    assert again.history_["rounds"][-1] < model.history_["rounds"][-1]
    assert again.certificate_.objective == pytest.approx(model.certificate_.objective, rel=1e-12)


def test_only_sums_travel(client, data):
    X, y, _, _ = data
    rows = 4 * N
    wide = [collection(np.tile(a, (4, 1) if a.ndim == 2 else 4)) for a in (X, y)]
    model = GDNPClassifier(alpha=1e-3).fit(*wide)
    rounds, lanes = model.history_["rounds"][-1], rows // PART
    assert rounds <= 12
    assert model.history_["bytes"][-1] < rounds * (lanes * 8 * (2 * D + 64) + 4096) + 3 * lanes * 4 * D * (
        D + 1
    )
    assert model.history_["bytes"][-1] < 4096 * 8  # less than a column of the sample that is solved there


def test_what_cannot_be_fitted_is_said_in_a_sentence(client, data):
    X, y, target, _ = data
    dX = collection(X)
    for chunks, message in (
        (999, "y must be in the parts of X, 2 of them. Got 7"),
        ((PART - 1, PART + 1), "y must be in the parts of X, of 3000 rows in part 0. Got 2999; rechunk it."),
    ):
        with pytest.raises(ValueError, match=message):
            GDNPClassifier().fit(dX, da.from_array(y, chunks=chunks))
    with pytest.raises(ValueError, match="y must be in the parts of X, of 3000 rows in part 1"):
        GDNPClassifier().fit(dX, collection(y)[:-1])  # of two lengths
    frame = pytest.importorskip("dask.dataframe").from_dask_array(dX)
    with pytest.raises(ValueError, match=r"^sample_weight must be in the parts of X, 2 of them\. Got 3"):
        GDNPRegressor().fit(frame, 0, da.from_array(target, chunks=2000))
    with pytest.raises(ValueError, match=r"columns of X must have names of their own\. Got two of '1'"):
        GDNPRegressor().fit(frame.rename(columns={0: 1}), collection(target))
    with pytest.raises(ValueError, match=r"X must have the column '4'\. Got 0, 1, 2, 3"):
        GDNPRegressor().fit(frame, collection(target)).predict(frame[[0, 1, 2, 3]])
    gap = np.array(target, dtype=float)
    gap[-1] = np.nan  # in the last part, where the least of all before it is known
    with pytest.raises(ValueError, match="y must be finite"):
        GDNPRegressor().fit(dX, collection(gap))
    spoilt = X.copy()
    spoilt[PART + 3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        GDNPClassifier().fit(collection(spoilt), collection(y))
    with pytest.raises(ValueError, match=r"part \d of X must hold numbers"):
        GDNPClassifier().fit(collection(X.astype(str)), collection(y))
    with pytest.raises(ValueError, match="at least two classes"):
        GDNPClassifier().fit(dX, collection(np.full(N, "no")))
    with pytest.raises(ValueError, match="checkpoint needs files or a cluster"):
        GDNPClassifier(solver="gd").fit(dX, collection(y), checkpoint="point.npz")
    with pytest.raises(ValueError, match="memory and scratch are for files"):
        GDNPClassifier().fit(dX, collection(y), memory="1GB")
    with pytest.raises(ValueError, match="one label a row"):
        GDNPClassifier().fit(dX, collection(X))
    with pytest.raises(ValueError, match="client is for"):
        GDNPClassifier().fit(X, y, client=client)
    with pytest.raises(ValueError, match="finite"):
        GDNPRegressor().fit(dX, collection(np.where(np.arange(N) == 7, np.nan, target)))


def test_a_client_that_a_fit_has_made_of_an_address_is_closed_with_it(client, data, monkeypatch):
    from distributed import Client, get_client

    def nobody():
        raise ValueError("No clients found")

    made = []
    monkeypatch.setattr("distributed.get_client", nobody)
    monkeypatch.setattr("gdnp.design.cluster.connected", lambda a: made.append(Client(a)) or made[0])
    model = GDNPRegressor().fit(*map(collection, (data[0], data[2])), client=client.scheduler.address)
    assert model.certificate_.status is Status.CONVERGED
    gc.collect()
    assert made[0].status == "closed"
    monkeypatch.undo()
    assert get_client().status == client.status == "running"


def test_without_a_client_none_is_started(data, monkeypatch):
    def nobody():
        raise ValueError("No clients found")

    monkeypatch.setattr("distributed.get_client", nobody)
    X, y, _, _ = data
    with pytest.raises(ValueError, match="needs a client"):
        GDNPClassifier().fit(collection(X), collection(y))


@pytest.mark.parametrize("kind", [GDNPClassifierCV, GDNPRegressorCV])
def test_a_ridge_is_chosen_by_folds_of_rows_where_they_are(client, data, kind):
    X, y, target, s = data
    labels = y if kind is GDNPClassifierCV else target
    options = {"alphas": [1.0, 1e-2, 1e-4], "tol": 1e-11}
    fold = np.arange(N) % 3
    here = kind(**options, cv=[(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)])
    there = kind(**options, cv=3)
    here.fit(X, labels, s)
    there.fit(*map(collection, (X, labels, s)))
    assert there.alpha_ == here.alpha_
    np.testing.assert_allclose(there.scores_, here.scores_, rtol=1e-6)
    same(here, there)
    assert there.certificates_.shape == here.certificates_.shape
    assert all(one.status is Status.CONVERGED for one in there.certificates_.flat)
    with pytest.raises(ValueError, match="On a cluster cv is a number of folds"):
        kind(cv=here.cv).fit(collection(X), collection(labels))
    with pytest.raises(ValueError, match="On a cluster cv is a number of folds"):
        kind(scoring="r2").fit(collection(X), collection(labels))
    assert kind(cv=3, tol=1e-3).fit(collection(X), collection(labels)).alphas_.shape == (10,)


def test_a_loss_of_a_script_travels(client, data):
    X, _, target, _ = data
    there = {}
    text = """
import numpy as np
from gdnp.losses import SquaredError
class Twice(SquaredError):
    name = "twice"
"""
    exec(text, there)  # workers cannot import it
    there["Twice"].__module__ = "__main__"
    same(
        GDNPRegressor().fit(X, target), GDNPRegressor(there["Twice"]()).fit(collection(X), collection(target))
    )
