"""``GDNPClassifier``: linear classification, of several classes by softmax or one against the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, Rows, RowVector
from gdnp.design.targets import check_labels, encoded, mass_of, renumbered, reweighed, signs
from gdnp.estimators.base import LinearEstimator, ScoresSources, Task
from gdnp.estimators.cluster import by_parts
from gdnp.estimators.fitting import Settings
from gdnp.losses import LogLoss, Loss, Softmax, get_loss

MULTINOMIAL = ("auto", "newton")
"""Solvers that take more than two classes at once."""


@dataclass(eq=False, repr=False)
class GDNPClassifier(ScoresSources, ClassifierMixin, LinearEstimator):  # type: ignore[misc]
    """Linear classifier that converges on raw data and says how close it came.

    Minimises (1/Σs_i) Σ s_i φ(-y_i (x_iᵀw + b)) + alpha/2 ‖w‖² over w and b in the raw coordinates of X; b is
    never penalised. ``LogisticRegression``'s C is 1/(alpha n). The log loss of K > 2 classes is multinomial,

        (1/Σs_i) Σ s_i [log Σ_k exp(x_iᵀw_k + b_k) - x_iᵀw_y - b_y] + alpha/2 Σ_k ‖w_k‖²,

    as there, and the w_k sum to zero. Other losses are fitted one class against the rest: the curvature is
    that of each class, the statistics of X are shared. For the log loss ``OneVsRestClassifier`` does that.

    Parameters
    ----------
    loss : {"log_loss", "sigmoid", "probit"} or gdnp.losses.Loss
        φ. "sigmoid" and "probit" (the normal cdf Φ, not probit regression) are bounded smooth 0-1 losses:
        rows far on the wrong side cost at most 1. They are not convex; the fit starts from the log loss.
    alpha : float
        The ridge, >= 0. At 0 the answer is the limit of a vanishing ridge: where columns are combinations of
        others, or more than the rows, the minimiser of least ‖w‖ in raw coordinates, b free. A column is one
        where what others leave of it is at most 64 eps of the entries that cancel, in standardised columns.
        Beyond 2048 rows and columns it is found by conjugate gradients.
        The log loss may have no minimiser: where a hyperplane has rows strictly on
        their sides and no row on the wrong one, it falls for ever along it. The status is then
        LENGTH_DIVERGES, and a warning names the columns (``certificate_.diverging``). If all rows are on
        their sides, the first direction that separates them is returned. Else the rows that stay on the
        hyperplane have a minimiser: that is returned, and as much of the direction on top as brings the loss
        to within `tol` of its infimum. The other rows are then predicted right. Solvers other than "newton"
        return what they came to.
    fit_intercept : bool
    solver : {"auto", "newton", "gdnp", "gdnp_metric", "batch_norm_gd", "weight_norm_gd", "gd", "agd"}
        "auto" is "newton", the production solver; the others are the methods of the paper and its rivals.
        They move one direction, and do not fit the log loss of more than two classes.
    tol : float
        Relative suboptimality at which the fit is done: proved by a duality gap for "log_loss" with
        alpha > 0, estimated otherwise. ``certificate_`` says which.
    max_iter : int
    class_weight : dict, "balanced" or None
        Multiplied into the sample weights.
    warm_start : bool
        Start from the last fit.
    n_init : int
        Starts of a loss that is not convex; the best end is kept.
    n_jobs : int or None
        Threads of a pass over X; None means all cores. Results do not depend on it.
    random_state : int, RandomState or None
        Draws the starts beyond the first.
    verbose : int
        Whether to print a line an iteration on stderr.

    Attributes
    ----------
    coef_ : ndarray of shape (1, d) or (K, d)
    intercept_ : ndarray of shape (1,) or (K,)
    classes_ : ndarray of shape (K,)
        Those of the rows of positive weight.
    direction_ : ndarray of shape (d,) or (K, d)
        w of coef_ = length_ · w with wᵀSw = 1, S the covariance of X.
    length_ : float or ndarray of shape (K,)
        g, the standard deviation of X coef_.
    certificate_ : Certificate, or a tuple of them
        Status, gap and how it is known; ``gdnp.solvers.Certificate``. One for each class of those that are
        fitted one against the rest.
    history_ : dict of str to ndarray
        ``passes``, ``seconds``, ``objective``, ``gradient_norm``, and ``class`` for classes that are fitted
        one against the rest.
    n_iter_ : int
        Iterations of the slowest class.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (d,)

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdnp import GDNPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GDNPClassifier().fit(X, y)
    >>> model.certificate_.proved
    True
    """

    loss: str | Loss = "log_loss"
    _target = ("class", "classes")

    def _task(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> Task:
        settings = self._settings("classification")
        read, y, weight, rows = self._given(X, y, sample_weight, options)
        codes: Any
        classes, codes = encoded(y, rows) if isinstance(read, DesignMatrix) else _encode(y)
        weight, mass = self._class_weighted(weight, classes, codes, rows)
        counts = mass > 0.0
        if counts.sum() < 2:
            raise ValueError(
                "y must have at least two classes in rows of positive weight. "
                f"Got one class, {classes.tolist()[mass.argmax()]!r}."
            )
        if not counts.all():  # a class that no row counts for is none
            rank = np.maximum(np.cumsum(counts) - 1, 0).astype(np.int16)
            rows.total(partial(renumbered, rank), writes=(codes,))
        self.classes_ = classes[counts]
        several = len(self.classes_) > 2
        if several and _is_joint(settings.loss):  # one loss, one certificate
            self._several = False
            return Task(self._jointly(settings), read, weight, [lambda: codes])
        self._several = several
        codes_of = range(len(self.classes_)) if several else [1]
        # each target forgets the codes once it is made
        return Task(settings, read, weight, [_signs(rows, codes, code) for code in codes_of])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.solver not in MULTINOMIAL and isinstance(self.loss, str | LogLoss):
            tags.classifier_tags.multi_class = not _is_joint(get_loss(self.loss))
        return tags

    def _jointly(self, settings: Settings) -> Settings:
        """The settings of the multinomial loss."""
        if settings.solver not in MULTINOMIAL:
            raise ValueError(
                f"Only binary classification is supported by solver={settings.solver!r} for the log loss. "
                f"Got {len(self.classes_)} classes; take 'auto', or sklearn.multiclass.OneVsRestClassifier."
            )
        return replace(settings, loss=Softmax(len(self.classes_)))

    def _class_weighted(self, weight: Any, classes: NDArray[Any], codes: Any, rows: Rows) -> Any:
        """The weights of the rows, those of their classes in them, and the sum of each class."""
        if weight is None and self.class_weight is None:
            return None, np.ones(len(classes))
        mass = rows.total(partial(mass_of, len(classes)), weight, codes)[0]
        if self.class_weight is None:
            return weight, mass
        with np.errstate(divide="ignore"):
            factor = compute_class_weight(self.class_weight, classes=classes, y=classes, sample_weight=mass)
        factor[mass == 0.0] = 0.0  # "balanced" divides by what a class weighs
        if not ((factor >= 0.0).all() and np.isfinite(factor).all()):
            raise ValueError(f"class_weight must be finite and non-negative. Got {self.class_weight!r}.")
        factor /= max(factor.max(), 1e-300)
        if not factor @ mass > 0.0:
            raise ValueError("class_weight must leave a positive total weight. Got 0: no row counts.")
        factor /= factor @ mass
        made: Any = rows.empty()
        rows.total(partial(reweighed, factor), weight, codes, writes=(made,))
        return made, factor * mass

    def _attributes(self, coefs: list[FloatArray], intercepts: list[float]) -> dict[str, Any]:
        known = super()._attributes(coefs, intercepts)
        coef, intercept = known["coef_"], known["intercept_"]
        return {"coef_": coef.reshape(-1, self.n_features_in_), "intercept_": intercept.ravel()}

    @by_parts
    def decision_function(self, X: Any) -> FloatArray:
        """X coef_ᵀ + intercept_, shape (n,) for two classes, else (n, K)."""
        scores = self._decision(X)
        return scores.ravel() if scores.shape[1] == 1 else scores

    @by_parts
    def predict(self, X: Any) -> NDArray[Any]:
        """The class of the largest score, shape (n,)."""
        scores = self._decision(X)
        return np.asarray(self.classes_[_largest(scores)])

    @by_parts
    def predict_proba(self, X: Any) -> FloatArray:
        """Probabilities of the classes, shape (n, K); the largest is that of the class that is predicted.

        With p φ'(-s) = (1 - p) φ'(s) at the minimiser of the expected loss, a score s stands for
        p = φ'(s)/(φ'(s) + φ'(-s)): the logistic function for the log loss. A bounded loss has no such p, and
        φ(s)/(φ(s) + φ(-s)) is used. More than two classes are normalised to sum to one; of the multinomial
        log loss they are exp(s_k)/Σ exp(s).
        """
        scores, odds = self._odds(X)
        several = odds.shape[1] > 1
        p = np.exp(self._log_shares(odds)) if several else np.hstack((expit(-odds), expit(odds)))
        return _led(p.astype(scores.dtype), scores)

    @by_parts
    def predict_log_proba(self, X: Any) -> FloatArray:
        """The logarithm of ``predict_proba``, to full relative accuracy also where that is next to 0 or 1."""
        scores, odds = self._odds(X)
        several = odds.shape[1] > 1
        log_p = self._log_shares(odds) if several else np.hstack((-_softplus(odds), -_softplus(-odds)))
        return _led(log_p.astype(scores.dtype), scores)

    def _odds(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Scores, and the logarithms of p/(1 - p) that they stand for."""
        scores = self._decision(X)
        with np.errstate(over="ignore", under="ignore"):
            return scores, get_loss(self.loss).log_odds(scores.astype(np.float64))

    def _log_shares(self, odds: FloatArray) -> FloatArray:
        """Logarithms of probabilities that sum to one: softmax of scores of one loss, or of each class."""
        return _normalised(odds.copy() if _is_joint(get_loss(self.loss)) else -_softplus(-odds))

    def sparsify(self) -> GDNPClassifier:
        """Hold ``coef_`` as a sparse matrix: smaller where more than half of it is 0."""
        check_is_fitted(self)
        self.coef_: Any = csr_array(self.coef_)
        return self

    def densify(self) -> GDNPClassifier:
        """Hold ``coef_`` as an array, as a fit leaves it."""
        check_is_fitted(self)
        self.coef_ = self.coef_.toarray() if issparse(self.coef_) else self.coef_
        return self


