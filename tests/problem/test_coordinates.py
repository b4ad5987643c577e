"""Coordinates of unit curvature: powers of two, right for any scale, offset and constant column."""

import numpy as np
import pytest
import scipy.sparse as sp

from designs import shrink_blocks
from gdnp import GDNPClassifier, GDNPRegressor, Objective
from gdnp.design import as_design
from gdnp.losses import LOSSES, Loss
from gdnp.problem.coordinates import Coordinates, Gram, standardise
from gdnp.solvers import Status

LOSS = LOSSES["log_loss"]
FORMS = {"dense": np.asarray, "csr": sp.csr_array, "csc": sp.csc_array}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    shrink_blocks(monkeypatch)


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


@pytest.fixture
def X(rng):
    """More columns than are looked at twice, the last of them alike."""
    X = rng.standard_normal((500, 20)) * (rng.random((500, 20)) < 0.5)
    X[:, 1] += 5.0
    return X * np.append([1e-8, 1.0, 1e4, 1e8, 1e-3], np.ones(15))


def read(X, weight=None, alpha=0.01, centred=True, n_jobs=1, form=np.asarray):
    design, coordinates = standardise(as_design(form(X), n_jobs), weight, LOSS, alpha, centred)
    Z = np.vstack([design.block(k).dense(0, high - low) for k, (low, high) in enumerate(design.bounds)])
    return design, coordinates, (Z - coordinates.centre) * coordinates.scale


def power_of_two(v):
    return np.isin(np.frexp(v)[0], (0.0, 0.5)).all()


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 1e-4, 1e6])
@pytest.mark.parametrize("weighted", [True, False])
def test_columns_have_unit_curvature(rng, X, form, centred, alpha, weighted):
    """Data and ridge together make up 1 to 4 times sup φ''."""
    s = rng.random(500) if weighted else np.ones(500)
    s /= s.sum()
    _, coordinates, Z = read(X, s if weighted else None, alpha, centred, form=form)
    assert power_of_two(coordinates.scale)
    np.testing.assert_allclose(coordinates.variance, s @ np.square(Z), rtol=1e-10)
    diagonal = coordinates.variance + coordinates.ridge / LOSS.max_curvature
    assert (diagonal >= 1.0 - 1e-12).all()
    assert (diagonal < 4.0).all()
    np.testing.assert_allclose(coordinates.ridge, alpha * coordinates.scale**2, rtol=1e-12)
    if centred:
        np.testing.assert_allclose(s @ Z, 0.0, atol=1e-13)
    else:
        assert not coordinates.centre.any()


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("constant", [0.1, 1.0 / 3.0, -1e12])
def test_a_constant_column_that_is_centred_stays_out(rng, X, form, constant, weighted):
    X[:, 2] = constant
    weight = np.full(500, 1.0 / 500) if weighted else None
    _, coordinates, _ = read(X, weight, form=form)
    assert coordinates.scale[2] == 0.0
    assert coordinates.ridge[2] == 1.0
    assert (coordinates.scale[[0, 1, 3, 4]] > 0.0).all()
    _, coordinates, Z = read(X, weight, alpha=0.0, centred=False, form=form)
    assert 1.0 <= np.abs(Z[0, 2]) < 2.0


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("size", [1.0, -3e7])
def test_a_column_of_two_neighbouring_numbers_is_not_constant(X, form, size, weighted):
    """A variance is 0 if and only if the column is constant."""
    X[:, 2] = np.where(np.arange(500) % 2, size, np.nextafter(size, np.inf))
    weight = np.full(500, 1.0 / 500) if weighted else None
    _, coordinates, Z = read(X, weight, alpha=0.0, form=form)
    assert coordinates.scale[2] > 0.0
    assert 1.0 - 1e-15 <= Z[:, 2].std() <= 2.0  # it is a power of two


def test_an_empty_column_stays_out(X, form):
    X[:, 3] = 0.0
    for centred in (True, False):
        assert read(X, centred=centred, form=form)[1].scale[3] == 0.0


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("ratio", [1e3, 1e6, 1e10])
def test_columns_far_from_zero_keep_their_variance(rng, form, ratio, weighted):
    """Means of any number of deviations: the variance is that of the deviations, to their own digits."""
    X = rng.standard_normal((500, 20))
    X[:, 1] = ratio + np.round(X[:, 1] * 2.0**20) / 2.0**20  # deviations that survive the offset
    s = rng.random(500) if weighted else np.ones(500)
    s /= s.sum()
    exact = X[:, 1].astype(np.longdouble)
    exact = exact - s.astype(np.longdouble) @ exact
    variance = float(s @ np.square(exact))
    design, coordinates, Z = read(X, s if weighted else None, alpha=0.0, form=form)
    assert design.offset[1] == pytest.approx(ratio, rel=10.0 / ratio)
    assert coordinates.variance[1] == pytest.approx(variance * coordinates.scale[1] ** 2, rel=1e-6)
    np.testing.assert_allclose(
        Z[:, 1], exact.astype(float) * coordinates.scale[1], atol=4e-16 * ratio + 1e-14
    )


@pytest.mark.parametrize("size", [1e-160, 1e150])
def test_columns_whose_squares_are_not_finite(rng, X, form, size):
    X[:, 0] = size * rng.standard_normal(500)
    design, coordinates, Z = read(X, alpha=0.0, form=form)
    assert power_of_two(design.factor)
    assert design.factor[0] != 1.0
    assert 1.0 <= Z[:, 0].std() < 2.0
    assert coordinates.variance[0] == pytest.approx(Z[:, 0].var(), rel=1e-10)
    np.testing.assert_array_equal(design.factor[1:], 1.0)


