"""No solver looks into a row vector: over a backend whose vectors cannot be read every fit is the same."""

import weakref
from functools import cached_property

import numpy as np
import pytest

import gdnp
from gdnp import Objective
from gdnp.design import DenseDesign
from gdnp.design.rows import Rows
from gdnp.losses import Huber, LogLoss, PseudoHuber, Sigmoid, SquaredError
from gdnp.newton import solve
from gdnp.newton.preconditioners.rows import KernelPreconditioner
from gdnp.newton.start import sample_size
from gdnp.solvers import Status
from problems import draw


class Sealed:
    """A row vector that nobody but its ``SealedRows`` can read, index or compute with."""

    __slots__ = ("__weakref__", "_hidden", "shape")
    __hash__ = None

    def __init__(self, values):
        self._hidden, self.shape = values, values.shape

    def _refuse(self, *_, **__):
        raise TypeError("a row vector is opaque")

    __array__ = __array_ufunc__ = __array_function__ = __getitem__ = __setitem__ = _refuse
    __iter__ = __len__ = __float__ = __bool__ = __eq__ = _refuse


class SealedRows(Rows):
    def array(self, v):
        assert isinstance(v, Sealed), "a vector of another backend"
        return v._hidden

    def hold(self, values):
        assert isinstance(values, np.ndarray), "a vector is held twice"
        return Sealed(values)


class CountedRows(SealedRows):
    """It knows how many vectors there were at once; a number that stands for all rows takes no room."""

    def __init__(self, n, n_jobs):
        super().__init__(n, n_jobs)
        self.alive, self.most = 0, 0

    def hold(self, values):
        made = super().hold(values)
        if values.strides[0]:
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(made, self.gone)
        return made

    def gone(self):
        self.alive -= 1


class SealedDesign(DenseDesign):
    @cached_property
    def rows(self):
        return SealedRows(self.n_samples, self.n_jobs)

    def transformed(self, offset, factor):
        return SealedDesign(self._X, self.n_jobs, offset=offset, factor=factor)

    def columns(self, index):
        few = super().columns(index)
        return SealedDesign(few._X, few.n_jobs, offset=few._offset, factor=few._factor)


class CountedDesign(DenseDesign):
    @cached_property
    def rows(self):
        return CountedRows(self.n_samples, self.n_jobs)

    def transformed(self, offset, factor):
        made = CountedDesign(self._X, self.n_jobs, offset=offset, factor=factor)
        made.__dict__["rows"] = self.rows
        return made


def both(X, y, loss, alpha, *, fit_intercept=True, weight=None):
    return [
        Objective.unchecked(
            kind(X, 2), np.array(y, dtype=float), weight, loss, alpha, fit_intercept=fit_intercept
        )
        for kind in (DenseDesign, SealedDesign)
    ]


def assert_same(found, sealed):
    np.testing.assert_array_equal(sealed.coef, found.coef)
    assert sealed.intercept == found.intercept
    assert sealed.status is found.status
    np.testing.assert_array_equal(sealed.history["objective"], found.history["objective"])
    np.testing.assert_array_equal(sealed.history["passes"], found.history["passes"])


def test_a_sealed_vector_is_sealed():
    v = SealedRows(3, 1).hold(np.ones(3))
    for use in (
        lambda: np.asarray(v),
        lambda: np.add(v, v),
        lambda: v + v,
        lambda: 2.0 * v,
        lambda: v @ v,
        lambda: v[0],
        lambda: np.sum(v),
        lambda: list(v),
    ):
        with pytest.raises(TypeError, match=r"opaque|unsupported operand"):
            use()


def rows_of(loss, n=300, d=8, seed=0):
    return draw(np.random.default_rng(seed), n=n, d=d, loss=loss)


