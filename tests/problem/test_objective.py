"""The objective against its definition, over losses, storage, weights, intercept, ridge and coordinates."""

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp.problem.objective as objective_module
from definition import FORMS, SCALES, Definition, any_scale, numeric_gradient, target_of
from designs import BACKENDS, shrink_blocks, whole_numbers
from gdnp import Objective, Status, minimize
from gdnp.design import Choice, DenseDesign
from gdnp.losses import LOSSES
from gdnp.problem.gram import covariance

N, D = 300, 5
CLOSE = 2e-14


@pytest.fixture
def data(rng):
    X = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.6) + np.array([0.0, 2.0, 0.0, -1.0, 0.0])
    return X, np.where(rng.random(N) < 0.4, 1.0, -1.0), rng.integers(0, 3, N).astype(float)


# Against the definition


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("center", "weighted", "alpha"), [(True, True, 0.3), (False, False, 0.0)])
def test_value_and_derivatives(data, rng, form, loss, center, weighted, alpha):
    X, y, s = data
    weight = s if weighted else None
    objective = Objective(
        FORMS[form](X), y, loss, alpha=alpha, center=center, fit_intercept=True, sample_weight=weight
    )
    f = Definition(X, y, LOSSES[loss], alpha, weight, center=center)
    coef, d = rng.standard_normal((2, D))
    x = np.append(coef, 0.4)
    point = objective.at(coef, 0.4)
    np.testing.assert_allclose(point.value, f.value(x), rtol=1e-13)
    found = np.append(point.gradient, point.intercept_gradient)
    np.testing.assert_allclose(found, f.gradient(x), atol=1e-13)
    np.testing.assert_allclose(found, numeric_gradient(f.value, x), atol=1e-8)

    line = point.line(d)
    t, c = 0.7, -0.2
    there = x + np.append(t * d, c)
    found, moved = line.expansion(t, c), line.point(t, c)
    across = np.stack([np.append(d, 0.0), np.eye(D + 1)[D]])
    np.testing.assert_allclose([found.value, moved.value], f.value(there), rtol=1e-13)
    np.testing.assert_allclose(found.gradient, across @ f.gradient(there), atol=1e-13)
    np.testing.assert_allclose(found.hessian, across @ f.hessian(there) @ across.T, atol=1e-13)
    h = 1e-5
    along_t = line.expansion(t + h, c).gradient - line.expansion(t - h, c).gradient
    along_c = line.expansion(t, c + h).gradient - line.expansion(t, c - h).gradient
    np.testing.assert_allclose(found.hessian, np.stack([along_t, along_c]) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(
        moved.gradient, objective.at(there[:D], there[D]).gradient, rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(moved.coef, there[:D])
    assert moved.intercept == pytest.approx(there[D])


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_design_is_the_same_function(rng, backend, monkeypatch):
    shrink_blocks(monkeypatch)
    X = whole_numbers(rng)[:, :5]
    y, s = np.where(rng.random(700) < 0.4, 1.0, -1.0), rng.random(700)
    objective = Objective(
        BACKENDS[backend](X, 2), y, alpha=0.1, fit_intercept=True, sample_weight=s
    ).standardised
    x = rng.standard_normal(6)
    coef, intercept = objective.raw(x)
    f = Definition(X, y, LOSSES["log_loss"], 0.1, s, center=False)
    assert objective.point(x).value == pytest.approx(f.value(np.append(coef, intercept)), rel=CLOSE)


# One function in two coordinates

CASES = [
    pytest.param(
        (loss, weighted, fit_intercept, center),
        id=f"{loss}-{weighted}-intercept={fit_intercept}-center={center}",
    )
    for loss in ("log_loss", "sigmoid", "pseudo_huber", "squared_error")
    for weighted in ("equal", "weighted")
    for fit_intercept in (True, False)
    for center in ((True,) if fit_intercept else (True, False))
]


@pytest.fixture(params=CASES)
def case(request):
    return request.param


def both(rng, form, loss, weighted, fit_intercept, center):
    """The objective in raw and in standardised coordinates, f by definition, and a point."""
    X, labels, targets, weight = any_scale(rng)
    weight, loss = weight if weighted == "weighted" else None, LOSSES[loss]
    y = target_of(loss, labels, targets)
    options = {"alpha": 0.01, "fit_intercept": fit_intercept, "center": center, "sample_weight": weight}
    raw = Objective(FORMS[form](X), y, loss, **options)
    x = np.append(rng.standard_normal(6) / np.sqrt(6), 0.3 if fit_intercept else 0.0)
    return raw, raw.standardised, Definition(X, y, loss, 0.01, weight, center=center), x


@pytest.mark.parametrize("form", FORMS)
def test_standardised_coordinates_are_the_same_function(rng, form, case):
    """Columns with scales from 1e-8 to 1e8 and with offsets: value, gradient and plane agree to rounding."""
    raw, standard, f, x = both(rng, form, *case)
    unit = standard.coordinates.scale * standard.design.factor
    coef, b = standard.raw(x)
    inner = raw.from_raw(coef, b)
    np.testing.assert_allclose(inner[:-1], unit * x[:-1], rtol=1e-15)
    if raw.fit_intercept:
        assert inner[-1] == pytest.approx(x[-1], abs=1e-13)
        assert raw.raw_intercept(inner[:-1], inner[-1]) == pytest.approx(b, rel=1e-14, abs=1e-13)

    a, z = raw.point(inner), standard.point(x)
    assert z.value == pytest.approx(a.value, rel=CLOSE)
    assert z.value == pytest.approx(f.value(inner), rel=CLOSE)
    by_chain_rule = np.append(unit * a.gradient, a.intercept_gradient)
    np.testing.assert_allclose(z.x_gradient, by_chain_rule, atol=CLOSE)
    expected = np.append(unit, 1.0 if raw.fit_intercept else 0.0) * f.gradient(inner)
    np.testing.assert_allclose(z.x_gradient, expected, atol=CLOSE)
    for name in ("mean_gradient", "mean_curvature", "length", "error"):
        assert getattr(z, name) == pytest.approx(getattr(a, name), rel=CLOSE, abs=CLOSE)
    assert z.separates == a.separates

    direction, steps = rng.standard_normal(6), np.array([[0.0, 0.0], [0.7, -0.2], [-1.5, 0.0]])
    line, plane = a.line(unit * direction), z.line(direction)
    np.testing.assert_allclose(plane.expand(steps), line.expand(steps), rtol=CLOSE, atol=CLOSE)
    moved = plane.point(0.7, -0.2 if raw.fit_intercept else 0.0)
    there = line.point(0.7, -0.2 if raw.fit_intercept else 0.0)
    assert moved.value == pytest.approx(there.value, rel=CLOSE)
    np.testing.assert_allclose(moved.gradient, unit * there.gradient, atol=CLOSE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["log_loss", "huber", "squared_error"])
def test_an_intercept_makes_up_for_the_centre(rng, form, loss):
    """With one, `center` says what γ is and not what is solved: codes of categories sum to its column."""
    codes = np.eye(4)[rng.integers(0, 4, 300)]
    X = np.column_stack((rng.standard_normal((300, 2)) + 3.0, codes))
    y = target_of(LOSSES[loss], np.sign(X[:, 0] - 3.0 + rng.logistic(size=300)), X[:, 0] + codes[:, 0])
    uncentred = Objective(FORMS[form](X), y, loss, fit_intercept=True, center=False)
    fits = [
        minimize(Objective(FORMS[form](X), y, loss, fit_intercept=True), "newton"),
        minimize(uncentred, "newton"),
    ]
    assert [fit.status for fit in fits] == 2 * [Status.CONVERGED]
    for fit in fits:
        at = uncentred.point(uncentred.from_raw(fit.coef, fit.intercept)).value
        assert at == pytest.approx(fits[0].objective, rel=1e-12)
    np.testing.assert_allclose(fits[1].coef, fits[0].coef, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_margins_are_those_of_raw_predictions(rng, form, case):
    """And ``from_raw`` undoes ``raw``, but for an intercept that is no variable."""
    raw, standard, f, x = both(rng, form, *case)
    X = f.Z[:, :-1] + f.mean
    for problem in (raw, standard):
        at = x if problem is standard else np.append(x[:-1] / SCALES, x[-1])
        coef, b = problem.raw(at)
        t = (f.base + f.sigma * (X @ coef + b)).astype(float)
        np.testing.assert_allclose(problem.point(at).margins, t, atol=1e-13)
        again = problem.from_raw(coef, b)
        np.testing.assert_allclose(again[:-1], at[:-1], rtol=1e-15)
        assert again[-1] == pytest.approx(at[-1], abs=1e-13)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [True, False])
def test_raw_coefficients_of_columns_far_from_zero(rng, form, weighted):
    """Offsets that are taken off the entries come back in the intercept; so do factors."""
    X = rng.integers(-100, 101, (N, 3)) * np.array([1.0, 2.0**-20, 2.0**-520])
    X[:, 1] += 1024.0
    y, s = np.where(rng.random(N) < 0.5, 1.0, -1.0), rng.random(N) if weighted else None
    raw = Objective(FORMS[form](X), y, alpha=1e-9, fit_intercept=True, sample_weight=s)
    standard, x = raw.standardised, np.array([0.3, -0.2, 0.1, 0.7])
    assert standard.design.offset[1] == pytest.approx(1024.0)
    coef, b = standard.raw(x)
    exact = X.astype(np.longdouble) @ coef.astype(np.longdouble) + np.longdouble(b)
    np.testing.assert_allclose(standard.point(x).margins, -y * exact.astype(float), atol=1e-8)
    np.testing.assert_allclose(standard.from_raw(coef, b), x, atol=1e-8)
    inner = raw.from_raw(coef, b)
    assert raw.raw_intercept(inner[:-1], inner[-1]) == pytest.approx(b, rel=1e-12)
    np.testing.assert_allclose(raw.raw(inner)[0], coef, rtol=1e-14)


def test_columns_without_variance_are_no_variables(rng):
    X = rng.standard_normal((60, 3))
    X[:, 1] = 7.0
    y = np.where(rng.random(60) < 0.5, 1.0, -1.0)
    standard = Objective(X, y, alpha=0.1, fit_intercept=True).standardised
    x = np.array([0.4, 5.0, -0.3, 0.2])
    coef, _ = standard.raw(x)
    assert coef[1] == 0.0
    assert standard.from_raw(np.ones(3), 0.0)[1] == 0.0
    moved = standard.point(x - [0.0, 5.0, 0.0, 0.0])
    np.testing.assert_array_equal(standard.point(x).margins, moved.margins)
    assert standard.point(x).x_gradient[1] == 5.0  # its ridge alone brings it to 0


def test_standardised_coordinates_are_shared_and_their_own(data):
    X, y, _ = data
    objective = Objective(X, y, alpha=0.1, fit_intercept=True)
    standard = objective.standardised
    assert objective.standardised is standard
    assert standard.standardised is standard
    assert standard.cost is objective.cost
    other = Objective.unchecked(
        objective.design, -y, None, LOSSES["log_loss"], 0.1, fit_intercept=True, shared=objective.shared
    )
    assert other.standardised.coordinates is standard.coordinates
    assert other.standardised.design is standard.design


def test_unchecked_parts_are_the_same_objective(data, rng):
    X, y, s = data
    objective = Objective(X, y, alpha=0.1, fit_intercept=True, sample_weight=s)
    same = Objective.unchecked(
        objective.design, y.copy(), s / s.sum(), objective.loss, 0.1, fit_intercept=True
    )
    coef = rng.standard_normal(D)
    assert same.center
    assert same.at(coef, 0.3).value == objective.at(coef, 0.3).value
    assert same.cost.passes == 1.0
    assert not Objective.unchecked(
        objective.design, y.copy(), None, objective.loss, 0.1, fit_intercept=False
    ).center


def test_another_loss_on_the_same_data(data, rng):
    X, y, s = data
    objective = Objective(X, y, "sigmoid", alpha=0.1, fit_intercept=True, sample_weight=s)
    x = rng.standard_normal(D + 1)
    for problem in (objective, objective.standardised):
        other = problem.with_loss(LOSSES["log_loss"])
        assert other.loss.name == "log_loss"
        assert problem.loss.name == "sigmoid"
        assert (other.coordinates, other.design, other.cost) == (
            problem.coordinates,
            problem.design,
            problem.cost,
        )
        coef, b = problem.raw(x)
        f = Definition(X, y, LOSSES["log_loss"], 0.1, s, center=False)
        assert other.point(x).value == pytest.approx(f.value(np.append(coef, b)), rel=CLOSE)
        np.testing.assert_array_equal(other.point(x).margins, problem.point(x).margins)


def test_standardised_coordinates_of_another_loss(rng):
    """In raw coordinates as before, with coordinates of unit curvature of its own beside them."""
    X, y, _, weight = any_scale(rng)
    options = {"alpha": 0.1, "fit_intercept": True, "sample_weight": weight}
    sigmoid = Objective(X, y, "sigmoid", **options)
    _ = sigmoid.standardised
    other, expected = sigmoid.with_loss(LOSSES["log_loss"]), Objective(X, y, "log_loss", **options)
    found, right = other.standardised, expected.standardised
    np.testing.assert_array_equal(found.coordinates.scale, right.coordinates.scale)
    x = rng.standard_normal(7)
    assert found.point(x).value == pytest.approx(right.point(x).value, rel=CLOSE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["log_loss", "pseudo_huber"])
def test_some_rows_with_weights_of_their_own(rng, form, loss):
    X, labels, targets, weight = any_scale(rng)
    loss = LOSSES[loss]
    y = target_of(loss, labels, targets)
    problem = Objective(
        FORMS[form](X), y, loss, alpha=0.1, fit_intercept=True, sample_weight=weight
    ).standardised
    index, x = np.sort(rng.integers(0, len(y), 50)), rng.standard_normal(7)
    own = rng.random(50)
    few = problem.on_rows(Choice(index, 50), own)
    part = problem.without_rows(0.25).of(few.design, few.sigma, few.base, own)
    assert few.point(x).value < part.point(x).value
    whole = problem.point(x)
    found = part.point(x)
    np.testing.assert_allclose(found.margins, whole.margins[index], rtol=1e-13, atol=1e-13)
    ridge = problem.coordinates.ridge + 0.25
    expected = own @ loss.value(whole.margins[index]) + 0.5 * ridge @ np.square(x[:-1])
    assert found.value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(
        found.x_gradient, numeric_gradient(lambda x: part.point(x).value, x), atol=1e-7
    )
    assert part.standardised is part
    assert (part.n_samples, part.loss, part.fit_intercept) == (50, loss, True)
    assert part.cost is not problem.cost
    np.testing.assert_array_equal(part.raw(x)[0], problem.raw(x)[0])


def test_moments_of_some_rows_are_theirs(rng):
    X, y, _, _ = any_scale(rng)
    problem = Objective(X, y, alpha=0.1, fit_intercept=True)
    index = np.arange(0, len(y), 2)
    part = problem.on_rows(Choice(index, len(index)), np.full(len(index), 1.0 / len(index)))
    Z = X[index] - X[index].mean(axis=0)
    np.testing.assert_allclose(part.covariance.S, Z.T @ Z / len(index), rtol=1e-9, atol=1e-30)
    np.testing.assert_allclose(part.u, -y[index] @ Z / len(index), rtol=1e-9, atol=1e-20)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("alphas", [(0.1, 1e-5), (1e-5, 10.0), (0.1, 0.0), (0.0, 0.1)])
def test_another_ridge_is_another_problem_on_the_same_rows(rng, form, alphas):
    """Its standard coordinates, and what was made in them, follow without a pass where both have a ridge."""
    X, y, _, weight = any_scale(rng)
    options = {"fit_intercept": True, "sample_weight": weight}
    first = Objective(FORMS[form](X), y, alpha=alphas[0], **options)
    known = covariance(first.standardised)
    expected = Objective(FORMS[form](X), y, alpha=alphas[1], **options)
    passes = first.cost.passes
    other = first.with_alpha(alphas[1])
    np.testing.assert_array_equal(
        other.standardised.coordinates.scale, expected.standardised.coordinates.scale
    )
    np.testing.assert_allclose(
        other.standardised.coordinates.ridge, expected.standardised.coordinates.ridge, rtol=1e-13
    )
    if min(alphas) > 0.0:
        assert first.cost.passes == passes
        S = other.shared.covariance
        assert S is not None
        np.testing.assert_allclose(
            S.scatter, covariance(expected.standardised).scatter, rtol=1e-9, atol=1e-14
        )
    x = rng.standard_normal(len(other.standardised.coordinates.scale) + 1)
    assert other.standardised.point(x).value == pytest.approx(expected.standardised.point(x).value, rel=1e-12)
    assert (first.alpha, other.alpha, known is first.standardised.shared.covariance) == (*alphas, True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["log_loss", "pseudo_huber"])
def test_some_rows_in_coordinates_of_their_own_or_beside_all(rng, form, loss):
    X, labels, targets, weight = any_scale(rng)
    loss = LOSSES[loss]
    y, index = target_of(loss, labels, targets), np.arange(0, len(labels), 2)
    whole = Objective(FORMS[form](X), y, loss, alpha=0.1, fit_intercept=True, sample_weight=weight)
    mass = whole.weight[index]
    few = whole.restricted(Choice(index, len(index)), mass / mass.sum())
    expected = Objective(
        FORMS[form](X[index]), y[index], loss, alpha=0.1, fit_intercept=True, sample_weight=mass
    )
    x = rng.standard_normal(7)
    assert few.standardised.point(x).value == pytest.approx(expected.standardised.point(x).value, rel=CLOSE)
    standard = whole.with_alpha(0.01).standardised
    beside = few.beside(standard, float(mass.sum()))
    np.testing.assert_array_equal(beside.coordinates.scale, standard.coordinates.scale)
    point, ridge = standard.point(x), standard.coordinates.ridge
    risk = (mass / mass.sum()) @ loss.value(point.margins[index])
    assert beside.point(x).value == pytest.approx(risk + 0.5 * ridge @ np.square(x[:-1]), rel=CLOSE)
    coef, b = standard.raw(x)
    np.testing.assert_allclose(beside.raw(x)[0], coef, rtol=1e-14)
    assert beside.raw(x)[1] == pytest.approx(b)
    Z = beside.design.block(0).dense(0, len(index)) - beside.coordinates.centre
    spread = (mass / mass.sum()) @ np.square(Z * beside.coordinates.scale)
    assert (spread <= beside.coordinates.variance * (1.0 + 1e-9) + 1e-25).all()


# Moments, Eq. 1


@pytest.mark.parametrize("center", [True, False])
def test_moments_of_equation_1(data, center):
    X, y, _ = data
    objective = Objective(X, y, center=center)
    z = X - X.mean(axis=0) if center else X
    np.testing.assert_allclose(objective.u, np.mean(-y[:, None] * z, axis=0), atol=1e-14)
    np.testing.assert_allclose(objective.covariance.S, z.T @ z / N, atol=1e-13)
    regression = Objective(X, 3.0 * y + 1.0, "squared_error", center=center)
    np.testing.assert_allclose(regression.u, -(3.0 * y + 1.0) @ z / N, atol=1e-13)


def test_norm_in_S_is_matrix_free(data, rng):
    """Eq. 7: wᵀSw is the mean square of the centred predictions."""
    X, y, _ = data
    objective = Objective(X, y)
    w = rng.standard_normal(D)
    predictions = -y * objective.origin.line(w).first.slope
    np.testing.assert_allclose(np.mean(predictions**2), objective.covariance.norm(w) ** 2, rtol=1e-12)
    np.testing.assert_allclose(objective._covariance_product(w), objective.covariance.apply(w), rtol=1e-10)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_wide_data_never_forms_S(data, monkeypatch, center, weighted):
    X, y, s = data
    options = {"sample_weight": s if weighted else None, "center": center}
    expected = Objective(X, y, **options).covariance
    monkeypatch.setattr(objective_module, "LARGEST_GRAM", D - 1)
    objective = Objective(X, y, **options)
    v = np.arange(1.0, D + 1)
    assert objective.gram_passes == 0.0
    np.testing.assert_allclose(objective.covariance.apply(v), expected.apply(v), rtol=1e-12)
    np.testing.assert_allclose(objective.covariance.diagonal, expected.diagonal, rtol=1e-12)
    np.testing.assert_allclose(objective.covariance.dual_norm(v), expected.dual_norm(v), rtol=1e-6)
    np.testing.assert_allclose(objective.covariance.largest, expected.largest, rtol=1e-3)
    assert objective.cost.passes > 0.0


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_weights_are_repeated_rows(data, rng, loss):
    X, y, s = data
    weighted = Objective(X, y, loss, alpha=0.1, sample_weight=s)
    repeated = Objective(np.repeat(X, s.astype(int), axis=0), np.repeat(y, s.astype(int)), loss, alpha=0.1)
    coef = rng.standard_normal(D)
    a, b = weighted.at(coef), repeated.at(coef)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-12)
    np.testing.assert_allclose(a.gradient, b.gradient, atol=1e-13)
    np.testing.assert_allclose(
        [a.mean_gradient, a.mean_curvature], [b.mean_gradient, b.mean_curvature], rtol=1e-12
    )
    np.testing.assert_allclose(weighted.covariance.S, repeated.covariance.S, atol=1e-13)


def test_float32_is_read_exactly(data, rng):
    X, y, _ = data
    coef = rng.standard_normal(D)
    single = X.astype(np.float32)
    a, b = Objective(single, y).at(coef), Objective(single.astype(np.float64), y).at(coef)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-14)
    np.testing.assert_allclose(a.value, Objective(X, y).at(coef).value, rtol=1e-6)
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=1e-10)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads_do_not_change_a_bit(data, rng, monkeypatch, n_jobs):
    shrink_blocks(monkeypatch)
    X, y, s = data
    coef = rng.standard_normal(D)
    for standard in (False, True):
        problems = [Objective(X, y, sample_weight=s, n_jobs=jobs) for jobs in (1, n_jobs)]
        if standard:
            problems = [problem.standardised for problem in problems]
        one, many = problems
        a, b = one.point(np.append(coef, 0.0)), many.point(np.append(coef, 0.0))
        assert (a.value, a.mean_curvature, a.length) == (b.value, b.mean_curvature, b.length)
        assert a.gradient.tobytes() == b.gradient.tobytes()
        assert one.covariance.S.tobytes() == many.covariance.S.tobytes()
        assert a.line(coef).expand([[0.5, 0.1]]).tobytes() == b.line(coef).expand([[0.5, 0.1]]).tobytes()


