"""``GDNPClassifierCV`` and ``GDNPRegressorCV``: a ridge chosen by cross-validation, every fit certified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, check_random_state

from gdnp._typing import FloatArray
from gdnp.design import Choice, Source, source
from gdnp.design.cluster import is_collection
from gdnp.design.source import is_remote
from gdnp.estimators.base import LinearEstimator, Task
from gdnp.estimators.classifier import GDNPClassifier
from gdnp.estimators.cluster import DealtFolds
from gdnp.estimators.fitting import Data, Settings
from gdnp.estimators.leave_one_out import left_out
from gdnp.estimators.progress import told
from gdnp.estimators.regressor import GDNPRegressor
from gdnp.estimators.ridge_path import Leader, Path, checked_alphas, grid
from gdnp.estimators.scoring import Scores
from gdnp.losses import Loss, checked_loss
from gdnp.problem.coordinates import LARGEST_GRAM
from gdnp.solvers import Certificate, Result, Status
from gdnp.validation import checked_flag

FOLDS = 5
"""Where nothing else is asked for."""
Fold = tuple[Choice | None, Any]
"""A training set, and its weights of sum one or None; of all rows where weights choose."""


@dataclass(frozen=True)
class AlphaPath:
    """Fits for several ridges.

    Attributes
    ----------
    alphas : ndarray of shape (m,)
        In the order that they were given; those of a grid from large to small.
    coefs : ndarray of shape (m, d) or (m, K, d)
        K is the number of classes where there are more than two, or of several targets.
    intercepts : ndarray of shape (m,) or (m, K)
    certificates : ndarray of shape (m, k)
        A ``Certificate`` for each of the k fits of a ridge.
    """

    alphas: FloatArray
    coefs: FloatArray
    intercepts: FloatArray
    certificates: NDArray[Any]


def path(X: Any, y: Any, alphas: Any = None, *, loss: str | Loss = "log_loss", **options: Any) -> AlphaPath:
    """Fit a linear model for each of several ridges, from the largest to the smallest, each certified.

    Parameters
    ----------
    X, y, alphas, loss
        As ``GDNPClassifierCV`` or ``GDNPRegressorCV`` takes them; so with what is raised.
    **options
        ``sample_weight``, and other parameters of ``GDNPClassifier`` or ``GDNPRegressor``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> import gdnp
    >>> found = gdnp.path(*load_breast_cancer(return_X_y=True), [1e-2, 1e-4])
    >>> found.coefs.shape, all(one.proved for one in found.certificates.flat)
    ((2, 30), True)
    """
    weight = options.pop("sample_weight", None)
    kind = GDNPClassifierCV if checked_loss(loss).task == "classification" else GDNPRegressorCV
    model: Any = kind(loss, alphas=alphas, **options)
    task = model._prepared(X, y, weight)
    (fits,) = model._fitted(task, ())
    found = [model._attributes([f.coef for f in row], [f.intercept for f in row]) for row in fits]
    coefs, intercepts = (np.array([one[name] for one in found]) for name in ("coef_", "intercept_"))
    if is_classifier(model) and coefs.shape[1] == 1:
        coefs, intercepts = coefs[:, 0], intercepts[:, 0]
    certificates = np.array([[f.certificate for f in row] for row in fits], dtype=object)
    return AlphaPath(model.alphas_, coefs, intercepts, certificates)


@dataclass(eq=False, repr=False)
class CrossValidated(LinearEstimator):
    """What the two estimators have in common; private methods work on a copy."""

    _: KW_ONLY
    alpha: float = field(init=False, default=1.0)
    """Of the first coordinates, which those of every ridge follow from."""
    alphas: Any = None
    cv: Any = None
    scoring: Any = None
    refit: bool = True
    _depth = 3

    def fit(  # type: ignore[override]  # rows of files are not drawn for folds
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, *, client: Any = None
    ) -> Self:
        """Choose a ridge for X of shape (n, d), dense or sparse, and y of shape (n,), of targets also (n, k).

        `groups` of shape (n,) are for a `cv` that keeps them together. X, y and sample_weight may be Dask
        collections, whose rows are dealt out to folds one by one; `client` is as for ``GDNPClassifier``.

        Raises
        ------
        ValueError
            For bad parameters or data as ``GDNPClassifier``, for bad `alphas`, for folds that leave a class
            out of a training set, or a scorer that fails.
        """
        checked_flag("refit", self.refit)
        if groups is not None and not (hasattr(self.cv, "split") or isinstance(self.cv, Iterable)):
            raise ValueError(
                "groups need a cv that keeps them together, such as sklearn.model_selection.GroupKFold(). "
                f"Got cv={self.cv!r}."
            )
        if getattr(self, "_skl_callbacks", None):
            raise ValueError("callbacks are for GDNPClassifier and GDNPRegressor. Got some; remove them.")
        draft = self._draft()
        scores: Scores | DealtFolds
        if is_collection(X) or client is not None:
            count, found = self._number_of_folds(groups), source(X, y=y, weight=sample_weight, client=client)
            task = draft._prepared(found, None, None)
            scores = DealtFolds(draft, found, count)
        else:
            task = draft._prepared(X, y, sample_weight)
            labels = np.asarray(y)
            labels = labels.ravel() if labels.ndim == 2 and labels.shape[1] == 1 else labels
            weight = None if sample_weight is None else draft._weights(sample_weight, task.X)
            scores = Scores(draft, self.scoring, task.X, labels, weight)
        draft._search(task, scores, groups)
        self._published(draft, task.settings, None)
        return self

    def _number_of_folds(self, groups: Any) -> int:
        """Of rows on a cluster, which are dealt out."""
        cv = FOLDS if self.cv is None else self.cv
        plain = isinstance(cv, int | np.integer) and not isinstance(cv, bool) and cv > 1
        if not plain or self.scoring is not None or groups is not None:
            raise ValueError(
                "On a cluster cv is a number of folds of at least 2, and scoring and groups are None. "
                f"Got cv={self.cv!r} and scoring={self.scoring!r}."
            )
        return int(cv)

    def _prepared(self, X: Any, y: Any, sample_weight: Any) -> Task:
        """The task, its X by rows, and ``alphas_``."""
        on_cluster = isinstance(X, Source) and X.design.in_rounds
        if is_remote(X) and not on_cluster:
            raise ValueError(
                f"X must be an array in memory, for its rows are drawn for folds. Got {type(X).__name__}; "
                "fit GDNPClassifier or GDNPRegressor with each alpha."
            )
        given = checked_alphas(self.alphas)
        task: Task = self._task(X, y, sample_weight)
        if issparse(task.X) and task.X.format != "csr":
            task.X = task.X.tocsr()
        self._kind = np.float32 if task.X.dtype == np.float32 else np.float64
        if isinstance(given, int):
            with self._arithmetic():
                data = Data(task.X, task.weight, task.settings, self.n_jobs)
                given = grid(data.objective(task.targets[0]()).standardised, given)
        self.alphas_ = given
        return task

    def _search(self, task: Task, scores: Scores | DealtFolds, groups: Any) -> None:
        """Fit and score the folds; keep what is best."""
        folds: list[tuple[Fold, Any]]
        if isinstance(scores, DealtFolds):
            folds = self._dealt(task, scores)
        else:
            folds = self._folds(task, scores.y, groups)
        whole, *sets = self._fitted(task, [fold for fold, _ in folds])
        shape = len(folds), len(self.alphas_)
        self.certificates_ = np.empty((*shape, len(task.targets)), dtype=object)
        self.scores_, iterations, paths = np.empty(shape), np.empty(shape, dtype=int), []
        for k, (fits, (_, test)) in enumerate(zip(sets, folds, strict=True)):
            held_out = scores.of(test)
            for a, row in enumerate(fits):
                found = self._attributes([f.coef for f in row], [f.intercept for f in row])
                self.scores_[k, a] = held_out(found, f"fold {k} with alpha={self.alphas_[a]:g}")
                self.certificates_[k, a] = [f.certificate for f in row]
                iterations[k, a] = max(1, *(f.n_iter for f in row))
                paths.append(np.column_stack((np.atleast_2d(found["coef_"]), np.ravel(found["intercept_"]))))
        self.coefs_paths_ = np.reshape(paths, (*shape, *paths[0].shape))
        if self.refit:
            self._keep_best(self.scores_.mean(axis=0), lambda best: whole[best])
        else:
            self._keep_mean(sets)
        self.n_iter_: Any = iterations

    def _keep_mean(self, sets: list[list[list[Result]]]) -> None:
        """The mean of each fold's best fit."""
        order = self._falling
        best = order[np.argmax(self.scores_[:, order], axis=1)]
        each = np.arange(len(best))
        self.alpha_, self.best_score_ = self.alphas_[best].mean(), self.scores_[each, best].mean()
        chosen = [sets[k][a] for k, a in enumerate(best)]
        coefs = list(np.mean([[fit.coef for fit in row] for row in chosen], axis=0))
        intercepts = list(np.mean([[fit.intercept for fit in row] for row in chosen], axis=0))
        self.__dict__.update(self._attributes(coefs, intercepts))

    def _keep_best(self, scores: FloatArray, fits: Callable[[int], list[Result]]) -> None:
        """The ridge of the best score, of several the largest, and its fits on all rows."""
        order = self._falling
        best = int(order[np.argmax(scores[order])])
        self.alpha_, self.best_score_ = float(self.alphas_[best]), float(scores[best])
        self._keep(fits(best))

    @property
    def _falling(self) -> NDArray[np.intp]:
        """Where in ``alphas_`` the ridges are, from the largest to the smallest."""
        return np.argsort(-self.alphas_, kind="stable")

    # Folds

    def _folds(self, task: Task, y: NDArray[Any], groups: Any) -> list[tuple[Fold, Any]]:
        """Training sets, and the rows that are held out of them."""
        cv = check_cv(FOLDS if self.cv is None else self.cv, y, classifier=is_classifier(self))
        found: list[tuple[Fold, Any]] = []
        for k, split in enumerate(cv.split(task.X, y, groups)):
            train, test = (np.arange(len(y))[part] for part in split)
            if len(test) == 0:
                raise ValueError(f"cv must hold rows out. Got none in fold {k}; pass other splits.")
            weight = None if task.weight is None else task.weight[train]
            self._check_training(k, y[train] if weight is None else y[train][weight > 0.0])
            weight = None if weight is None else weight / weight.sum()
            found.append(((Choice(train, len(train)), weight), test))
        if not found:
            raise ValueError("cv must have at least one fold. Got none; pass a number or splits.")
        return found

    def _dealt(self, task: Task, scores: DealtFolds) -> list[tuple[Fold, Any]]:
        """As ``_folds``, of rows that are held out by a weight of 0."""
        found: list[tuple[Fold, Any]] = []
        for k in range(scores.count):
            weight: Any = scores.training(task.weight, k)
            if is_classifier(self):
                self._check_training(k, scores.classes_in(weight))
            found.append(((None, weight), k))
        return found

    def _check_training(self, k: int, y: NDArray[Any]) -> None:
        """Refuse the k-th training set where it cannot be fitted."""
        if len(y) == 0:
            raise ValueError(
                f"cv must train on rows of positive weight. Got none in fold {k}; pass other splits."
            )
        missing = np.setdiff1d(self.classes_, y).tolist() if is_classifier(self) else []
        if missing:
            raise ValueError(
                f"cv must train on rows of every class. Got fold {k} without class {missing[0]!r}; "
                "drop the class, or pass splits that leave a row of it in."
            )

    def _fitted(self, task: Task, folds: Sequence[Fold]) -> list[list[list[Result]]]:
        """The fits of all rows and of the folds, for each of ``alphas_``, of every target."""
        order = self._falling
        rng = check_random_state(self.random_state) if self.n_init > 1 else None
        count = len(task.targets)
        found: list[list[list[Result]]] = [[[] for _ in order] for _ in range(1 + len(folds))]
        done, total = 0, len(found) * len(order) * count
        with self._arithmetic(), told(verbose=bool(self.verbose), live=True) as show:
            data = Data(task.X, task.weight, task.settings, self.n_jobs, count)
            weakest = replace(task.settings, alpha=float(self.alphas_.min()))
            for make, start in zip(
                task.targets, self._starts(task.settings.loss, count, task.X.shape[1]), strict=True
            ):
                target = make()
                choices = [choice for choice, _ in folds if choice is not None]
                settings = self._settings_of(task.X, target, task.weight, weakest)
                if settings is not weakest:
                    data = Data(task.X, task.weight, replace(settings, alpha=1.0), self.n_jobs)
                way = Path(settings, self.alphas_[order], self._kind is np.float32, rng)
                leader = Leader(way, data.objective(target), choices)
                fits = [
                    leader.lead(start),
                    *(
                        self._alone(way, task.X, weight, target)
                        if choice is None
                        else leader.follow(k, weight)
                        for k, (choice, weight) in enumerate(folds)
                    ),
                ]
                for k, some in enumerate(fits):
                    for a, fit in zip(order, some, strict=True):
                        found[k][a].append(fit)
                        done += 1
                        if show is not None and fit.certificate is not None:
                            gap = fit.certificate.gap
                            show(f"fit {done}/{total}  alpha {self.alphas_[a]:.3g}  gap {gap:.1e}")
        return found

    def _alone(self, way: Path, X: Any, weight: Any, target: Any) -> Iterator[Result]:
        """The fits of rows that weights choose."""
        data = Data(X, weight, replace(way.settings, alpha=1.0), self.n_jobs)
        return Leader(replace(way, rng=None), data.objective(target)).lead()

    def _words(self, settings: Settings) -> Iterator[str]:
        if self.refit:
            yield from super()._words(settings)
        fits: list[Certificate] = [*getattr(self, "certificates_", np.empty(0)).flat]
        failed = [one for one in fits if one.status is not Status.CONVERGED]
        if failed:
            worst = max(failed, key=lambda one: one.gap)
            yield (
                f"tol={settings.tol:g} was not met for {len(failed)} of {len(fits)} fits of training sets "
                f"(relative suboptimality {worst.gap:.2g} at most); certificates_ says which and why."
            )


