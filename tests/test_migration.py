"""Each row of the page for users of other libraries, fitted in both."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import (
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier

from gdnp import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV

N, C, A = 200, 0.5, 0.3
PAGE = (Path(__file__).parents[1] / "docs" / "migration.md").read_text(encoding="utf-8")


@pytest.fixture
def rows(rng):
    """X, labels, numbers with a few gross errors, and three classes."""
    X = rng.standard_normal((N, 3))
    line = X @ [1.0, -0.5, 0.2]
    numbers = 3.0 + line + 0.3 * rng.standard_normal(N)
    numbers[:10] += 20.0
    several = np.digitize(line + rng.standard_normal(N), [-0.5, 0.5])
    return X, (line + rng.logistic(size=N) > -0.3).astype(int), numbers, several


def same(ours, theirs, tolerance=1e-4):
    """The same intercept and coefficients."""
    assert_allclose(np.ravel(ours.coef_), np.ravel(theirs.coef_), rtol=tolerance, atol=tolerance)
    assert_allclose(np.ravel(ours.intercept_), np.ravel(theirs.intercept_), rtol=tolerance, atol=tolerance)


class Parameters:
    """Of statsmodels, whose constant comes first."""

    def __init__(self, params):
        self.intercept_, self.coef_ = params[0], params[1:]


def logistic(rows, ours=None, **options):
    X, y, _, _ = rows
    same(
        GDNPClassifier(**(ours or {"alpha": 1.0 / (C * N)})).fit(X, y),
        LogisticRegression(**options, tol=1e-10).fit(X, y),
    )


def balanced(rows):
    ours = {"alpha": 1.0 / (C * N), "class_weight": "balanced"}
    logistic(rows, ours, C=C, class_weight="balanced")


def several(rows):
    X, _, _, y = rows
    ours = OneVsRestClassifier(GDNPClassifier(alpha=1.0 / (C * N))).fit(X, y)
    theirs = OneVsRestClassifier(LogisticRegression(C=C, tol=1e-10)).fit(X, y)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


def liblinear(rows):
    X, y, _, _ = rows
    ours = GDNPClassifier(alpha=1.0 / (C * N), fit_intercept=False).fit(np.c_[X, np.ones(N)], y)
    theirs = LogisticRegression(C=C, solver="liblinear", tol=1e-10).fit(X, y)
    assert_allclose(ours.coef_[0], [*theirs.coef_[0], theirs.intercept_[0]], rtol=1e-4)


def logistic_cv(rows):
    X, y, _, _ = rows
    Cs, cv = [0.01, 0.1, 1.0], StratifiedKFold(4)
    m = N - N // 4
    ours = GDNPClassifierCV(alphas=[1.0 / (C * m) for C in Cs], scoring="accuracy", cv=cv).fit(X, y)
    theirs = LogisticRegressionCV(
        Cs=Cs, cv=cv, tol=1e-10, scoring="accuracy", use_legacy_attributes=False, l1_ratios=(0.0,)
    ).fit(X, y)
    assert_allclose(ours.scores_, np.squeeze(theirs.scores_))
    assert 1.0 / (ours.alpha_ * m) == pytest.approx(theirs.C_)


def ridge_classifier(rows):
    X, y, _, _ = rows
    ours, theirs = GDNPRegressor(alpha=A / N).fit(X, 2.0 * y - 1.0), RidgeClassifier(alpha=A).fit(X, y)
    same(ours, theirs)
    assert np.array_equal(ours.predict(X) > 0.0, theirs.predict(X) == 1)


def glum(rows, family):
    glm = pytest.importorskip("glum").GeneralizedLinearRegressor(
        family=family, alpha=A, l1_ratio=0, gradient_tol=1e-9
    )
    X, labels, numbers, _ = rows
    y = labels if family == "binomial" else numbers
    kind = GDNPClassifier if family == "binomial" else GDNPRegressor
    same(kind(alpha=A).fit(X, y), glm.fit(X, y.astype(float)))


def statsmodels(rows, name):
    sm = pytest.importorskip("statsmodels.api")
    X, labels, numbers, _ = rows
    y = labels if name == "Logit" else numbers
    options = {"disp": False, "tol": 1e-10} if name == "Logit" else {}
    theirs = getattr(sm, name)(y, sm.add_constant(X)).fit(**options)
    kind = GDNPClassifier if name == "Logit" else GDNPRegressor
    same(kind(alpha=0.0).fit(X, y), Parameters(theirs.params))


def ridge_cv(rows):
    X, _, y, _ = rows
    alphas = [0.1, 10.0, 1000.0]
    ours, theirs = GDNPRegressorCV(alphas=[a / N for a in alphas]).fit(X, y), RidgeCV(alphas=alphas).fit(X, y)
    assert ours.alpha_ * N == pytest.approx(theirs.alpha_)
    same(ours, theirs)


def huber(rows):
    X, _, y, _ = rows
    theirs = HuberRegressor(epsilon=1.5, alpha=A, tol=1e-8, max_iter=1000).fit(X, y)
    s = theirs.scale_
    same(GDNPRegressor("huber", delta=1.5 * s, alpha=A * s / N).fit(X, y), theirs, 1e-3)


STEPS = {
    "max_iter": 3000,
    "tol": None,
    "random_state": 0,
    "average": 1000,
    "learning_rate": "invscaling",
    "eta0": 0.05,
}

CHECKS = {
    "LogisticRegression(C=C)": lambda rows: logistic(rows, C=C),
    'LogisticRegression(C=C, class_weight="balanced")': balanced,
    "LogisticRegression(C=C, fit_intercept=False)": lambda rows: logistic(
        rows, {"alpha": 1.0 / (C * N), "fit_intercept": False}, C=C, fit_intercept=False
    ),
    "LogisticRegression(C=inf)": lambda rows: logistic(rows, {"alpha": 0.0}, C=np.inf),
    "OneVsRestClassifier(LogisticRegression(C=C))": several,
    'LogisticRegression(C=C, solver="liblinear")': liblinear,
    "LogisticRegressionCV(Cs=Cs)": logistic_cv,
    'SGDClassifier(loss="log_loss", alpha=a)': lambda rows: same(
        GDNPClassifier(alpha=A).fit(rows[0], rows[1]),
        SGDClassifier(loss="log_loss", alpha=A, **STEPS).fit(rows[0], rows[1]),
        0.01,
    ),
    "RidgeClassifier(alpha=a)": ridge_classifier,
    'glum.GeneralizedLinearRegressor(family="binomial", alpha=a, l1_ratio=0)': lambda rows: glum(
        rows, "binomial"
    ),
    "statsmodels.api.Logit(y, add_constant(X)).fit()": lambda rows: statsmodels(rows, "Logit"),
    "LinearRegression()": lambda rows: same(
        GDNPRegressor(alpha=0.0).fit(rows[0], rows[2]), LinearRegression().fit(rows[0], rows[2])
    ),
    "Ridge(alpha=a)": lambda rows: same(
        GDNPRegressor(alpha=A / N).fit(rows[0], rows[2]), Ridge(alpha=A).fit(rows[0], rows[2])
    ),
    "RidgeCV(alphas=A)": ridge_cv,
    "HuberRegressor(epsilon=e, alpha=a)": huber,
    "SGDRegressor(alpha=a)": lambda rows: same(
        GDNPRegressor(alpha=A).fit(rows[0], rows[2]),
        SGDRegressor(alpha=A, **STEPS).fit(rows[0], rows[2]),
        0.02,
    ),
    'SGDRegressor(loss="huber", epsilon=e, alpha=a)': lambda rows: same(
        GDNPRegressor("huber", delta=0.5, alpha=A).fit(rows[0], rows[2]),
        SGDRegressor(loss="huber", epsilon=0.5, alpha=A, **STEPS).fit(rows[0], rows[2]),
        0.02,
    ),
    'glum.GeneralizedLinearRegressor(family="normal", alpha=a, l1_ratio=0)': lambda rows: glum(
        rows, "normal"
    ),
    "statsmodels.api.OLS(y, add_constant(X)).fit()": lambda rows: statsmodels(rows, "OLS"),
}


def test_every_row_of_the_page_is_checked():
    assert re.findall(r"^\| `(.+?)` \|", PAGE, flags=re.MULTILINE) == list(CHECKS)


@pytest.mark.parametrize("row", CHECKS)
def test_both_libraries_come_to_the_same(rows, row):
    CHECKS[row](rows)