@pytest.mark.parametrize("standard", [False, True])
def test_columns_far_from_zero_are_centred_before_products(rng, standard):
    """Offsets of 1e3 beside scales of 1e-8: predictions keep ten digits more than Xw - E[x]w has."""
    Z = rng.integers(-100, 100, (N, 3)).astype(float)  # exact beside the offsets
    y = np.where(rng.random(N) < 0.5, 1.0, -1.0)
    scale = np.array([2.0**-27, 1.0, 1.0])
    X = Z * scale + np.array([1024.0, 0.0, 7.0])
    coef = rng.standard_normal(3)
    objective = Objective(X, y)
    assert isinstance(objective.design, DenseDesign)
    np.testing.assert_allclose(objective.column_mean, X.mean(axis=0), rtol=1e-12, atol=1e-13)
    if standard:
        objective = objective.standardised
    point = objective.at(coef / scale / objective.coordinates.scale)
    expected = Objective(Z, y).at(coef)
    np.testing.assert_allclose(point.value, expected.value, rtol=1e-13)
    np.testing.assert_allclose(point.margins, expected.margins, atol=1e-11)
    naive_eta = X @ (coef / scale) - X.mean(axis=0) @ (coef / scale)
    assert np.abs(naive_eta - (Z - Z.mean(axis=0)) @ coef).max() > 1e-6