FITS = {
    "log loss": (rows_of(LogLoss()), LogLoss(), {}),
    "pseudo-huber": (rows_of(PseudoHuber()), PseudoHuber(), {}),
    "Huber, far beyond δ": (rows_of(Huber(1e-6)), Huber(1e-6), {}),
    "pseudo-Huber, far beyond δ": (rows_of(PseudoHuber(1e-6)), PseudoHuber(1e-6), {}),
    "squared error": (rows_of(SquaredError()), SquaredError(), {}),
    "sigmoid, by quantiles": (rows_of(Sigmoid(), n=2500), Sigmoid(), {}),
    "sigmoid, by a sample": (rows_of(Sigmoid(), n=12_000, d=4), Sigmoid(), {}),
    "a kernel": (rows_of(LogLoss(), n=40, d=90), LogLoss(), {}),
    "a kernel of residuals": (rows_of(SquaredError(), n=40, d=90), SquaredError(), {}),
    "a sample": (rows_of(LogLoss(), n=3 * 4096 + 5, d=6), LogLoss(), {}),
    "a sample of residuals": (rows_of(PseudoHuber(), n=3 * 4096 + 5, d=6), PseudoHuber(), {}),
    "no intercept": (rows_of(LogLoss()), LogLoss(), {"fit_intercept": False}),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", FITS)
def test_production_fits(rng, name, weighted):
    (X, y), loss, options = FITS[name]
    weight = rng.dirichlet(np.ones(len(y))) if weighted else None
    found, sealed = (solve(o) for o in both(X, y, loss, 1e-3, weight=weight, **options))
    assert_same(found, sealed)
    assert sealed.certificate == found.certificate


def test_the_cases_reach_what_they_are_named_for():
    (X, y), loss, _ = FITS["a sample"]
    assert sample_size(both(X, y, loss, 1e-3)[1].standardised) is not None
    (X, y), loss, _ = FITS["a kernel of residuals"]
    assert isinstance(solve(both(X, y, loss, 1e-9)[1]).state.preconditioner, KernelPreconditioner)


@pytest.mark.parametrize(
    ("method", "loss", "alpha", "most"),
    [
        ("newton", LogLoss(), 1e-3, 4),
        ("newton", LogLoss(), 0.0, 6),  # the estimate of a gap has a curvature and a slope of its own
        ("newton", PseudoHuber(), 1e-3, 5),
        ("newton", Sigmoid(), 1e-3, 6),  # one of them of bytes
        ("gdnp", LogLoss(), 1e-3, 3),
        ("gdnp_metric", LogLoss(), 1e-3, 3),
        ("gd", LogLoss(), 1e-3, 3),
        ("agd", LogLoss(), 1e-3, 3),
        ("agd", LogLoss(), 0.0, 4),
    ],
)
def test_row_vectors_that_are_held_at_once(method, loss, alpha, most):
    """σ (and y in regression), margins, and what a step needs; a look for separation takes one more."""
    X, y = rows_of(loss, n=2500)
    design = CountedDesign(X, 1)
    problem = Objective.unchecked(design, y, None, loss, alpha, fit_intercept=False)
    gdnp.minimize(problem, method, max_iter=8, tol=1e-6)
    assert design.rows.most == most


def test_separable_rows():
    X, _ = rows_of(LogLoss())
    found, sealed = (solve(o) for o in both(X, np.sign(X[:, 0]), LogLoss(), 0.0))
    assert sealed.status is Status.LENGTH_DIVERGES
    assert_same(found, sealed)


def test_columns_far_from_zero_and_nearly_constant():
    """They are read with an offset, and looked at a second time from one of their rows."""
    X, y = rows_of(LogLoss())
    X = np.column_stack((X + 1e6, np.full(len(y), 0.1), 1e12 + np.arange(len(y)) % 3))
    found, sealed = (solve(o) for o in both(X, y, LogLoss(), 1e-3))
    assert_same(found, sealed)


def test_directions_beside_a_diagonal(monkeypatch):
    monkeypatch.setattr("gdnp.newton.preconditioners.choice.LARGEST_GRAM", 8)
    rng = np.random.default_rng(3)
    X = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 60)) + 0.05 * rng.standard_normal((500, 60))
    y = np.sign(X[:, 0] + rng.logistic(size=500))
    found, sealed = (solve(o) for o in both(X, y, LogLoss(), 1e-6))
    assert_same(found, sealed)


@pytest.mark.parametrize("loss", [LogLoss(), Sigmoid(), PseudoHuber()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("method", sorted(set(gdnp.methods.METHODS) - {"rayleigh_gd"}))
def test_every_method(method, loss):
    X, y = rows_of(loss)
    found, sealed = (
        gdnp.minimize(o, method, max_iter=20, tol=1e-6) for o in both(X, y, loss, 1e-3, fit_intercept=False)
    )
    assert_same(found, sealed)
    np.testing.assert_array_equal(sealed.history["length"], found.history["length"])


@pytest.mark.parametrize("method", ["gd", "gdnp", "gdnp_metric", "newton"])
def test_every_method_with_an_intercept(method):
    X, y = rows_of(LogLoss())
    found, sealed = (gdnp.minimize(o, method, max_iter=20) for o in both(X, y, LogLoss(), 0.0))
    assert_same(found, sealed)


def test_S_that_is_no_matrix(monkeypatch):
    monkeypatch.setattr("gdnp.problem.objective.LARGEST_GRAM", 4)
    X, y = rows_of(LogLoss())
    found, sealed = (gdnp.minimize(o, "gdnp_metric", max_iter=10) for o in both(X, y, LogLoss(), 1e-3))
    assert_same(found, sealed)
