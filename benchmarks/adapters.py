"""scikit-learn's linear models in name and parameters, fitted by gdnp: for ``other_tests.py``.

Each adapter takes the parameters of its namesake, translates them and fits a gdnp estimator; whatever is
asked of it afterwards is answered by that estimator. Nothing here fits or predicts with scikit-learn. What
gdnp does not offer ends the test as not applicable, with the name of the feature.

Every solver of scikit-learn becomes gdnp's own. scikit-learn's ``tol`` bounds a gradient or a change of the
coefficients, gdnp's a relative suboptimality, which goes with the square of either.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.linear_model
from sklearn._loss import HalfBinomialLoss, HalfSquaredError
from sklearn.base import BaseEstimator
from sklearn.linear_model._glm import _GeneralizedLinearRegressor

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.losses import PseudoHuber

__all__ = ["MISSING", "NAMES", "not_offered", "used"]

LOOSEST, TIGHTEST = 1e-8, 1e-14
"""Of gdnp's tol: its default, and about what sums of rounded numbers allow."""
MISSING = "not offered: "
"""How the reason of a test that is not applicable begins."""

used: set[str] = set()
"""The adapters that were fitted since this was last cleared."""


def not_offered(feature: str) -> NoReturn:
    """End the running test as not applicable; no ``pytest.raises`` catches this."""
    raise pytest.skip.Exception(MISSING + feature, allow_module_level=True)


def total(X: Any, sample_weight: Any) -> float:
    """What scikit-learn's sums over rows are over gdnp's means."""
    rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if sample_weight is None or np.ndim(sample_weight) == 0:
        return float(rows) * float(1.0 if sample_weight is None else sample_weight)
    return float(np.sum(sample_weight))


def squared(tol: float) -> float:
    """gdnp's tol for one of scikit-learn's."""
    return min(max(tol * tol, TIGHTEST), LOOSEST)


class Adapter(BaseEstimator):
    """What the adapters share: parameters of another class, and answers of gdnp's estimator."""

    _like: Any
    _others: tuple[str, ...] = ()
    """Attributes of the namesake that gdnp's estimators do not have."""

    def __init_subclass__(cls) -> None:
        """Take the parameters of the namesake, in its order and with its defaults."""
        if "_like" not in vars(cls):
            return
        signature = inspect.signature(cls._like.__init__)
        names = list(signature.parameters)[1:]

        def __init__(self: Any, *args: Any, **options: Any) -> None:
            given = signature.bind(self, *args, **options)
            given.apply_defaults()
            for name in names:
                setattr(self, name, given.arguments[name])

        __init__.__signature__ = signature  # type: ignore[attr-defined]
        cls.__init__ = __init__  # type: ignore[method-assign]

    def __getattr__(self, name: str) -> Any:
        """Of the estimator that was fitted, or one that is not."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._others:
            not_offered(f"{type(self).__name__}.{name}")
        return getattr(self._model(), name)

    def __sklearn_tags__(self) -> Any:
        return self._model().__sklearn_tags__()

    def set_callbacks(self, *callbacks: Any) -> Any:
        """Those of gdnp's estimator."""
        self._model().set_callbacks(*callbacks)
        return self

    def _model(self) -> Any:
        if "_fitted" not in vars(self):
            self._fitted = self._make()
        return self._fitted

    def _make(self) -> Any:
        raise NotImplementedError

    def _fit(self, X: Any, y: Any, sample_weight: Any, **parameters: Any) -> Any:
        """A fit of gdnp's estimator, which is kept for warm starts and callbacks alone."""
        used.add(type(self).__name__)
        if getattr(self, "max_iter", None) == 0:
            not_offered("no iterations at all")
        keep = getattr(self, "warm_start", False) or getattr(self._model(), "_skl_callbacks", None)
        model = self._model() if keep else self._make()
        if getattr(self, "max_iter", None) is not None:
            parameters["max_iter"] = self.max_iter
        given = self.get_params(deep=False)
        same = ("warm_start", "class_weight", "verbose", "random_state", "fit_intercept")
        parameters |= {name: given[name] for name in same if name in given}
        model.set_params(tol=squared(self.tol), **parameters)
        model.fit(X, y, sample_weight)
        self._fitted = model
        return self


