"""scikit-learn's callbacks: what they are given at each iteration, and that they may end a fit."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.estimators.fitting import SOLVERS
from gdnp.solvers.state import Status
from problems import draw

callback = pytest.importorskip("sklearn.callback")

X, SIGNS = draw(np.random.default_rng(0), n=120, d=3)
IRIS = load_iris(return_X_y=True)
Y = np.column_stack([X[:, 0] + SIGNS, X[:, 1] - SIGNS])
CASES = {
    "two classes": (GDNPClassifier(alpha=1e-2), X, SIGNS),
    "three classes": (GDNPClassifier(alpha=1e-2), *IRIS),
    "not convex": (GDNPClassifier("sigmoid", alpha=1e-2, n_init=2), X, SIGNS),
    "one system": (GDNPRegressor(), X, Y[:, 0]),
    "two targets": (GDNPRegressor("pseudo_huber"), X, Y),
}


class Watch:
    """Remembers what it is given, and ends the iterations of a target after a few."""

    def __init__(self, most=10**6):
        self.most, self.calls, self.ends = most, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.calls.append(context.task_name)
        if context.task_name != "fit":
            fitted_estimator.predict(X)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        if context.task_name != "iteration":
            return False
        self.ends.append((X, y, metadata, fitted_estimator))
        return context.task_id + 1 >= self.most

    def teardown(self, estimator, context):
        self.calls.append("teardown")


@pytest.mark.parametrize(("model", "X", "y"), CASES.values(), ids=CASES)
def test_every_iteration_comes_with_the_data_and_a_fitted_model(model, X, y):
    watch, s = Watch(), np.ones(len(X))
    model.set_callbacks(watch).fit(X, y, sample_weight=s)
    targets = len(model.certificate_) if isinstance(model.certificate_, tuple) else 1
    assert watch.calls[:2] == ["setup", "fit"]
    assert watch.calls[-1] == "teardown"
    # The history is that of the start that ended lowest.
    assert watch.calls.count("iteration") == len(watch.ends) >= len(model.history_["passes"])
    assert len(watch.ends) == len(model.history_["passes"]) or model.n_init > 1
    assert watch.calls.count("class") + watch.calls.count("target") == (targets if targets > 1 else 0)
    for given_X, given_y, metadata, fitted in watch.ends:
        assert given_X is X
        assert given_y is y
        assert metadata == {"sample_weight": s}
        assert fitted.predict(X).shape == y.shape
    last = watch.ends[-1][-1]
    if targets == 1 and model.n_init == 1:
        np.testing.assert_array_equal(last.coef_, model.coef_)
    assert fitted is not model


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize(("model", "X", "y"), CASES.values(), ids=CASES)
def test_a_callback_ends_the_iterations(model, X, y, most):
    """With the coefficients that it was given last, a certificate of them, and no warning."""
    watch = Watch(most)
    model.set_callbacks(watch).fit(X, y)
    known = model.certificate_ if isinstance(model.certificate_, tuple) else (model.certificate_,)
    assert len(watch.ends) <= most * len(known)
    np.testing.assert_array_equal(watch.ends[-1][-1].coef_, model.coef_)
    assert {one.status for one in known} <= {Status.STOPPED, Status.CONVERGED}
    assert Status.STOPPED in {one.status for one in known} or most > 1
    best = model.set_callbacks().fit(X, y).certificate_
    for one, least in zip(known, best if isinstance(best, tuple) else (best,), strict=True):
        assert one.objective / least.objective - 1.0 <= one.gap * (1.0 + 1e-6) + 1e-13 or not one.proved


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_may_be_stopped(solver):
    watch = Watch(2)
    model = GDNPClassifier(alpha=1e-2, solver=solver).set_callbacks(watch).fit(X, SIGNS)
    assert model.certificate_.status is Status.STOPPED
    assert len(watch.ends) == 2
    assert model.n_iter_ == 1


def test_scores_are_logged_for_data_frames_and_several_classes():
    pd = pytest.importorskip("pandas")
    names = ["a", "b", "c", "d"]
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = GDNPClassifier(alpha=1e-2).set_callbacks(monitor)
    model.fit(IRIS[0], IRIS[1])  # a refit on columns with names, and one without
    model.fit(pd.DataFrame(IRIS[0], columns=names), IRIS[1], sample_weight=np.ones(150))
    model.fit(*IRIS)
    for log in monitor.get_logs(select="all"):
        scores = [row["accuracy"] for row in log.data]
        assert len(scores) == 1 + len(model.history_["passes"])
        assert scores[-1] == scores[0] > 0.9  # of the last iteration and of the fit, which sorts first
        assert min(scores) >= 0.5


def test_a_callback_that_fails_leaves_the_model_as_it_was():
    class Broken(Watch):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("no more")

    model = GDNPClassifier(alpha=1e-2).fit(X, SIGNS)
    before = vars(model).copy()
    with pytest.raises(RuntimeError, match="no more"):
        model.set_callbacks(Broken()).fit(*IRIS)
    model.set_callbacks()
    assert vars(model) == before
