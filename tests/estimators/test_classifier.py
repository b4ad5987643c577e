"""Several classes, their weights and their probabilities."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError

from gdnp import GDNPClassifier
from gdnp.solvers.state import Status
from problems import draw


@pytest.fixture(scope="module")
def data():
    return draw(np.random.default_rng(0))


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid"])
def test_one_against_the_rest_is_the_binary_fits(loss):
    X, y = load_iris(return_X_y=True)
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
    assert all(c.proved and c.status is Status.CONVERGED and c.gap <= 1e-8 for c in model.certificate_)


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
    """p = (1/(1 + e^-3), e^-60, e^-80) before they are normalised: the first is 1 - p to 1e-26."""
    model = GDNPClassifier(alpha=1.0).fit(np.arange(6.0)[:, None], [0, 1, 2, 0, 1, 2])
    model.coef_, model.intercept_ = np.zeros((3, 1)), np.array([3.0, -60.0, -80.0])
    first = -np.log1p(np.exp(-3.0))
    others = np.array([-60.0, -80.0]) - first
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
    np.testing.assert_allclose(model.coef_[1], two.coef_[0], rtol=1e-6)


@pytest.mark.parametrize("weights", [{0: 1e308, 1: 1e308}, {0: 1e-308, 1: 1e-308}])
def test_class_weights_of_any_size(rng, weights):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    plain = GDNPClassifier().fit(X, y)
    np.testing.assert_allclose(GDNPClassifier(class_weight=weights).fit(X, y).coef_, plain.coef_, rtol=1e-6)


def test_balanced_classes_of_which_one_weighs_nothing(rng):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    with pytest.raises(ValueError, match="in rows of positive weight"):
        GDNPClassifier(class_weight="balanced").fit(X, y, sample_weight=y)
