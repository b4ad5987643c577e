"""The audit of a data set: numbers that are known by construction, and the words that go with them."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp

from audits import overlapping
from gdnp import GDNPClassifier, Objective, theory
from gdnp.datasets import Dataset, gaussian_design, load_breast_cancer
from gdnp.design import source
from gdnp.diagnose import Separability, diagnose
from gdnp.newton import solve


def said(found):
    return " ".join(found.findings + found.theory)


# --- numbers


def test_gaussian_design_meets_the_assumptions():
    found = diagnose(gaussian_design(20_000, 6, kappa=50.0, r=0.4, seed=3))
    assert (found.n, found.d, found.rank, found.estimated, found.constant) == (20_000, 6, 6, False, ())
    assert found.r == pytest.approx(0.4, abs=0.02)
    assert found.raw.largest == pytest.approx(1.0, rel=0.05)
    assert found.raw.condition == pytest.approx(50.0, rel=0.1)
    assert found.along_u.p_value > 1e-3
    assert found.along_fit.distance < 0.01
    assert found.fit.angle < 2.0
    assert found.separability == Separability("none", 0, ())
    assert "cannot be told from a Gaussian" in said(found)
    assert "nearly the solution already" in said(found)


def test_numbers_agree_with_the_theory_module(rng):
    data = overlapping(rng)
    objective = Objective(data.X, data.y)
    S, u = objective.covariance, objective.u
    found = diagnose(data)
    assert found.r == pytest.approx(theory.squared_signal(u, S), rel=1e-12)
    assert found.raw.condition == pytest.approx(S.condition, rel=1e-12)
    assert found.raw.iterations == theory.predicted_iterations(S.condition, 1e-6, 3)
    assert found.fit.cosine == pytest.approx(math.cos(math.radians(found.fit.angle)), abs=1e-9)
    centred = data.X - data.X.mean(axis=0)
    residual = data.y - data.y.mean() - centred @ np.linalg.lstsq(centred, data.y, rcond=None)[0]
    assert found.r_squared == pytest.approx(1.0 - residual.var() / data.y.var(), rel=1e-10)


def test_units_of_the_columns_change_nothing_but_the_raw_eigenvalues(rng):
    data = overlapping(rng)
    other = replace(data, X=data.X * [1e-6, 1.0, 1e6] + [5.0, 0.0, -3e6])
    a, b = diagnose(data), diagnose(other)
    assert b.raw.condition is None  # 1e24: beyond float64, and said to be
    assert "beyond what double precision resolves" in said(b)
    for x, y in ((a.r, b.r), (a.fit.angle, b.fit.angle), (a.scaled.condition, b.scaled.condition)):
        assert y == pytest.approx(x, rel=1e-3)  # the fit stops at a relative gradient of 1e-6
    assert (a.rank, a.separability) == (b.rank, b.separability)


def test_sparse_and_dense_say_the_same(rng):
    X = np.where(rng.random((200, 8)) < 0.3, 1.0, 0.0)
    y = np.where(X[:, 0] + X[:, 1] + rng.standard_normal(200) > 0.8, 1.0, -1.0)
    dense, sparse = diagnose(Dataset("d", X, y)), diagnose(Dataset("d", sp.csr_matrix(X), y))
    assert (dense.sparse, sparse.sparse) == (False, True)
    assert sparse.r == pytest.approx(dense.r, rel=1e-10)
    assert sparse.fit.angle == pytest.approx(dense.fit.angle, rel=1e-6)
    assert sparse.separability == dense.separability


def test_result_does_not_depend_on_threads(rng):
    data = overlapping(rng, n=9000, d=20)
    assert diagnose(data, n_jobs=1) == diagnose(data, n_jobs=2)


@pytest.mark.parametrize("d", [40, 90])
def test_lanczos_brackets_the_eigenvalues_where_s_is_not_formed(rng, monkeypatch, d):
    X = sp.random(60, d, 0.2, format="csr", rng=rng)
    y = np.where(np.asarray(X.sum(axis=1)).ravel() + 0.3 * rng.standard_normal(60) > 0.1 * d, 1.0, -1.0)
    data = Dataset("wide", X, y)
    exact = diagnose(data)
    for module in ("gdnp.problem.objective", "gdnp.solvers.separation"):
        monkeypatch.setattr(f"{module}.LARGEST_GRAM", 10)
    found = diagnose(data)
    assert found.estimated
    assert found.rank is None
    assert found.solver == "auto"
    assert found.raw.largest == pytest.approx(exact.raw.largest, rel=1e-6)
    assert found.raw.smallest >= exact.raw.smallest * (1.0 - 1e-6)
    assert found.r == pytest.approx(exact.r, rel=1e-5)


# --- what can be wrong with data


def test_constant_and_dependent_columns(rng):
    base = overlapping(rng, d=2)
    X = np.column_stack([base.X, np.full(300, 7.0), base.X @ [1.0, 2.0]])
    found = diagnose(Dataset("d", X, base.y, ("a", "b", "c", "sum")))
    assert found.constant == ("c",)
    assert found.rank == 2
    assert "1 column never varies: drop it (c)." in said(found)
    assert "1 of the 3 columns that vary can be computed from the others" in said(found)
    assert sorted(found.tangled) == ["a", "b", "sum"]
    assert found.copies == ()


def test_columns_that_make_the_condition_number_are_named(rng):
    base = overlapping(rng, d=3)
    a, b, c = base.X.T
    X = np.column_stack([a * 1e6, b * 1e-4, c, 3.0 - 2.0 * c])
    found = diagnose(Dataset("d", X, base.y, ("a", "b", "c", "twice")))
    assert found.widest == ("a", pytest.approx(X[:, 0].std()))
    assert found.narrowest == ("b", pytest.approx(X[:, 1].std()))
    assert found.copies == ("twice = c",)
    assert sorted(found.tangled) == ["c", "twice"]
    assert "(b varies by " in said(found)
    assert "The same but for units: twice = c. Keep one of each." in said(found)


def test_fewer_rows_than_columns(rng):
    found = diagnose(Dataset("d", rng.standard_normal((10, 30)), np.arange(10) % 2))
    assert found.rank == 9
    assert found.separability.kind == "complete"
    assert found.fit.training_error == 0.0
    assert "fewer rows than columns" in said(found)
    assert "a ridge of 0.0001" in found.fit.what


@pytest.mark.parametrize("kind", ["dense", "sparse", "file"])
def test_the_fit_with_a_ridge_is_that_of_columns_of_unit_variance_in_any_units(kind, tmp_path):
    """Of classes that a hyperplane separates: the same direction and error as of columns in other units."""
    whole = load_breast_cancer()
    unit = (whole.X - whole.X.mean(axis=0)) / whole.X.std(axis=0)
    wanted = diagnose(Dataset("d", unit, whole.y)).fit
    model = GDNPClassifier(alpha=1e-4).fit(unit, whole.y)
    if kind == "file":
        np.save(tmp_path / "X.npy", np.column_stack([whole.X, whole.y]))
        found = diagnose(source(tmp_path / "X.npy", y=-1)).fit
    else:
        found = diagnose(Dataset("d", whole.X if kind == "dense" else sp.csr_matrix(whole.X), whole.y)).fit
    assert "a ridge of 0.0001" in found.what
    assert found.training_error == wanted.training_error == pytest.approx(1.0 - model.score(unit, whole.y))
    assert found.angle == pytest.approx(wanted.angle, rel=1e-6)


def test_breast_cancer_is_separable_and_ill_conditioned():
    found = diagnose(load_breast_cancer())
    assert found.separability == Separability("complete", 569, ())
    assert found.raw.condition == pytest.approx(6.3e11, rel=0.02)
    assert found.raw.iterations.gradient > 1e12
    assert found.solver == "auto"
    assert "with a ridge (alpha > 0)" in found.advice


def test_column_that_gives_the_label_away(rng):
    data = overlapping(rng)
    leak = Dataset("d", np.column_stack([data.X[:, 0], data.y]), data.y, ("x", "leak"))
    found = diagnose(leak)
    assert found.separability == Separability("complete", 300, ("leak",))
    assert "One column is enough (leak)" in said(found)


def test_partial_separation_is_found_and_counted(rng):
    # A rare indicator that only rows of one class have: its coefficient has no finite best value.
    data = overlapping(rng)
    rare = np.zeros(300)
    rare[np.flatnonzero(data.y > 0.0)[:5]] = 1.0
    found = diagnose(Dataset("d", np.column_stack([data.X, rare]), data.y))
    assert found.separability == Separability("partial", 5, ("column 4",))
    assert "5 rows can be pushed to their side for ever" in said(found)


def test_separability_too_large_for_programs_and_for_the_solver_is_not_decided(rng, monkeypatch):
    monkeypatch.setattr("gdnp.solvers.separation._program", lambda *_: None)
    monkeypatch.setattr("gdnp.diagnose.audit.solve", partial(solve, max_iter=1))
    found = diagnose(overlapping(rng))
    assert found.separability == Separability("not decided", None, ())
    assert "was not decided" in said(found)


def test_separable_data_too_large_for_programs_are_seen_by_the_fit(rng, monkeypatch):
    monkeypatch.setattr("gdnp.solvers.separation._program", lambda *_: None)
    X = rng.standard_normal((100, 3))
    y = np.where(X @ [1.0, 2.0, -1.0] > 0.0, 1.0, -1.0)
    assert diagnose(Dataset("d", X, y)).separability.kind == "complete"


def test_offset_column_is_named(rng):
    data = overlapping(rng)
    shifted = data.X + np.array([0.0, 1e6, 0.0])
    found = diagnose(replace(data, X=shifted, feature_names=("a", "year", "b")))
    assert found.offset_column == "year"
    assert found.offset == pytest.approx(1e6 / data.X[:, 1].std(), rel=1e-4)
    assert "year lies" in said(found)


def test_labels_without_signal():
    X = np.array([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [-1.0, 1.0]] * 10)
    found = diagnose(Dataset("d", X, np.array([0, 1, 0, 1, 1, 0, 1, 0] * 5)))
    assert found.r == pytest.approx(0.0, abs=1e-20)
    assert found.fit.angle is None
    assert found.fit.training_error == 0.5
    assert "no linear signal at all" in said(found)


def test_noise_is_called_noise(rng):
    y = np.where(rng.random(60) < 0.5, 1.0, 0.0)
    found = diagnose(Dataset("d", rng.standard_normal((60, 10)), y))
    assert "as many columns of pure noise would explain" in said(found)


def test_rare_class_is_mentioned(rng):
    y = np.where(np.arange(500) < 5, 1.0, 0.0)
    assert "The rarer class has 1 % of the rows" in said(
        diagnose(Dataset("d", rng.standard_normal((500, 2)), y))
    )


def test_heavy_tails_are_seen(rng):
    y = np.where(rng.random(2000) < 0.5, 1.0, -1.0)
    X = rng.standard_t(3, size=(2000, 2)) + 0.3 * y[:, None]
    found = diagnose(Dataset("d", X, y))
    assert found.along_fit.excess_kurtosis > 1.0
    assert "is not Gaussian" in said(found)


def test_well_conditioned_wide_data_need_no_gram_matrix(rng):
    y = np.where(rng.random(1500) < 0.5, 1.0, -1.0)
    found = diagnose(Dataset("d", rng.standard_normal((1500, 100)) + 0.05 * y[:, None], y))
    assert found.solver == "gd"
    assert "any solver will do" in said(found)


# --- refusals


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((4, 1)), np.ones(4), r"two classes. Got 1: 1\.0\."),
        (np.ones((3, 1)), np.arange(3), "two classes. Got 3: 0, 1, 2"),
        (np.ones((4, 2)), np.array([0, 1, 0, 1]), "a column that varies. Got 2 constant ones"),
        (np.array([[1.0], [np.nan], [2.0]]), np.array([0, 1, 0]), "X must be finite"),
        (np.array([[1e150], [2e150], [3e150]]), np.array([0, 1, 0]), "change their units"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_in_a_sentence(X, y, message):
    with pytest.raises(ValueError, match=message):
        diagnose(Dataset("d", X, y))


# --- files


@pytest.fixture
def files(rng, tmp_path):
    """The same rows in memory, as npy and as Parquet with three row groups; labels are words."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    data = overlapping(rng, n=3000, d=4)
    X = data.X * [1.0, 1e-3, 50.0, 1.0] + [0.0, 4.0, 0.0, 2e3]
    label, names = np.where(data.y > 0.0, "yes", "no"), tuple("abcd")
    np.save(tmp_path / "X.npy", X)
    table = pa.table(dict(zip(names, X.T, strict=True)) | {"label": label, "s": np.ones(3000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1000)
    return Dataset("rows", X, label, names), tmp_path


def close(found, wanted, but=()):
    """The same record, to rounding."""
    for key, value in wanted.items():
        if key in but:
            continue
        if isinstance(value, dict):
            close(found[key], value, but)
        elif isinstance(value, float):
            assert found[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key
        else:
            assert found[key] == value, key


@pytest.mark.parametrize("memory", [None, "50KB"])
def test_files_say_what_their_rows_in_memory_say(files, memory):
    data, folder = files
    wanted = diagnose(data).to_dict()
    label = np.array(data.y)
    for found in (
        source(folder / "X.npy", y=label, memory=memory, scratch=folder, read_cost=1.0),
        source(folder / "t.parquet", y="label", columns=list("abcd"), memory=memory, read_cost=1.0),
    ):
        named = replace(data, feature_names=found.names)
        close(diagnose(found).to_dict(), diagnose(named).to_dict(), ("name",))
        assert found.design.meter.readings > 20.0
    dear = source(folder / "t.parquet", y="label", columns=list("abcd"))
    found = diagnose(dear)
    assert found.fit.what == f"log loss with intercept, no ridge, {found.fit.iterations} steps"
    assert found.fit.converged
    assert dear.design.meter.readings <= 22.0
    fitted = ("name", "fit", "along_fit", "rows", "theory", "advice")  # Newton steps are others, and counted
    close(found.to_dict(), wanted, fitted)
    assert found.fit.angle == pytest.approx(wanted["fit"]["angle"], rel=1e-3)
    assert found.separability.kind == "none"
    assert "steps in the metric of the data" in found.advice


def test_files_of_rows_that_are_apart(rng, tmp_path):
    X = rng.standard_normal((2000, 3))
    np.save(tmp_path / "X.npy", X)
    for y, kind, columns in (
        (X @ [1.0, -2.0, 0.5] > 0.0, "complete", ()),
        (X[:, 1] > 0.3, "complete", ("column 2",)),
    ):
        for cost in (1.0, 10.0):
            found = diagnose(source(tmp_path / "X.npy", y=y, read_cost=cost))
            assert found.separability == Separability(kind, 2000, columns)
            assert "a ridge of 0.0001 on columns of unit variance" in found.fit.what


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"t.parquet should be rows that are read here, with y and no weight. Got no target."),
        ({"y": "label", "weight": "s"}, "Got rows on workers, or weights."),
        ({"y": "s"}, r"should have exactly two classes. Got 1: 1"),
    ],
)
def test_files_that_cannot_be_audited(files, options, message):
    found = source(files[1] / "t.parquet", columns=list("abcd"), **options)
    with pytest.raises(ValueError, match=message):
        diagnose(found)
