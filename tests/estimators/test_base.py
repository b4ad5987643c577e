"""The estimators keep scikit-learn's contract, and refuse bad input in one sentence."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import gdnp
from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.losses import LOSSES
from gdnp.solvers.state import Status
from problems import draw, estimator

ALL = [
    (GDNPClassifier if loss.task == "classification" else GDNPRegressor)(name)
    for name, loss in LOSSES.items()
]


@pytest.fixture(scope="module")
def data():
    return draw(np.random.default_rng(0))


@pytest.fixture(scope="module")
def model(data):
    return GDNPClassifier(loss=LOSSES["log_loss"]).fit(*data)


@pytest.mark.filterwarnings("ignore")  # of scikit-learn's own, on the data it makes
@parametrize_with_checks(ALL)
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


def test_scikit_learn_callbacks(data):
    callback = pytest.importorskip("sklearn.callback")
    X, y = data
    seen = []

    class Watch:
        def setup(self, estimator, context):
            seen.append("setup")

        def on_fit_task_begin(self, estimator, context):
            seen.append(context.task_name)

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if fitted_estimator is not None:
                seen.append(fitted_estimator.predict(X).shape)

        def teardown(self, estimator, context):
            seen.append("teardown")

    assert isinstance(Watch(), callback.FitCallback)
    model = GDNPClassifier().set_callbacks(Watch()).fit(X, y)
    assert seen[:2] == ["setup", "fit"]
    assert seen[-1] == "teardown"
    assert seen.count("iteration") == model.n_iter_ + 1
    assert (len(y),) in seen


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_long_doubles_are_read_as_doubles(rng, form):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    model = GDNPClassifier().fit(form(X.astype(np.longdouble)), y)
    np.testing.assert_allclose(model.coef_, GDNPClassifier().fit(X, y).coef_, rtol=1e-6)


# Bad input

BAD_PARAMETERS = [
    ({"alpha": -1.0}, "alpha must be"),
    ({"alpha": np.nan}, "alpha must be"),
    ({"alpha": "much"}, "alpha must be"),
    ({"tol": -1e-8}, "tol must be"),
    ({"max_iter": 0}, "max_iter must be an integer"),
    ({"max_iter": 2.5}, "max_iter must be an integer"),
    ({"n_init": 0}, "n_init must be"),
    ({"n_jobs": 0}, "n_jobs must be"),
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