class LogisticRegression(Adapter):
    """C is 1/(alpha n)."""

    _like = sklearn.linear_model.LogisticRegression

    def _make(self) -> GDNPClassifier:
        return GDNPClassifier()

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Translate and fit."""
        if self.penalty != "deprecated":
            not_offered("the deprecated penalty")
        if self.l1_ratio != 0.0:
            not_offered("l1 and elastic net")
        if self.dual:
            not_offered("dual")
        if self.n_jobs is not None:
            not_offered("the deprecated n_jobs")
        if self.solver == "liblinear" and self.fit_intercept and self.intercept_scaling != 1:
            not_offered("a penalised intercept")
        alpha = 0.0 if math.isinf(self.C) else 1.0 / (self.C * self._counted(X, y, sample_weight))
        return self._fit(X, y, sample_weight, alpha=alpha)

    def _counted(self, X: Any, y: Any, sample_weight: Any) -> float:
        """The sum of the weights, those of the classes included."""
        if self.class_weight is None:
            return total(X, sample_weight)
        from sklearn.utils.class_weight import compute_class_weight

        classes, codes = np.unique(y, return_inverse=True)
        s = np.ones(len(codes)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        factor = compute_class_weight(
            self.class_weight, classes=classes, y=np.asarray(y), sample_weight=sample_weight
        )
        return float(factor[codes] @ s)

    @property
    def n_iter_(self) -> Any:
        """As an array of one count."""
        return np.array([self._model().n_iter_])


class Ridge(Adapter):
    """alpha is n times gdnp's."""

    _like = sklearn.linear_model.Ridge

    def _make(self) -> GDNPRegressor:
        return GDNPRegressor()

    @property
    def solver_(self) -> str:
        """The name that was asked for: all are gdnp's own."""
        return str(self.solver)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Translate and fit."""
        if self.positive:
            not_offered("positive coefficients")
        if np.ndim(self.alpha) > 0:
            not_offered("a penalty for each target")
        if np.ndim(y) > 1 and not self._model().__sklearn_tags__().target_tags.multi_output:
            not_offered("several targets")
        return self._fit(X, y, sample_weight, alpha=self.alpha / total(X, sample_weight))


def ridge_regression(X: Any, y: Any, alpha: Any, **options: Any) -> Any:
    """The coefficients of ``Ridge``, without an intercept unless it is returned too."""
    weight, count = options.pop("sample_weight", None), options.pop("return_n_iter", False)
    intercept = options.pop("return_intercept", False)
    options.pop("check_input", None)
    model = Ridge(alpha, fit_intercept=intercept, **options).fit(X, y, weight)
    found = (model.coef_, *([model.n_iter_] if count else []), *([model.intercept_] if intercept else []))
    return found if len(found) > 1 else found[0]


class HuberRegressor(Adapter):
    """The pseudo-Huber loss with delta = epsilon in the units of y: gdnp fits no scale beside it."""

    _like = sklearn.linear_model.HuberRegressor
    _others = ("scale_", "outliers_")

    def _make(self) -> GDNPRegressor:
        return GDNPRegressor(PseudoHuber(self.epsilon))

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Translate and fit."""
        alpha = self.alpha / total(X, sample_weight)
        return self._fit(X, y, sample_weight, alpha=alpha, loss=PseudoHuber(self.epsilon))


class GLM(Adapter):
    """scikit-learn's generalised linear models: least squares, and the binomial one as weighted labels."""

    _like = _GeneralizedLinearRegressor
    _others = ("_base_loss",)

    def _get_loss(self) -> Any:
        return HalfSquaredError()

    def _make(self) -> Any:
        loss = self._get_loss()
        if isinstance(loss, HalfSquaredError):
            return GDNPRegressor()
        return GDNPClassifier() if isinstance(loss, HalfBinomialLoss) else not_offered(type(loss).__name__)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Translate and fit; a y in (0, 1) is a row of weight y and one of weight 1 - y."""
        if isinstance(self._model(), GDNPRegressor):
            return self._fit(X, y, sample_weight, alpha=self.alpha)
        s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        twice = sp.vstack((X, X)) if sp.issparse(X) else np.concatenate((X, X))
        self._fit(twice, np.repeat([1, 0], len(y)), np.r_[s * y, s * (1.0 - y)], alpha=self.alpha)
        return self

    @property
    def coef_(self) -> Any:
        """Of one target."""
        return np.ravel(self._model().coef_)

    @property
    def intercept_(self) -> float:
        """Of one target."""
        return float(np.ravel(self._model().intercept_)[0])

    def predict(self, X: Any) -> Any:
        """The mean of y."""
        model = self._model()
        return model.predict_proba(X)[:, 1] if isinstance(model, GDNPClassifier) else model.predict(X)


def namesake(name: str) -> type[GLM]:
    """An adapter of a generalised linear model that scikit-learn makes by choosing a loss."""
    like = getattr(sklearn.linear_model, name)
    return type(name, (GLM,), {"_like": like, "_get_loss": like._get_loss})


def absent(name: str) -> Callable[..., NoReturn]:
    """Something that ends each test that makes one; at import it may be named, and nothing else."""

    class Absent(BaseEstimator):
        """Not offered."""

        def __init__(self, *args: Any, **options: Any) -> None:
            used.add(name)
            self.options = options

        def __getattr__(self, attribute: str) -> Any:
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            not_offered(name)

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """None that a copy needs."""
            return {}

        def set_params(self, **parameters: Any) -> NoReturn:
            """Not offered either."""
            not_offered(name)

    Absent.__name__ = name
    return Absent


NAMES: dict[str, Any] = {
    "sklearn.linear_model": {
        "LogisticRegression": LogisticRegression,
        "Ridge": Ridge,
        "ridge_regression": ridge_regression,
        "HuberRegressor": HuberRegressor,
        **{name: namesake(name) for name in ("PoissonRegressor", "GammaRegressor", "TweedieRegressor")},
        **{
            name: absent(name)
            for name in ("LogisticRegressionCV", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV")
        },
    },
    "sklearn.linear_model._glm": {"_GeneralizedLinearRegressor": GLM},
}
"""What takes the place of which name while a test file is imported."""