# Constants and bounds


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [True, False])
def test_the_constant_prediction(data, loss, weighted):
    X, y, s = data
    loss = LOSSES[loss]
    y = y if loss.task == "classification" else 3.0 * y + 1.0
    weight = s if weighted else None
    for problem in (
        Objective(X, y, loss, fit_intercept=True, sample_weight=weight),
        Objective(X, y, loss, fit_intercept=True, sample_weight=weight).standardised,
    ):
        before = problem.cost.passes
        point, passes = problem.constant, problem.cost.passes
        assert not point.coef.any()
        mean = np.average(y, weights=weight)
        assert point.intercept == pytest.approx(loss.constant(mean), rel=1e-12)
        if loss.name in ("log_loss", "squared_error"):
            assert point.intercept_gradient == pytest.approx(0.0, abs=1e-14)  # it is the best one
        assert problem.point(point.x).value == pytest.approx(point.value, rel=1e-13)
        np.testing.assert_allclose(problem.point(point.x).margins, point.margins, atol=1e-13)
        assert passes == before  # of standardising: the constant itself takes none


def test_without_an_intercept_the_constant_is_the_origin(data):
    X, y, _ = data
    for loss in ("log_loss", "squared_error"):
        problem = Objective(X, y, loss)
        assert not problem.constant.x.any()
        np.testing.assert_array_equal(problem.constant.margins, np.broadcast_to(problem.origin.margins, N))
        assert problem.constant.value == problem.origin.value
        assert problem.at(np.zeros(D)).value == pytest.approx(problem.origin.value, rel=1e-15)


