"""The estimators keep scikit-learn's contract, and refuse bad input in one sentence."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

import gdnp
from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.losses import LOSSES, LogLoss
from gdnp.models import load_model, save_model
from gdnp.solvers.state import Status
from problems import draw, estimator, value_of

ALL = [
    (GDNPClassifier if loss.task == "classification" else GDNPRegressor)(name)
    for name, loss in LOSSES.items()
]
WITHOUT_A_RIDGE = [GDNPRegressor(loss, alpha=0.0) for loss in ("squared_error", "pseudo_huber")]


@pytest.fixture(scope="module")
def data():
    return draw(np.random.default_rng(0))


@pytest.fixture(scope="module")
def model(data):
    return GDNPClassifier(loss=LOSSES["log_loss"]).fit(*data)


@pytest.mark.filterwarnings("ignore")  # of scikit-learn's own, on the data it makes
@parametrize_with_checks(ALL + WITHOUT_A_RIDGE)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_direction_has_unit_variance(data, rng):
    X, y = data
    s = rng.random(len(y))
    model = GDNPClassifier(alpha=1e-2).fit(X, y, sample_weight=s)
    eta = X @ model.direction_
    assert np.average((eta - np.average(eta, weights=s)) ** 2, weights=s) == pytest.approx(1.0)


def test_pickle_and_clone(data, model):
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))
    assert again.certificate_ == model.certificate_
    assert clone(model).get_params() == model.get_params()


def test_skops_saves_a_model_and_its_certificate(data, model):
    skops = pytest.importorskip("skops.io")
    saved = skops.dumps(model)
    again = skops.loads(saved, trusted=skops.get_untrusted_types(data=saved))
    assert again.certificate_ == model.certificate_
    np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))


def test_data_frames(data):
    pd = pytest.importorskip("pandas")
    X, y = data
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(8)])
    model = GDNPClassifier().fit(frame, pd.Series(y).map({-1.0: "no", 1.0: "yes"}))
    assert list(model.feature_names_in_) == list(frame.columns)
    assert set(model.predict(frame)) == {"no", "yes"}


def test_verbose_prints_progress_on_stderr(data, capsys):
    model = GDNPClassifier(verbose=1).fit(*data)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == model.n_iter_ + 1
    assert "objective" in err


@pytest.mark.parametrize("bad", ["NaN", "one class", "weights", "parameter", "labels"])
def test_a_fit_that_fails_changes_nothing(data, bad):
    X, y = data
    other = np.array(["u", "v", "w"])[np.arange(len(X)) % 3]
    wide = np.column_stack([X, X])
    wide[3, 1] = np.nan if bad == "NaN" else 0.0
    s = -np.ones(len(X)) if bad == "weights" else None
    y = {"one class": np.ones(len(X)), "labels": np.arange(len(X)) / 7.0}.get(bad, other)
    first = GDNPClassifier(alpha=-1.0 if bad == "parameter" else 1e-2)
    with pytest.raises(ValueError, match=r"\w"):
        first.fit(wide, y, sample_weight=s)
    assert vars(first).keys() == first.get_params().keys()
    with pytest.raises(NotFittedError):
        first.predict(X)
    model = GDNPClassifier(alpha=1e-2).fit(*data)
    before = vars(model).copy()
    with pytest.raises(ValueError, match=r"\w"):
        model.set_params(alpha=first.alpha).fit(wide, y, sample_weight=s)
    model.set_params(alpha=1e-2)
    assert vars(model) == before
    assert set(model.predict(X)) <= set(data[1])


def test_attributes_of_others_stay(data):
    class Noted(GDNPClassifier):
        def fit(self, X, y):
            self.rows_ = len(X)
            return super().fit(X, y)

    model = Noted()
    model.note_ = "mine"
    for rows in (60, 50):
        model.fit(data[0][:rows], data[1][:rows])
        assert (model.rows_, model.note_) == (rows, "mine")


def test_names_of_columns_go_with_the_next_fit(data):
    pd = pytest.importorskip("pandas")
    X, y = data
    model = GDNPClassifier().fit(pd.DataFrame(X, columns=list("abcdefgh")), y)
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    model.predict(X)


def test_columns_with_gaps_are_named(data):
    pd = pytest.importorskip("pandas")
    X, y = data
    gaps = pd.DataFrame(X, columns=list("abcdefgh"))
    model = GDNPClassifier().fit(gaps, y)
    gaps.loc[3, "c"], gaps.loc[7, "f"] = np.nan, np.inf
    for method in (lambda: model.fit(gaps, y), lambda: model.predict(gaps)):
        with pytest.raises(ValueError, match=r"2 column\(s\), the first being \['c', 'f'\]; drop or"):
            method()


def test_tensors_become_arrays(monkeypatch):
    """Where scikit-learn would leave them as they are."""
    torch = pytest.importorskip("torch")
    from sklearn.utils import _array_api

    monkeypatch.setattr(_array_api, "_check_array_api_dispatch", lambda dispatch: None)  # asks SciPy
    X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    y = (X[:, 0] > 0.1 * X[:, 1] - 0.2).int()
    with sklearn.config_context(array_api_dispatch=True):
        model = GDNPClassifier(alpha=0.1).fit(X, y, sample_weight=torch.ones(60))
        assert type(model.coef_) is type(model.predict_proba(X)) is np.ndarray
        line = GDNPRegressor().fit(X, X[:, 0])
        np.testing.assert_allclose(line.predict(X), X[:, 0], atol=1e-2)
    plain = GDNPClassifier(alpha=0.1).fit(X.numpy(), y.numpy(), sample_weight=np.ones(60))
    np.testing.assert_array_equal(model.coef_, plain.coef_)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, np.asfortranarray])
def test_coefficients_have_the_precision_of_the_data(data, kind, form):
    """As of scikit-learn's own models; the certificate is that of the coefficients as they are."""
    X, y = data[0].astype(kind), data[1]
    for model, peer in ((GDNPClassifier(), LogisticRegression()), (GDNPRegressor(), Ridge())):
        model.fit(form(X), y.astype(kind))
        peer.fit(X, y.astype(kind))
        for name in ("coef_", "intercept_"):
            ours, theirs = getattr(model, name), getattr(peer, name)
            assert (
                (ours.dtype, np.shape(ours)) == (theirs.dtype, np.shape(theirs)) == (kind, np.shape(theirs))
            )
        scores = model.decision_function if hasattr(model, "classes_") else model.predict
        assert scores(form(X)).dtype == kind
        value = value_of(model, X.astype(float), y, model.alpha)
        assert model.certificate_.objective == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_long_doubles_are_read_as_doubles(rng, form):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    model = GDNPClassifier().fit(form(X.astype(np.longdouble)), y)
    np.testing.assert_allclose(model.coef_, GDNPClassifier().fit(X, y).coef_, rtol=1e-6)


