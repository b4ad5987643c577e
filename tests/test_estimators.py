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
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import gdnp
from gdnp import ConvergenceDisplay, GDNPClassifier, GDNPRegressor
from gdnp.estimators.fitting import SOLVERS
from gdnp.losses import LOSSES
from gdnp.solvers.state import Status
from problems import draw, estimator

ALL = [
    (GDNPClassifier if loss.task == "classification" else GDNPRegressor)(name)
    for name, loss in LOSSES.items()
]


@pytest.mark.filterwarnings("ignore")  # of scikit-learn's own, on the data it makes
@parametrize_with_checks(ALL)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# Several classes


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid"])
def test_one_against_the_rest_is_the_binary_fits(loss):
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = GDNPClassifier(loss, alpha=1e-2).fit(X, names)
    for k, name in enumerate(model.classes_):
        single = GDNPClassifier(loss, alpha=1e-2).fit(X, names == name)
        np.testing.assert_allclose(model.coef_[k], single.coef_[0], rtol=1e-4)
        assert model.length_[k] == pytest.approx(single.length_, rel=1e-4)
    assert model.direction_.shape == model.coef_.shape
    np.testing.assert_allclose(model.length_[:, None] * model.direction_, model.coef_)
    assert len(model.certificate_) == 3
    assert set(model.history_["class"]) == set(names)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_digits_converge_raw_and_proved():
    X, y = load_digits(return_X_y=True)
    model = GDNPClassifier(alpha=1.0 / len(y)).fit(X, y)
    assert all(c.proved and c.status is Status.CONVERGED and c.gap <= 1e-8 for c in model.certificate_)


def test_direction_has_unit_variance(rng):
    X, y = draw(rng)
    s = rng.random(len(y))
    model = GDNPClassifier(alpha=1e-2).fit(X, y, sample_weight=s)
    eta = X @ model.direction_
    assert np.average((eta - np.average(eta, weights=s)) ** 2, weights=s) == pytest.approx(1.0)


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "probit"])
def test_probabilities_follow_scores(rng, loss):
    X, y = draw(rng)
    model = GDNPClassifier(loss, alpha=1e-2).fit(X, y)
    scores, p = model.decision_function(X), model.predict_proba(X)
    assert ((p[:, 1] > 0.5) == (scores > 0.0)).all()
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p)
    if loss != "probit":
        np.testing.assert_allclose(p[:, 1], 1.0 / (1.0 + np.exp(-scores)))


def test_class_weight_is_sample_weight(rng):
    X, y = draw(rng)
    weighted = GDNPClassifier(alpha=1e-2, class_weight={-1.0: 1.0, 1.0: 5.0}).fit(X, y)
    sampled = GDNPClassifier(alpha=1e-2).fit(X, y, sample_weight=np.where(y > 0, 5.0, 1.0))
    np.testing.assert_allclose(weighted.coef_, sampled.coef_, rtol=1e-5)
    assert GDNPClassifier(class_weight="balanced").fit(X, y).certificate_.status is Status.CONVERGED


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid"])
def test_warm_start_needs_next_to_nothing(rng, loss):
    X, y = draw(rng, n=400)
    model = GDNPClassifier(loss, alpha=1e-2, warm_start=True).fit(X, y)
    cold, coef = model.n_iter_, model.coef_
    model.fit(X, y)
    assert model.n_iter_ <= min(3, cold)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-4)
    model.fit(X[:, :4], y)  # another number of columns starts afresh
    assert model.coef_.shape == (1, 4)


def test_pickle_and_clone(rng):
    X, y = draw(rng)
    model = GDNPClassifier(loss=LOSSES["log_loss"]).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.certificate_ == model.certificate_
    assert clone(model).get_params() == model.get_params()


def test_data_frames(rng):
    pd = pytest.importorskip("pandas")
    X, y = draw(rng)
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(8)])
    model = GDNPClassifier().fit(frame, pd.Series(y).map({-1.0: "no", 1.0: "yes"}))
    assert list(model.feature_names_in_) == list(frame.columns)
    assert set(model.predict(frame)) == {"no", "yes"}


def test_verbose_prints_progress_on_stderr(rng, capsys):
    X, y = draw(rng)
    model = GDNPClassifier(verbose=1).fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == model.n_iter_ + 1
    assert "objective" in err


@pytest.mark.parametrize("solver", [solver for solver in SOLVERS if solver != "auto"])
def test_every_solver_tells_the_truth(rng, solver):
    X, y = draw(rng, n=200, d=3)
    X = X / X.std(0)
    best = GDNPClassifier(alpha=1e-2, tol=1e-12).fit(X, y).certificate_.objective
    model = GDNPClassifier(alpha=1e-2, solver=solver, max_iter=200)
    try:
        certificate = model.fit(X, y).certificate_
    except ConvergenceWarning:
        certificate = _without_warning(model, X, y).certificate_
        assert certificate.gap > 1e-8
    assert certificate.proved
    assert certificate.objective / best - 1.0 <= certificate.gap + 1e-13
    assert {"passes", "seconds", "objective", "gradient_norm"} <= set(model.history_)


def _without_warning(model, X, y):
    with pytest.warns(ConvergenceWarning, match="was not met"):
        return model.fit(X, y)


