"""Fits of files: the coefficients of the same rows in memory, and few readings where they are dear."""

import numpy as np
import pytest

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.design import Rows, StreamDesign, source
from gdnp.design.dense import DenseDesign
from gdnp.design.targets import encoded
from gdnp.solvers import Status
from problems import draw

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N, D = 12_000, 6
NAMES = [f"c{j}" for j in range(D)]


@pytest.fixture
def rows(rng):
    X = rng.standard_normal((N, D)) * 10.0 ** rng.uniform(-2, 2, D)
    margin = X @ (1.0 / X.std(axis=0))
    return X, margin + rng.logistic(size=N), rng.random(N) + 0.1


@pytest.fixture
def folder(rows, tmp_path):
    """X.npy, and a table with a number, two kinds of labels and weights."""
    X, t, s = rows
    np.save(tmp_path / "X.npy", X)
    labels = np.where(t > 1.0, "high", np.where(t < -1.0, "low", "middle"))
    columns = dict(zip(NAMES, X.T, strict=True)) | {"t": t, "sign": t > 0.0, "label": labels, "s": s}
    (tmp_path / "table").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "table" / "a.parquet", row_group_size=2000)
    return tmp_path


def same(found, wanted):
    for name in ("coef_", "intercept_"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert found.certificate_ == wanted.certificate_
    np.testing.assert_array_equal(found.history_["objective"], wanted.history_["objective"])


def cheap(path, **columns):
    """A table that costs what memory costs, so that the solver does the same."""
    return source(path / "table", columns=NAMES, read_cost=1.0, **columns)


CASES = {
    "two classes": (GDNPClassifier(), "sign", {}),
    "three of text, weighted": (GDNPClassifier(class_weight="balanced"), "label", {"weight": "s"}),
    "numbers": (GDNPRegressor(), "t", {"weight": "s"}),
    "robust": (GDNPRegressor("huber", delta="auto"), "t", {}),
    "another solver": (GDNPClassifier(solver="gdnp_metric", tol=1e-3), "sign", {}),
}


@pytest.mark.parametrize("memory", [None, "100KB"])
@pytest.mark.parametrize("case", CASES)
def test_files_give_the_bits_of_memory(case, memory, folder, rows):
    model, y, weight = CASES[case]
    target = np.concatenate(list(cheap(folder, y=y).target()))
    s = rows[2] if weight else None
    wanted = type(model)(**model.get_params()).fit(rows[0], target, s)
    table = cheap(folder, y=y, **weight)
    same(type(model)(**model.get_params()).fit(table), wanted)
    if memory is None:
        same(type(model)(**model.get_params()).fit(folder / "X.npy", target, s), wanted)
        return
    raw = source(folder / "X.npy", y=target, weight=s, memory=memory, scratch=folder, read_cost=1.0)
    found = type(model)(**model.get_params()).fit(raw)
    same(found, wanted)
    assert np.array_equal(getattr(found, "classes_", 0), getattr(wanted, "classes_", 0))


class Dear(DenseDesign):
    """Rows in memory that are as dear to read as those of a file."""

    read_cost = 10.0


def test_dear_files_give_the_bits_of_dear_memory(folder, rows):
    target = rows[1] > 0.0
    for y in (target, rows[1]):
        kind = GDNPClassifier if y is target else GDNPRegressor
        wanted = kind().fit(source(Dear(rows[0]), y=y))
        found = kind().fit(folder / "X.npy", y, memory="10KB", scratch=folder)
        same(found, wanted)
        table = kind().fit(source(folder / "table", y="sign" if y is target else "t", columns=NAMES))
        np.testing.assert_array_equal(table.coef_, found.coef_)


@pytest.mark.parametrize("loss", ["log_loss", "three classes", "squared_error", "pseudo_huber"])
@pytest.mark.parametrize("options", [{}, {"fit_intercept": False}, {"alpha": 0.0}], ids=str)
def test_few_readings_where_they_are_dear(loss, options, rows):
    """The same minimum as from cheap rows, certified alike, in readings that can be counted on a hand."""
    X, t, s = rows
    kind, y = (GDNPClassifier, t > 0.0) if loss == "log_loss" else (GDNPRegressor, t)
    if loss == "three classes":
        kind, y, loss = GDNPClassifier, np.digitize(t, [-1.0, 1.0]), "log_loss"
    cheap = kind(loss, **options).fit(X, y, s)
    design = Counted(X)
    found = kind(loss, **options).fit(source(design, y=y, weight=s))
    one, other = found.certificate_, cheap.certificate_
    assert one.status is Status.CONVERGED
    assert one.kind == other.kind
    assert one.gap <= 1e-8
    assert abs(one.objective - other.objective) <= 1e-8 * other.objective
    most = 6 if y.dtype.kind == "i" else 5
    assert design.readings <= (7 if options.get("alpha") == 0.0 else most)


@pytest.mark.parametrize("n", [90, 5000])
def test_few_rows_of_several_classes_are_solved_in_memory_first(n, rng):
    X, y = rng.standard_normal((n, 8)), rng.integers(0, 6, n)
    X[:, 0] += y
    cheap, design = GDNPClassifier(alpha=1e-6).fit(X, y), Counted(X)
    found = GDNPClassifier(alpha=1e-6).fit(source(design, y=y))
    assert found.certificate_.proved
    assert abs(found.certificate_.objective - cheap.certificate_.objective) <= 1e-8
    assert design.readings <= 4


def test_many_classes_have_a_matrix_each_as_in_memory(rng):
    X, y = rng.standard_normal((3000, 4)), rng.integers(0, 60, 3000)
    cheap, design = GDNPClassifier().fit(X, y), Counted(X)
    found = GDNPClassifier().fit(source(design, y=y))
    one, other = found.certificate_, cheap.certificate_
    assert one.proved
    assert abs(one.objective - other.objective) <= 1e-8 * other.objective
    assert design.readings <= 12


class Counted(Dear):
    """Every look at all rows is counted, of whatever coordinates."""

    def __init__(self, *args, counter=None, **options):
        super().__init__(*args, **options)
        self.counter = [0] if counter is None else counter

    @property
    def readings(self):
        return self.counter[0]

    def _like(self, X, offset, factor, block_rows=None):
        if len(X) < self.n_samples:
            return DenseDesign(X, 1, offset=offset, factor=factor)
        return Counted(X, 1, offset=offset, factor=factor, block_rows=block_rows, counter=self.counter)

    def _summed(self, jobs, merge):
        self.counter[0] += 1
        return super()._summed(jobs, merge)


def test_a_hard_start_with_dear_rows(rng):
    """Steps that are too long are searched on known margins."""
    X, y = draw(rng, n=300, d=8, loss=GDNPClassifier()._settings("classification").loss)
    X[:, 0] *= 1e3
    X[0] *= 40.0
    cheap, found = GDNPClassifier(alpha=1e-9).fit(X, y), GDNPClassifier(alpha=1e-9).fit(source(Dear(X), y=y))
    assert found.certificate_.status is Status.CONVERGED
    assert found.certificate_.objective == pytest.approx(cheap.certificate_.objective, rel=1e-7)


def test_history_says_readings_and_bytes(folder, rows):
    model = GDNPClassifier().fit(folder / "X.npy", rows[1] > 0.0)
    for name, total in (("readings", 1.0), ("bytes", rows[0].nbytes)):
        column = model.history_[name]
        assert len(column) == len(model.history_["passes"])
        assert (np.diff(column) >= 0.0).all()
        assert column[0] >= total
    assert "readings" not in GDNPClassifier().fit(rows[0], rows[1] > 0.0).history_


def test_predictions_and_scores_of_files(folder, rows):
    X, t, s = rows
    model = GDNPClassifier().fit(folder / "table", "label")
    assert model.feature_names_in_.tolist() == [*NAMES, "t", "sign", "s"]
    model = GDNPClassifier().fit(source(folder / "table", y="label", columns=NAMES))
    expected = GDNPClassifier().fit(
        pa.table(dict(zip(NAMES, X.T, strict=True))).to_pandas(), model.predict(folder / "table")
    )
    np.testing.assert_array_equal(model.classes_, ["high", "low", "middle"])
    assert model.predict(folder / "table").shape == (N,)
    np.testing.assert_allclose(model.predict_proba(folder / "X.npy"), model.predict_proba(folder / "table"))
    assert model.score(folder / "table", "label") == model.score(
        folder / "table", model.predict(folder / "table")
    ) * np.mean(
        model.predict(folder / "table") == np.concatenate(list(source(folder / "table", y="label").target()))
    )
    assert expected.score(folder / "table", model.predict(folder / "table")) > 0.9
    regressor = GDNPRegressor().fit(folder / "X.npy", t, s)
    assert regressor.score(folder / "X.npy", t, s) == pytest.approx(regressor.score(X, t, s), rel=1e-12)


def test_labels_of_a_later_part_are_classes(rng):
    found = [rng.integers(0, 2, 50), rng.integers(0, 2, 50), np.array([7, -1, 0])]
    classes, codes = encoded(lambda: iter(found), Rows(103, 1))
    assert classes.tolist() == [-1, 0, 1, 7]
    np.testing.assert_array_equal(classes[codes], np.concatenate(found))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("X.npy", np.zeros(N)), "y must have at least two classes"),
        (("X.npy", np.ones(5)), f"y must have one entry per row of X, {N}. Got 5"),
        (("X.npy", np.ones(N + 5)), f"one entry per row of X, {N}. Got more"),
        (("X.npy", np.full(N, 0.5)), "Unknown label type"),
        (("X.npy", np.append(np.nan, np.ones(N - 1))), "class labels, without gaps"),
        (("X.npy", np.arange(N) % 2, -np.ones(N)), "sample_weight must be finite and non-negative"),
        (("X.npy", np.arange(N) % 2, np.full(N, np.nan)), "sample_weight must be finite"),
        (("X.npy",), "y must be given"),
        (("table", "sign"), "Got label \\(string\\): leave them out"),
        (("table", "nothing"), "must have a column 'nothing'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, folder):
    path, *others = arguments
    before = sorted(folder.rglob("*"))
    model = GDNPClassifier()
    with pytest.raises(ValueError, match=message):
        model.fit(folder / path, *others, scratch=folder, memory="10KB")
    assert not hasattr(model, "coef_")
    assert sorted(folder.rglob("*")) == before


def test_a_file_that_changes_is_refused(folder, rows, monkeypatch):
    """Between two readings; the fit that was there before stays."""
    model = GDNPClassifier().fit(folder / "X.npy", rows[1] > 0.0)
    coef, summed, count = model.coef_.copy(), StreamDesign._summed, []

    def changing(self, jobs, merge):
        count.append(None)
        if len(count) == 3:
            np.save(folder / "X.npy", rows[0][::-1])
        return summed(self, jobs, merge)

    monkeypatch.setattr(StreamDesign, "_summed", changing)
    with pytest.raises(ValueError, match=r"X.npy must stay as it is while it is read"):
        model.fit(folder / "X.npy", rows[1] > 0.0)
    np.testing.assert_array_equal(model.coef_, coef)


def test_a_column_that_is_not_finite_is_named(folder, rows):
    table = pq.read_table(folder / "table").set_column(2, "c2", pa.array([None, *rows[0][1:, 2]]))
    pq.write_table(table, folder / "table" / "a.parquet")
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 column\(s\), the first being \['c2'\]"):
        GDNPClassifier().fit(source(folder / "table", y="sign", columns=NAMES))


def test_memory_is_for_files(rows):
    with pytest.raises(ValueError, match="memory is for X that is read"):
        GDNPClassifier().fit(rows[0], rows[1] > 0.0, memory="1GB")