# No finite coefficients


def rare_codes(rng):
    """Three classes that overlap, but for a code that only one of them has."""
    X = rng.standard_normal((300, 3))
    y = rng.integers(0, 3, 300)
    X[:, 2] = np.arange(300) < 4
    y[:4] = 2
    return X, y


class Own(LogLoss):
    """A loss of one's own, which is fitted one class against the rest."""

    name = "own"


def test_classes_of_each_kind_of_separation_are_named(rng):
    """One class is a half-plane of its own, another has a rare code; the third has neither for itself."""
    X, y = rng.standard_normal((300, 3)), rng.integers(0, 2, 300)
    X[:, 2], X[:4, 0], y[:4] = np.arange(300) < 4, 0.0, 1
    y[X[:, 0] > 1.0] = 2
    X[y == 2, 0] += 9.0
    with pytest.warns(UserWarning, match="without a finite value") as seen:
        GDNPClassifier(Own(), alpha=0.0).fit(X, np.array(["low", "high", "far"])[y])
    messages = [str(warning.message) for warning in seen]
    assert len(messages) == 2
    assert "for 1 of 3 classes (far)" in messages[0]
    assert "the data is separable, a hyperplane" in messages[0]
    assert "for 2 of 3 classes (high, low)" in messages[1]
    assert "separable in part" in messages[1]


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "huber", "sigmoid"])
def test_rows_of_weight_0_hold_what_they_like(rng, form, loss):
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    y = y if loss in ("squared_error", "huber") else np.sign(y + X[:, 0])
    weight, wild = rng.integers(1, 3, 60).astype(float), X.copy()
    weight[:3], wild[0, 1], wild[1, 2], wild[2] = 0.0, 1e200, np.finfo(float).max, -1e9
    for alpha in (0.0, 1e-2):
        model = (GDNPRegressor if loss in ("squared_error", "huber") else GDNPClassifier)(loss, alpha=alpha)
        without = clone(model).fit(form(X[3:]), y[3:], weight[3:])
        model.fit(form(wild), y, weight)
        np.testing.assert_array_equal(model.coef_, without.coef_)
        assert model.certificate_ == without.certificate_
    wild[0, 1] = np.inf
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 column\(s\), the first being \[1\]"):
        model.fit(form(wild), y, weight)