@pytest.mark.parametrize("solver", ["gdnp_metric", "newton"])
def test_regressor_solvers_agree(rng, solver):
    X, y = draw(rng, loss=LOSSES["squared_error"])
    model = GDNPRegressor(alpha=1e-3, solver=solver).fit(X, y)
    exact = np.linalg.solve(
        np.cov(X.T, bias=True) + 1e-3 * np.eye(8), (X - X.mean(0)).T @ (y - y.mean()) / len(y)
    )
    np.testing.assert_allclose(model.coef_, exact, rtol=1e-3, atol=1e-3)


def test_scikit_learn_callbacks(rng):
    callback = pytest.importorskip("sklearn.callback")
    X, y = draw(rng)
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


# Display


def test_convergence_display(rng):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    X, y = draw(rng)
    models = [GDNPClassifier(alpha=1e-2, solver=s).fit(X, y) for s in ("newton", "gdnp_metric")]
    for x in ("passes", "seconds", "iterations"):
        display = ConvergenceDisplay.from_estimators(models, x=x)
        assert [line.get_label() for line in display.lines_] == ["newton", "gdnp_metric"]
        assert display.ax_.get_ylabel() == "relative suboptimality"
        assert display.suboptimality("newton")[-1] <= 1e-8
        matplotlib.pyplot.close(display.figure_)
    named = ConvergenceDisplay.from_estimators({"a": models[0], "b": models[0]}, ax=display.ax_)
    assert named.ax_ is display.ax_
    with pytest.raises(ValueError, match="call fit first"):
        ConvergenceDisplay.from_estimators([GDNPClassifier()])
    with pytest.raises(ValueError, match="at least one"):
        ConvergenceDisplay.from_estimators([])
    with pytest.raises(ValueError, match="x must be"):
        display.plot(x="epochs")


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
def test_bad_parameters(parameters, message):
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        GDNPClassifier(**parameters).fit(X, y)


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


def test_regressor_has_no_class_weight(rng):
    X, y = draw(rng)
    with pytest.raises(ValueError, match="class_weight must be None"):
        GDNPRegressor(class_weight="balanced").fit(X, y)


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


def test_skops_saves_a_model_and_its_certificate():
    skops = pytest.importorskip("skops.io")
    X, y = load_breast_cancer(return_X_y=True)
    model = GDNPClassifier().fit(X, y)
    saved = skops.dumps(model)
    again = skops.loads(saved, trusted=skops.get_untrusted_types(data=saved))
    assert again.certificate_ == model.certificate_
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_tolerance_at_all_goes_as_far_as_rounding_lets():
    X, y = load_breast_cancer(return_X_y=True)
    best, good = (GDNPClassifier(tol=tol).fit(X, y) for tol in (0.0, 1e-10))
    assert best.certificate_.objective <= good.certificate_.objective * (1 + 1e-10)
    assert best.n_iter_ < 3 * good.n_iter_  # not hundreds of steps along rounding


@pytest.mark.parametrize("n", [569, 5000, 20000])
@pytest.mark.parametrize("constant", [0.1, 1.0 / 3.0, 1000.1])
@pytest.mark.parametrize("alpha", [0.0, 1e-4])
def test_a_constant_column_changes_nothing(alpha, constant, n):
    rng = np.random.default_rng(n)
    Z = rng.standard_normal((n, 2))
    y = np.sign(Z @ [1.0, 0.5] + 0.5 * rng.standard_normal(n))
    plain = GDNPClassifier(alpha=alpha).fit(Z, y)
    model = GDNPClassifier(alpha=alpha).fit(np.column_stack([np.full(n, constant), Z]), y)
    assert model.coef_[0, 0] == 0.0
    np.testing.assert_allclose(model.coef_[0, 1:], plain.coef_[0], rtol=1e-5)
    assert model.certificate_.status is Status.CONVERGED


def test_history_of_a_bounded_loss_counts_the_way_to_its_start():
    """The log loss and the path of lengths come first, and cost passes and seconds."""
    X, y = load_breast_cancer(return_X_y=True)
    history = GDNPClassifier("sigmoid", n_init=3, random_state=0).fit(X, y).history_
    assert history["passes"][0] > 1.0
    assert history["seconds"][0] > 0.0
    assert (np.diff(history["seconds"]) >= 0.0).all()


@pytest.mark.parametrize("loss", ["squared_error", "pseudo_huber"])
def test_targets_without_a_finite_square_are_refused(loss):
    X = np.arange(8.0).reshape(-1, 1)
    with pytest.raises(ValueError, match=r"y must be at most 1e\+150 in size.* Got 7e\+200; divide y"):
        GDNPRegressor(loss).fit(X, X[:, 0] * 1e200)


@pytest.mark.parametrize("weights", [{0: 1e308, 1: 1e308}, {0: 1e-308, 1: 1e-308}])
def test_class_weights_of_any_size(rng, weights):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    plain = GDNPClassifier().fit(X, y)
    np.testing.assert_allclose(GDNPClassifier(class_weight=weights).fit(X, y).coef_, plain.coef_, rtol=1e-6)


def test_balanced_classes_of_which_one_weighs_nothing(rng):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    with pytest.raises(ValueError, match="in rows of positive weight"):
        GDNPClassifier(class_weight="balanced").fit(X, y, sample_weight=y)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_long_doubles_are_read_as_doubles(rng, form):
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    model = GDNPClassifier().fit(form(X.astype(np.longdouble)), y)
    np.testing.assert_allclose(model.coef_, GDNPClassifier().fit(X, y).coef_, rtol=1e-6)
