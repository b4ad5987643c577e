"""Several classes, their weights and their probabilities."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from gdnp import GDNPClassifier, GDNPClassifierCV
from gdnp.solvers.state import Status
from problems import draw


@pytest.fixture(scope="module")
def data():
    return draw(np.random.default_rng(0))


def test_one_against_the_rest_is_the_binary_fits():
    loss, (X, y) = "sigmoid", load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = GDNPClassifier(loss, alpha=1e-2).fit(X, names)
    for k, name in enumerate(model.classes_):
        single = GDNPClassifier(loss, alpha=1e-2).fit(X, names == name)
        # No line has versicolor on one side: its coefficients go to 0 as far as `tol` asks.
        np.testing.assert_allclose(model.coef_[k], single.coef_[0], rtol=1e-4, atol=1e-5)
        assert model.length_[k] == pytest.approx(single.length_, rel=1e-4, abs=1e-5)
        expected = single.certificate_.objective
        assert model.certificate_[k].objective == pytest.approx(expected, rel=2e-8)
    assert model.direction_.shape == model.coef_.shape
    np.testing.assert_allclose(model.length_[:, None] * model.direction_, model.coef_, atol=1e-15)
    assert len(model.certificate_) == 3
    assert set(model.history_["class"]) == set(names)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_digits_converge_raw_and_proved():
    X, y = load_digits(return_X_y=True)
    model = GDNPClassifier(alpha=1.0 / len(y)).fit(X, y)
    known = model.certificate_
    assert known.proved
    assert known.status is Status.CONVERGED
    assert known.gap <= 1e-8


CASES = {
    "dense": {},
    "sparse": {"kind": sp.csr_array},
    "columns": {"kind": sp.csc_array},
    "no intercept": {"fit_intercept": False},
    "weights": {"weighted": True},
    "balanced": {"class_weight": "balanced"},
    "weak ridge": {"alpha": 1e-7},
    "strong ridge": {"alpha": 10.0},
}


def classes(rng, n=240, d=4, K=4):
    X = rng.standard_normal((n, d)) * [1.0, 3.0, 0.2, 1.0] + [0.0, 5.0, 0.0, -1.0]
    y = np.append(
        np.arange(K), (X @ rng.standard_normal((d, K)) + rng.gumbel(size=(n, K))).argmax(axis=1)[K:]
    )
    return X, y


@pytest.mark.parametrize("case", CASES)
def test_the_log_loss_of_several_classes_is_that_of_logistic_regression(rng, case):
    options = {"alpha": 1e-2, **CASES[case]}
    X, y = classes(rng)
    names = np.array(["d", "a", "c", "b"])[y]
    kind, weight = (
        options.pop("kind", np.asarray),
        rng.random(240) if options.pop("weighted", False) else None,
    )
    model = GDNPClassifier(tol=1e-12, **options).fit(kind(X), names, sample_weight=weight)
    total = 240.0 if weight is None else weight.sum()
    if "class_weight" in options:  # the sum of weights stays
        total = 240.0
    C = 1.0 / (total * options.pop("alpha"))
    peer = LogisticRegression(C=C, tol=1e-12, solver="newton-cholesky", max_iter=1000, **options)
    peer.fit(X, names, sample_weight=weight)
    np.testing.assert_allclose(model.coef_, peer.coef_, rtol=1e-5, atol=1e-6)
    if model.fit_intercept:
        b = peer.intercept_ - peer.intercept_.mean()
        np.testing.assert_allclose(model.intercept_, b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(model.predict(X), peer.predict(X))
    assert model.certificate_.proved
    assert model.certificate_.gap <= 1e-12


def test_what_a_fit_of_several_classes_has(rng):
    X, y = classes(rng)
    model = GDNPClassifier(alpha=1e-2).fit(X, y)
    assert model.coef_.shape == model.direction_.shape == (4, 4)
    assert model.intercept_.shape == model.length_.shape == (4,)
    np.testing.assert_allclose(model.coef_.sum(axis=0), 0.0, atol=1e-14)
    assert model.intercept_.sum() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(model.length_, model.decision_function(X).std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(model.length_[:, None] * model.direction_, model.coef_, atol=1e-14)
    assert set(model.history_) == {"passes", "seconds", "objective", "gradient_norm"}
    assert len(model.history_["passes"]) == model.n_iter_ + 1
    log_p = model.predict_log_proba(X)
    risk = -log_p[np.arange(240), y].mean() + 0.5e-2 * np.square(model.coef_).sum()
    assert model.certificate_.objective == pytest.approx(risk, rel=1e-12)
    assert model.certificate_.zero_one_error == pytest.approx(1.0 - model.score(X, y))


def test_classes_in_another_order_are_the_same_fit(rng):
    X, y = classes(rng)
    model = GDNPClassifier(alpha=1e-3, tol=1e-12).fit(X, y)
    order = np.array([2, 0, 3, 1])
    other = GDNPClassifier(alpha=1e-3, tol=1e-12).fit(X, order[y])
    np.testing.assert_allclose(other.coef_[order], model.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(other.length_[order], model.length_, rtol=1e-6)


def test_one_against_the_rest_of_the_log_loss_is_another_estimator(rng):
    X, y = classes(rng)
    rest = OneVsRestClassifier(GDNPClassifier(alpha=1e-2)).fit(X, y)
    for k, single in enumerate(rest.estimators_):
        alone = GDNPClassifier(alpha=1e-2).fit(X, y == k)
        np.testing.assert_allclose(single.coef_, alone.coef_, rtol=1e-4)
        assert single.certificate_.proved


def test_a_class_of_one_row_and_many_classes(rng):
    X, y = classes(rng)
    y[0] = 7
    assert GDNPClassifier(alpha=1e-3).fit(X, y).certificate_.proved
    X, y = rng.standard_normal((400, 6)), np.arange(400) % 200
    model = GDNPClassifier(alpha=1e-3).fit(X, y)
    assert model.certificate_.proved
    assert model.coef_.shape == (200, 6)


def test_float32_has_the_certificate_of_its_own_coefficients(rng):
    X, y = classes(rng)
    model = GDNPClassifier(alpha=1e-2).fit(X.astype(np.float32), y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    best = GDNPClassifier(alpha=1e-2, tol=1e-13).fit(X.astype(np.float32).astype(float), y)
    W, b = model.coef_.astype(float), model.intercept_.astype(float)
    scores = X.astype(np.float32).astype(float) @ W.T + b
    f = (np.logaddexp.reduce(scores, axis=1) - scores[np.arange(240), y]).mean() + 0.5e-2 * np.square(W).sum()
    assert f - best.certificate_.objective <= model.certificate_.gap * f


@pytest.mark.parametrize("solver", ["gd", "agd", "gdnp", "gdnp_metric", "batch_norm_gd", "weight_norm_gd"])
def test_methods_of_one_direction_refuse_several_classes(rng, solver):
    X, y = classes(rng)
    expected = f"Only binary classification is supported by solver='{solver}'.*OneVsRestClassifier"
    with pytest.raises(ValueError, match=expected):
        GDNPClassifier(solver=solver).fit(X, y)
    rest = OneVsRestClassifier(GDNPClassifier(alpha=1.0, solver=solver, tol=1e-3)).fit(X, y)
    assert rest.score(X, y) > 0.4


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "probit"])
def test_probabilities_follow_scores(data, loss):
    X, y = data
    model = GDNPClassifier(loss, alpha=1e-2).fit(X, y)
    scores, p = model.decision_function(X), model.predict_proba(X)
    assert ((p[:, 1] > 0.5) == (scores > 0.0)).all()
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p)
    if loss != "probit":
        np.testing.assert_allclose(p[:, 1], 1.0 / (1.0 + np.exp(-scores)))


def test_probabilities_of_several_classes_sum_to_one_however_small():
    """Scores so low that every class has probability 0 are worth the same."""
    model = GDNPClassifier().fit(np.arange(6.0)[:, None], [0, 1, 2, 0, 1, 2])
    model.coef_, model.intercept_ = np.zeros((3, 1)), np.full(3, -1e4)
    np.testing.assert_array_equal(model.predict_proba([[1.0]]), np.full((1, 3), 1.0 / 3.0))


LOSSES_OF_CLASSES = ["log_loss", "sigmoid", "probit"]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("loss", LOSSES_OF_CLASSES)
def test_the_largest_probability_is_that_of_the_class_predicted(rng, loss, classes, kind):
    """However many probabilities round to 1, 0 or 1/2, and where scores tie."""
    model = GDNPClassifier(loss, alpha=1.0).fit(rng.standard_normal((80, 3)), np.arange(80) % classes)
    rows = classes if classes > 2 else 1
    for scale in (0.0, 1e-20, 1e-8, 1.0, 40.0, 1e3):
        model.coef_ = np.round(2.0 * rng.standard_normal((rows, 3))).astype(kind) * kind(scale)
        model.intercept_ = np.round(rng.standard_normal(rows)).astype(kind) * kind(scale)
        Z = np.round(rng.standard_normal((400, 3)) * 2.0).astype(kind)
        p, predicted = model.predict_proba(Z), model.predict(Z)
        assert p.dtype == kind
        np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], predicted)
        np.testing.assert_array_equal(model.classes_[model.predict_log_proba(Z).argmax(axis=1)], predicted)
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=4 * classes * np.finfo(kind).eps)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(Z)), p, rtol=1e-4, atol=1e-37)


@pytest.mark.parametrize(
    "score", [-2000.0, -700.0, -40.0, -3.0, -1e-9, 0.0, 1e-9, 3.0, 37.0, 40.0, 700.0, 2000.0]
)
@pytest.mark.parametrize("loss", LOSSES_OF_CLASSES)
def test_logarithms_of_probabilities_are_exact_in_both_tails(loss, score):
    mpmath = pytest.importorskip("mpmath")
    model = GDNPClassifier(loss, alpha=1.0).fit([[-1.0], [0.5], [1.0], [0.0]], [0, 0, 1, 1])
    model.coef_, model.intercept_ = np.ones((1, 1)), np.zeros(1)
    with mpmath.workdps(50):
        s = mpmath.mpf(score)
        ends = [
            mpmath.erfc(t / mpmath.sqrt(2)) / 2 if loss == "probit" else 1 / (1 + mpmath.exp(t))
            for t in (s, -s)
        ]
        expected = [float(mpmath.log(p) if p < 0.5 else mpmath.log1p(-q)) for p, q in (ends, ends[::-1])]
    np.testing.assert_allclose(model.predict_log_proba([[score]])[0], expected, rtol=1e-13, atol=1e-300)


def test_logarithms_of_several_probabilities_keep_their_digits():
    """The first is 1 to 1e-27, and its logarithm minus the sum of the others."""
    model = GDNPClassifier(alpha=1.0).fit(np.arange(6.0)[:, None], [0, 1, 2, 0, 1, 2])
    model.coef_, model.intercept_ = np.zeros((3, 1)), np.array([3.0, -60.0, -80.0])
    others = np.array([-63.0, -83.0])
    expected = [-np.exp(others).sum(), *others]
    np.testing.assert_allclose(model.predict_log_proba([[0.0]])[0], expected, rtol=1e-14)


def test_coefficients_may_be_held_sparse(data):
    X, y = data
    model = GDNPClassifier(alpha=1e-2, warm_start=True).fit(X, y)
    p, coef = model.predict_proba(X), model.coef_
    assert sp.issparse(model.sparsify().coef_)
    for form in (np.asarray, sp.csr_array):
        np.testing.assert_allclose(model.predict_proba(form(X)), p, rtol=1e-12)
    np.testing.assert_array_equal(model.densify().coef_, coef)
    assert model.densify() is model
    assert model.sparsify().fit(X, y).n_iter_ <= 2  # goes on from them
    with pytest.raises(NotFittedError):
        GDNPClassifier().sparsify()


def test_labels_that_look_like_numbers_are_warned_of():
    """As scikit-learn does, where more than half of the rows have a class of their own."""
    X = np.random.default_rng(0).standard_normal((30, 2))
    with pytest.warns(UserWarning, match="number of unique classes is greater than 50%"):
        GDNPClassifier(alpha=1.0).fit(X, np.arange(30))
    GDNPClassifier(alpha=1.0).fit(X, np.arange(30) // 2)


@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"], [-1.0, 7.0], [False, True], [2, 1 << 40]])
def test_labels_of_any_kind_come_back(data, labels):
    X, y = data
    named = np.array(labels)[(y > 0.0).astype(int)]
    model = GDNPClassifier().fit(X, named)
    np.testing.assert_array_equal(model.classes_, labels)
    assert model.classes_.dtype == named.dtype
    assert np.mean(model.predict(X) == named) > 0.8


def test_class_weight_is_sample_weight(data):
    X, y = data
    weighted = GDNPClassifier(alpha=1e-2, class_weight={-1.0: 1.0, 1.0: 5.0}).fit(X, y)
    sampled = GDNPClassifier(alpha=1e-2).fit(X, y, sample_weight=np.where(y > 0, 5.0, 1.0))
    np.testing.assert_allclose(weighted.coef_, sampled.coef_, rtol=1e-5)
    assert GDNPClassifier(class_weight="balanced").fit(X, y).certificate_.status is Status.CONVERGED


def test_balanced_weights_count_the_classes_that_have_rows(rng):
    X, y = rng.standard_normal((90, 2)), np.arange(90) % 3
    weight = (y != 2) * rng.integers(1, 3, 90).astype(float)
    model = GDNPClassifier(class_weight="balanced", alpha=0.1).fit(X, y, weight)
    two = GDNPClassifier(class_weight="balanced", alpha=0.1).fit(X[y != 2], y[y != 2], weight[y != 2])
    np.testing.assert_allclose(model.coef_, two.coef_, rtol=1e-4)


@pytest.mark.parametrize("weights", [{0: 1e308, 1: 1e308}, {0: 1e-308, 1: 1e-308}])
def test_class_weights_of_any_size(rng, weights):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    plain = GDNPClassifier().fit(X, y)
    np.testing.assert_allclose(GDNPClassifier(class_weight=weights).fit(X, y).coef_, plain.coef_, rtol=1e-6)


def test_balanced_classes_of_which_one_weighs_nothing(rng):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    with pytest.raises(ValueError, match="in rows of positive weight"):
        GDNPClassifier(class_weight="balanced").fit(X, y, sample_weight=y)


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid"])
@pytest.mark.parametrize("none", [0, 3])
def test_a_class_that_no_row_counts_for_is_none(rng, loss, none):
    """Left out by the weights of rows, or by that of the class: as if its rows were not there."""
    X, y = rng.standard_normal((120, 3)), rng.integers(0, 4, 120)
    rest = GDNPClassifier(loss, alpha=0.1).fit(X[y != none], y[y != none])
    for model, weight in (
        (GDNPClassifier(loss, alpha=0.1), (y != none) * 2.0),
        (GDNPClassifier(loss, alpha=0.1, class_weight={k: float(k != none) for k in range(4)}), None),
    ):
        model.fit(X, y, weight)
        np.testing.assert_array_equal(model.classes_, rest.classes_)
        np.testing.assert_allclose(model.coef_, rest.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("none", [0, 3])
def test_a_class_that_counts_for_nothing_has_no_score(rng, none):
    X, y = rng.standard_normal((120, 3)), rng.integers(0, 4, 120)
    folds = [(np.arange(60), np.arange(60, 120)), (np.arange(60, 120), np.arange(60))]
    weights = {k: float(k != none) for k in range(4)}
    found = GDNPClassifierCV(alphas=[0.1], cv=folds, class_weight=weights).fit(X, y)
    train, test = (np.intersect1d(rows, np.flatnonzero(y != none)) for rows in folds[0])
    model = GDNPClassifier(alpha=0.1).fit(X[train], y[train])
    p = model.predict_log_proba(X[test])[np.arange(len(test)), np.searchsorted(model.classes_, y[test])]
    assert found.scores_[0, 0] == pytest.approx(p.mean(), rel=1e-6)