def test_columns_without_a_finite_coefficient_are_named(rng):
    pd = pytest.importorskip("pandas")
    X, y = rare_codes(rng)
    frame = pd.DataFrame(X, columns=["age", "height", "rare"])
    model = GDNPClassifier(alpha=0.0)
    expected = "without a finite value, those of rare: the data is separable in part"
    with pytest.warns(UserWarning, match=expected) as seen:
        model.fit(frame, y)
    assert [warning.filename for warning in seen] == [__file__]
    assert model.certificate_.diverging == (2,)
    rest = GDNPClassifier(alpha=0.0).fit(X[4:], y[4:])
    np.testing.assert_allclose(model.coef_[:, :2], rest.coef_[:, :2], atol=1e-5)
    assert (model.predict(frame)[:4] == 2).all()


def test_a_long_list_of_columns_is_cut(rng):
    X = rng.standard_normal((10, 20))
    with pytest.warns(
        UserWarning, match=r"(column \d+, ){4}column \d+ and \d+ more: the data is separable, a"
    ):
        GDNPClassifier(alpha=0.0).fit(X, np.arange(10) % 2)


def test_both_kinds_of_separation_are_told_apart():
    X = np.array([[0.0], [0.0], [1.0], [1.0]])
    with pytest.warns(UserWarning, match="those of column 0: the data is separable, a hyperplane"):
        GDNPClassifier(alpha=0.0).fit(X, [0, 0, 1, 1])
    with pytest.warns(UserWarning, match="those of column 0: the data is separable in part"):
        GDNPClassifier(alpha=0.0, fit_intercept=False).fit(X, [0, 1, 1, 1])


def test_a_model_without_finite_coefficients_survives_a_file(rng, tmp_path):
    pytest.importorskip("skops")
    X, y = rare_codes(rng)
    with pytest.warns(UserWarning, match="without a finite value"):
        model = GDNPClassifier(alpha=0.0).fit(X, y)
    again = load_model(save_model(model, tmp_path / "model.skops"))
    assert again.certificate_ == model.certificate_


# Bad input