def _softplus(t: FloatArray) -> FloatArray:
    """log(1 + eᵗ)."""
    return np.asarray(np.logaddexp(0.0, t))


def _is_joint(loss: Loss) -> bool:
    """Whether more than two classes share one loss."""
    return type(loss) is LogLoss


def _normalised(log_p: FloatArray) -> FloatArray:
    """log p_k/Σp, in place: log1p over all but the largest keeps the digits of 1 - p."""
    rows, first = np.arange(len(log_p)), log_p.argmax(axis=1)
    log_p -= log_p[rows, first][:, None]
    others = np.exp(log_p)
    others[rows, first] = 0.0
    return np.asarray(log_p - np.log1p(others.sum(axis=1, keepdims=True)))


def _largest(scores: FloatArray) -> NDArray[Any]:
    """The index of the class of each row's largest score, shape (n,); the first of those that tie."""
    return (scores[:, 0] > 0.0).astype(int) if scores.shape[1] == 1 else scores.argmax(axis=1)


def _led(p: FloatArray, scores: FloatArray) -> FloatArray:
    """`p`, with the class of the largest score ahead by one rounding where others round to as much."""
    first = _largest(scores)
    tied = np.flatnonzero(p.argmax(axis=1) != first)
    p[tied, first[tied]] = np.nextafter(p[tied].max(axis=1), p.dtype.type(np.inf))
    return p


def _encode(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Classes in order and the index of each row's; two numbers need no sorting of n labels."""
    low, high = (y.min(), y.max()) if y.dtype.kind in "fiu" else (0, 0)
    classes: NDArray[Any]
    if low < high and bool(((y == low) | (y == high)).all()):
        classes, codes = np.array([low, high], dtype=y.dtype), (y == high).view(np.int8)  # n bytes, not 8 n
    else:
        classes, codes = np.unique(y, return_inverse=True)
    if 2 * len(classes) > len(codes):
        check_classification_targets(y)  # warns of what looks like numbers
    check_labels(classes)
    return classes, codes.astype(np.min_scalar_type(len(classes)), copy=False)


def _signs(rows: Rows, codes: RowVector, code: int) -> Callable[[], RowVector]:
    def target() -> RowVector:
        made = rows.empty()
        rows.total(partial(signs, code), codes, writes=(made,))
        return made

    return target