@dataclass(eq=False, repr=False)
class GDNPClassifierCV(CrossValidated, GDNPClassifier):
    """``GDNPClassifier`` with its ridge chosen by cross-validation.

    Each training set is fitted for all ridges, from the largest to the smallest, and each fit has a
    certificate. All rows are fitted in the same way, so that the chosen model is there already.

    Parameters
    ----------
    loss : {"log_loss", "sigmoid", "probit"} or gdnp.losses.Loss
    alphas : array-like of shape (m,), int or None
        Ridges >= 0 in any order, in the units of ``GDNPClassifier``'s alpha: C of ``LogisticRegressionCV`` is
        1/(alpha n). A number is the size of a grid from the data, None is 10. It goes from sup φ'' Σ_j
        Var(x_j), where all columns together have one degree of freedom at most, to where none is shrunk by
        more than a millionth, 1e-6 sup φ'' min_j Var(x_j).
    cv : int, splitter, iterable or None
        As in scikit-learn; None is 5 folds. Every training set must have rows of every class.
    scoring : str, callable or None
        As in scikit-learn. None is "neg_log_loss", and "accuracy" for a loss that is not convex. Weights are
        passed on to a scorer that takes them, and all classes as its labels.
    refit : bool
        Whether the best mean score decides, and all rows are fitted. Else the coefficients of the best ridge
        of each fold are averaged, without a certificate.
    fit_intercept, solver, tol, max_iter, class_weight, warm_start, n_init, n_jobs, random_state
        See ``GDNPClassifier``.
    verbose : int
        Whether to print a line a fit on stderr. A terminal shows the last one after two seconds, where rich
        is installed.

    Attributes
    ----------
    alpha_ : float
        The ridge of the best mean score, the largest of several; without `refit` the mean over the folds.
    alphas_ : ndarray of shape (m,)
        In the order that they were given; those of a grid from large to small.
    best_score_ : float
    scores_ : ndarray of shape (n_folds, m)
    coefs_paths_ : ndarray of shape (n_folds, m, 1, d + 1) or (n_folds, m, K, d + 1)
        The intercept comes last.
    certificates_ : ndarray of shape (n_folds, m, k)
        A ``Certificate`` for each of the k problems of a fit.
    n_iter_ : ndarray of shape (n_folds, m)
    coef_, intercept_, classes_, direction_, length_, certificate_, history_
        Of the chosen model; see ``GDNPClassifier``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdnp import GDNPClassifierCV
    >>> model = GDNPClassifierCV(alphas=[1e-4, 1e-2, 1.0]).fit(*load_breast_cancer(return_X_y=True))
    >>> model.alpha_, model.scores_.shape
    (0.0001, (5, 3))
    """