BAD_PARAMETERS = [
    ({"alpha": -1.0}, "alpha must be"),
    ({"alpha": np.nan}, "alpha must be"),
    ({"alpha": "much"}, "alpha must be"),
    ({"tol": -1e-8}, "tol must be"),
    ({"max_iter": 0}, "max_iter must be a whole number"),
    ({"max_iter": 2.5}, "max_iter must be a whole number"),
    ({"n_init": 0}, "n_init must be"),
    ({"n_jobs": 0}, "n_jobs must be"),
    ({"n_jobs": "2"}, "n_jobs must be a positive whole number.* Got '2'"),
    ({"n_jobs": 1.5}, "n_jobs must be a positive whole number.* Got 1.5"),
    ({"n_jobs": True}, "n_jobs must be a positive whole number.* Got True"),
    ({"fit_intercept": "False"}, "fit_intercept must be True or False. Got 'False'"),
    ({"fit_intercept": None}, "fit_intercept must be True or False. Got None"),
    ({"warm_start": "no"}, "warm_start must be True or False. Got 'no'"),
    ({"verbose": "yes"}, "verbose must be a whole number of at least 0. Got 'yes'"),
    ({"solver": "sgd"}, "solver must be one of"),
    ({"loss": "hinge"}, "loss must be one of"),
    ({"loss": "squared_error"}, "use GDNPRegressor"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD_PARAMETERS, ids=lambda x: str(x))
def test_bad_parameters(data, parameters, message):
    with pytest.raises(ValueError, match=message):
        GDNPClassifier(**parameters).fit(*data)


BAD_DATA = {
    "NaN": (np.array([[1.0], [np.nan], [2.0]]), [0, 1, 0], None, "NaN"),
    "infinity": (np.array([[1.0], [np.inf], [2.0]]), [0, 1, 0], None, "infinity"),
    "huge NaN": (np.full((5, 1), np.nan), [0, 1, 0, 1, 0], None, "NaN"),
    "sparse NaN": (sp.csr_array(np.array([[1.0], [np.nan], [2.0]])), [0, 1, 0], None, "NaN"),
    "one class": (np.eye(3), [1, 1, 1], None, "at least two classes"),
    "numbers as labels": (np.eye(3), [0.5, 1.2, 3.1], None, "Unknown label type"),
    "lengths": (np.eye(3), [0, 1], None, "inconsistent"),
    "one dimension": (np.ones(3), [0, 1, 0], None, "2D array"),
    "empty": (np.empty((0, 3)), [], None, "0 sample"),
    "zero weight": (np.eye(3), [0, 1, 0], [0.0, 0.0, 0.0], "positive sum|zero"),
    "negative weight": (np.eye(3), [0, 1, 0], [1.0, -1.0, 1.0], "non-negative"),
    "NaN weight": (np.eye(3), [0, 1, 0], [1.0, np.nan, 1.0], "NaN"),
    "one class weighs": (np.eye(3), [0, 1, 0], [1.0, 0.0, 1.0], "positive weight"),
    "complex": (np.eye(3) * 1j, [0, 1, 0], None, "[Cc]omplex"),
    "missing label": (np.eye(3), [0.0, np.nan, 1.0], None, "NaN"),
}


@pytest.mark.parametrize(("X", "y", "weight", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data(X, y, weight, message):
    with pytest.raises(ValueError, match=message):
        GDNPClassifier().fit(X, y, sample_weight=weight)


VANISHING = {"d": 1, "loss": "probit", "alpha": 1e-12, "fit_intercept": True, "weights": "none"}
"""A bounded loss whose curvature underflows in every row, and a ridge that is not felt."""


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**20),
    n=st.integers(1, 25),
    d=st.integers(1, 8),
    loss=st.sampled_from(sorted(LOSSES)),
    alpha=st.sampled_from([0.0, 1e-300, 1e-12, 1e-4, 1.0, 1e8, 1e300]),
    exponents=st.lists(st.integers(-165, 150), min_size=8, max_size=8),
    offsets=st.lists(st.sampled_from([0.0, 1.0, 1e3, 1e12]), min_size=8, max_size=8),
    kind=st.sampled_from(["dense", "csr", "csc", "float32", "integers", "repeated"]),
    fit_intercept=st.booleans(),
    weights=st.sampled_from(["none", "some zero", "unequal"]),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@example(seed=0, n=8, exponents=[41, *[0] * 7], offsets=[1.0, *[0.0] * 7], kind="csc", **VANISHING)
@example(seed=0, n=8, exponents=[102, *[0] * 7], offsets=[1.0, *[0.0] * 7], kind="csc", **VANISHING)
@example(seed=2, n=6, exponents=[107, *[0] * 7], offsets=[1.0, *[0.0] * 7], kind="dense", **VANISHING)
@example(seed=1, n=5, exponents=[106, *[0] * 7], offsets=[1000.0, *[0.0] * 7], kind="dense", **VANISHING)
def test_any_input_gives_a_finite_model_or_a_value_error(
    seed, n, d, loss, alpha, exponents, offsets, kind, fit_intercept, weights
):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) + np.array(offsets[:d])
    X = X * 10.0 ** np.array(exponents[:d]) if kind in ("dense", "csr", "csc") else X
    if kind == "integers":
        X = rng.integers(-128, 127, (n, d)).astype(np.int8)
    elif kind == "float32":
        X = X.astype(np.float32)
    elif kind == "repeated":
        X = np.repeat(X[:, :1], d, axis=1)
    elif kind in ("csr", "csc"):
        X = getattr(sp, f"{kind}_array")(np.where(rng.random((n, d)) < 0.5, 0.0, X))
    y = rng.integers(0, 3, n) if LOSSES[loss].task == "classification" else 10.0 * rng.standard_normal(n)
    s = {"none": None, "some zero": rng.integers(0, 2, n), "unequal": 10.0 ** rng.integers(-8, 8, n)}[weights]
    model = estimator(LOSSES[loss], alpha=alpha, fit_intercept=fit_intercept, max_iter=200)
    try:
        model.fit(X, y, sample_weight=s)
    except ValueError as error:
        if not any(word in str(error) for word in ("class", "weight", "sample", "finite")):
            raise
        return
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    certificates = model.certificate_ if isinstance(model.certificate_, tuple) else (model.certificate_,)
    assert all(isinstance(c.status, Status) and c.gap >= 0.0 for c in certificates)


# The package


def test_lazy_names():
    assert "GDNPClassifier" in dir(gdnp)
    with pytest.raises(AttributeError, match="no attribute 'GDNPForest'"):
        gdnp.GDNPForest  # noqa: B018
    code = "import sys, gdnp; assert 'sklearn.base' not in sys.modules; from gdnp import GDNPClassifier"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