def test_coordinates_do_not_depend_on_threads(rng, X, form):
    X[:, 4] += 1e5
    seen = [
        [v.tobytes() for v in (c.centre, c.scale, c.ridge, c.variance)]
        for c in (read(X, n_jobs=n_jobs, form=form)[1] for n_jobs in (1, 2))
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("weighted", [True, False])
def test_what_is_not_finite_is_found(X, form, value, weighted):
    X[7, 2] = value
    weight = np.full(500, 1.0 / 500) if weighted else None
    with pytest.raises(ValueError, match=r"X must be finite.*in 1 column\(s\), the first being \[2\]"):
        read(X, weight, form=form)


def test_coordinates_need_no_variance():
    assert Coordinates(np.zeros(2), np.ones(2), np.zeros(2)).variance is None


class Quartic(Loss):
    """A loss without a largest curvature."""

    name = "quartic"
    task = "regression"
    convex = True
    max_gradient = np.inf
    max_curvature = np.inf

    def value(self, t):
        return t**4

    def gradient(self, t):
        return 4.0 * t**3

    def curvature(self, t):
        return 12.0 * t**2


@pytest.mark.parametrize("size", [1e-12, 1e-20, 1e-50, 1e-150, 1e-160, 1e-300])
def test_a_ridge_hides_its_own_column_alone(rng, size):
    """Without a largest curvature, too: else the ridge of small numbers would swamp the whole Hessian."""
    X = rng.standard_normal((100, 3))
    y = X[:, 0] + X[:, 1] + 1.0
    X[:, 0] *= size
    coordinates = Objective(X, y, Quartic(), alpha=1e-4, fit_intercept=True).standardised.coordinates
    assert coordinates.ridge.max() <= 4.0
    model = GDNPRegressor(loss=Quartic(), alpha=1e-4).fit(X, y)
    assert model.certificate_.status is Status.CONVERGED
    without = GDNPRegressor(loss=Quartic(), alpha=1e-4).fit(X[:, 1:], y)
    assert model.certificate_.objective == pytest.approx(without.certificate_.objective, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-162, 1e-170, 1e-200, 1e-300, 1e-305, 1e150, 1e200, 1e300])
@pytest.mark.parametrize("alone", [True, False])
def test_columns_too_small_or_large_to_be_squared_count(rng, form, scale, alone):
    Z = rng.standard_normal((50, 3))
    y = np.where(Z.sum(axis=1) + rng.logistic(size=50) > 0.0, 1.0, -1.0)
    unit = np.full(3, scale) if alone else np.array([1.0, scale, 1.0])
    plain = GDNPClassifier(alpha=0.0).fit(Z, y)
    model = GDNPClassifier(alpha=0.0).fit(form(Z * unit), y)
    np.testing.assert_allclose(model.coef_ * unit, plain.coef_, rtol=1e-6)
    assert model.certificate_.objective == pytest.approx(plain.certificate_.objective, rel=1e-9)
    ridge = GDNPRegressor(alpha=0.0).fit(form(Z * unit), y)
    np.testing.assert_allclose(ridge.coef_ * unit, GDNPRegressor(alpha=0.0).fit(Z, y).coef_, rtol=1e-9)


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0, 4.0, 5.0]])
def test_a_tiny_constant_without_an_intercept_is_one(weight):
    """Its coefficient is that of an intercept, in its units."""
    y = [1, 0, 0, 0, 0]
    tiny = GDNPClassifier(alpha=0.0, fit_intercept=False).fit(
        np.full((5, 1), 1e-200), y, sample_weight=weight
    )
    one = GDNPClassifier(alpha=0.0, fit_intercept=False).fit(np.ones((5, 1)), y, sample_weight=weight)
    assert 1e-200 * tiny.coef_[0, 0] == pytest.approx(one.coef_[0, 0], rel=1e-7)
    share = 0.2 if weight is None else 1.0 / 15.0
    entropy = -share * np.log(share) - (1.0 - share) * np.log(1.0 - share)
    assert tiny.certificate_.objective == pytest.approx(entropy, rel=1e-9)


@pytest.mark.parametrize("kind", [GDNPClassifier, GDNPRegressor])
def test_coefficients_beyond_float64_are_refused(rng, kind):
    X, y = 1e-310 * rng.standard_normal((30, 2)), np.sign(rng.standard_normal(30))
    with pytest.raises(
        ValueError, match=r"coefficients must be finite.*2 column\(s\), the first being \[0, 1\]"
    ):
        kind(alpha=0.0).fit(X, y)
    assert np.isfinite(kind(alpha=1e-3).fit(X, y).coef_).all()


def test_grams_add_up_and_change_their_centre_and_unit(rng):
    """The parts of a Gram about 0 are its sum; its scatter about the mean is that of the rows."""
    X, c, unit = rng.standard_normal((50, 3)) + 1.0, rng.random(50), np.array([1.0, 2.0, 0.5])

    def of(rows):
        return Gram(c[rows].sum(), c[rows] @ X[rows], (X[rows].T * c[rows]) @ X[rows])

    found = (of(slice(0, 20)) + of(slice(20, 50))).rescaled(unit).central()
    Z = X * unit
    mean = c @ Z / c.sum()
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(found.scatter, ((Z - mean).T * c) @ (Z - mean), rtol=1e-11, atol=1e-11)