@dataclass(eq=False, repr=False)
class GDNPRegressorCV(CrossValidated, GDNPRegressor):
    """``GDNPRegressor`` with its ridge chosen by cross-validation.

    Parameters
    ----------
    loss, delta
        See ``GDNPRegressor``; with "auto", δ is that of the smallest ridge on all rows.
    alphas, refit, verbose
        See ``GDNPClassifierCV``. alpha of ``RidgeCV`` is n times this one.
    cv : int, splitter, iterable or None
        As in scikit-learn. None leaves out each row in turn, in closed form, where the loss is squared, the
        ridges are positive, the rows or the columns are up to 4096 and `scoring` is None. Else it is 5 folds.
    scoring : str, callable or None
        As in scikit-learn. None is "neg_mean_squared_error", and for a robust loss "neg_mean_absolute_error".
    fit_intercept, solver, tol, max_iter, class_weight, warm_start, n_init, n_jobs, random_state
        See ``GDNPRegressor``.

    Attributes
    ----------
    alpha_, alphas_, best_score_, coefs_paths_, certificates_, n_iter_
        See ``GDNPClassifierCV``. With rows left out one by one there are no paths and certificates of folds,
        and ``n_iter_`` is a number.
    scores_ : ndarray of shape (n_folds, m)
        With rows left out one by one, each row of positive weight is a fold.
    coef_, intercept_, delta_, direction_, length_, certificate_, history_
        Of the chosen model; see ``GDNPRegressor``.
    """

    def _search(self, task: Task, scores: Scores | DealtFolds, groups: Any) -> None:
        closed = task.settings.loss.quadratic and min(task.X.shape) <= 2 * LARGEST_GRAM
        closed = closed and self.cv is self.scoring is None and self.refit and self.alphas_.min() > 0.0
        if closed and isinstance(scores, Scores) and len(scores.y) > 1:
            self._leave_one_out(task, scores.y.astype(np.float64))
        else:
            super()._search(task, scores, groups)

    def _leave_one_out(self, task: Task, y: FloatArray) -> None:
        """Score each row by the fit of all others."""
        weight, settings, X = task.weight, task.settings, task.X
        if weight is not None and not (weight > 0.0).all():
            rows = np.flatnonzero(weight > 0.0)
            X, y, weight = _safe_indexing(X, rows), y[rows], weight[rows]
        targets, order = y.reshape(len(y), -1), self._falling
        self.scores_ = np.empty((len(y), len(order)))
        way = Path(settings, self.alphas_, self._kind is np.float32)
        with self._arithmetic():
            weakest = replace(settings, alpha=float(self.alphas_.min()))
            data = Data(X, weight, weakest, self.n_jobs, targets.shape[1])
            problem = data.objective(targets[:, 0]).standardised
            alphas = self.alphas_[order] / settings.loss.max_curvature
            for a, predicted in zip(order, left_out(problem, targets, alphas), strict=True):
                self.scores_[:, a] = -np.square(targets - predicted).mean(axis=1)
            mean = np.average(self.scores_, axis=0, weights=weight)

            def fits(best: int) -> list[Result]:
                path = replace(way, alphas=self.alphas_[[best]])
                objectives = map(data.objective, np.ascontiguousarray(targets.T))
                return [fit for one in objectives for fit in Leader(path, one).lead()]

            self._keep_best(mean, fits)