def test_longest_length():
    X, y = np.eye(40), np.where(np.arange(40) % 2, 1.0, -1.0)
    assert Objective(X, y).length_cap == 1e6
    assert Objective(X, y, "sigmoid").length_cap == 10.0
    many = Objective(np.repeat(X[:, :2], 100, axis=0), np.repeat(y, 100), "sigmoid")
    assert many.length_cap == pytest.approx(0.2 * 4000 / 2)


def test_a_ridge_is_one_on_live_columns(rng):
    y = np.where(rng.random(30) < 0.5, 1.0, -1.0)
    X = rng.standard_normal((30, 2))
    assert Objective(X, y, alpha=0.1).standardised.has_ridge
    assert not Objective(X, y).standardised.has_ridge
    assert not Objective(np.ones((30, 2)), y, alpha=0.1).standardised.has_ridge


def test_stein_coefficients_are_those_of_gaussian_data(rng):
    """∇f = c₁ u + c₂ S w̃ up to the noise of a sample, in both tasks."""
    n = 200_000
    X = rng.standard_normal((n, 3)) * [1.0, 2.0, 0.5]
    eta = X @ [0.5, -0.2, 0.3] + rng.standard_normal(n)
    for loss, y in (("log_loss", None), ("pseudo_huber", eta)):
        if y is None:  # Assumption 2: -y x is Gaussian
            y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
            Z = -y[:, None] * (X + np.array([0.3, 0.1, -0.2]))
            problem = Objective(Z, y, loss, center=False)
        else:
            problem = Objective(X, y, loss)
        point = problem.at(np.array([0.4, 0.1, -0.3]))
        c1 = problem.stein_coefficient(point)
        expected = c1 * problem.u + point.mean_curvature * problem.covariance.apply(point.coef)
        np.testing.assert_allclose(point.gradient, expected, atol=12.0 / np.sqrt(n))


# Bad input

X_OK, Y_OK = np.arange(8.0).reshape(4, 2), np.array([1.0, -1.0, 1.0, -1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y_OK[:3]}, r"y must have one entry per row of X, shape \(4,\). Got shape \(3,\)"),
        ({"y": Y_OK[:, None]}, r"Got shape \(4, 1\)"),
        ({"y": [1.0, np.nan, 1.0, -1.0]}, "y must be finite"),
        ({"y": ["a", "b", "a", "b"], "loss": "squared_error"}, "y must hold numbers. Got dtype <U1"),
        ({"y": [0, 1, 0, 2]}, r"two labels for log_loss. Got 3: 0.0, 1.0, 2.0; keep two"),
        ({"fit_intercept": "False"}, "fit_intercept must be True or False. Got 'False'"),
        ({"n_jobs": "2"}, "n_jobs must be a positive whole number.* Got '2'"),
        ({"y": np.ones(4)}, "rows of both classes for log_loss. Got 1 alone"),
        ({"sample_weight": [1.0, 0.0, 2.0, 0.0]}, "rows of both classes"),
        ({"sample_weight": [1.0, -1.0, 1.0, 1.0]}, "non-negative with a positive sum. Got minimum -1"),
        ({"sample_weight": np.zeros(4)}, "positive sum"),
        ({"sample_weight": np.ones(3)}, r"one entry per row, \(4,\). Got shape \(3,\)"),
        ({"alpha": -1.0}, "alpha must be finite and non-negative. Got -1.0"),
        ({"alpha": np.nan}, "Got nan"),
        ({"loss": "logistic"}, "loss must be one of"),
        ({"X": np.array([[1.0, np.inf]] * 4)}, r"NaN or infinity in 1 column\(s\), the first being \[1\]"),
        ({"X": np.arange(4.0)}, "two dimensions"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        Objective(**{"X": X_OK, "y": Y_OK, **arguments})
    assert "\n" not in str(caught.value)


def test_coef_of_the_wrong_length():
    with pytest.raises(ValueError, match=r"one entry per column of X, 2. Got \(3,\)"):
        Objective(X_OK, Y_OK).at(np.ones(3))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_standardising_finds_what_is_not_finite(form):
    X = X_OK.copy()
    X[2, 1] = np.nan
    objective = Objective.unchecked(
        BACKENDS["c_order"](X) if form is np.asarray else objective_module.as_design(form(X)),
        Y_OK.copy(),
        None,
        LOSSES["log_loss"],
        0.1,
        fit_intercept=True,
    )
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 column\(s\), the first being \[1\]"):
        _ = objective.standardised
