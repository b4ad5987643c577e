"""What the classifier and the regressor have in common: parameters, validation, records, warnings."""

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, Rows, as_design
from gdnp.design.cluster import ClusterRows, is_collection
from gdnp.design.source import is_remote, numbers, source
from gdnp.design.targets import array_of, normalised
from gdnp.design.threads import single_threaded_blas
from gdnp.estimators.callbacks import WRAPPERS, Callbacks, CallbackSupportMixin, with_callbacks
from gdnp.estimators.checkpoint import Checkpoint, Kept
from gdnp.estimators.cluster import scored
from gdnp.estimators.fitting import SOLVERS, Data, Settings, fit_one, rounded
from gdnp.estimators.progress import told, words_of
from gdnp.losses import Loss, Softmax, checked_loss
from gdnp.moments import check_finite
from gdnp.solvers import Progress, Result, Status
from gdnp.validation import NotFiniteError, checked_count, checked_flag, checked_number

UNMET = {
    Status.MAX_ITER: "the iterations ran out; raise max_iter, or tol if less will do",
    Status.STALLED: "the arithmetic allows no better; raise tol, or alpha",
    Status.NON_FINITE: "a step gave NaN or infinity and was undone; scale the data, or drop extreme rows",
    Status.LENGTH_DIVERGES: "the data is separable, or the loss bounded; set alpha > 0 for a finite length",
}
"""Why a tolerance was not met, and what to do."""
LEFT = "alpha=0 leaves coefficients without a finite value{of}, those of {columns}: the data is separable"
DROP = "Set alpha > 0, or drop the column if it gives the label away."
ENDLESS = {
    "complete": f"{LEFT}, a hyperplane has all rows on their sides, so the loss falls for ever along it; the "
    f"direction stands. {DROP}",
    "partial": f"{LEFT} in part, some rows can be pushed to their sides for ever without a change of the "
    f"others; the other coefficients stand. {DROP}",
    "not decided": "alpha=0 may leave coefficients without a finite value{of}: whether a hyperplane "
    "separates rows was not decided, X being too large or the rows too near to it. Set alpha > 0.",
}
"""What the kinds of separation mean for the coefficients."""
NAMED = 5
"""Columns or classes that a warning names."""


@dataclass
class Task:
    """What ``fit`` was given, checked."""

    settings: Settings
    X: Any
    """An array, a sparse one or a ``DesignMatrix``, of shape (n, d)."""
    weight: Any
    """Of sum one, or None; those of the classes are in it."""
    targets: list[Callable[[], Any]]
    """Make what the loss sees of each target, when its turn comes."""


class ScoresSources:
    """Scores on whatever ``fit`` takes; before scikit-learn's own mixin, whose score it asks."""

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy of a classifier, R² of a regressor; X, y and weights may be what ``fit`` takes."""
        if is_collection(X):
            return scored(self, X, y, sample_weight)
        if is_remote(X) or isinstance(y, str):
            names = getattr(self, "feature_names_in_", None)
            columns = None if names is None else names.tolist()
            X = source(X, y=y, weight=sample_weight, columns=columns)
            if X.target is None:
                raise ValueError("y must be given: a column, values or a part of X. Got None.")
            y, sample_weight = array_of(X.target), None if X.weight is None else array_of(X.weight)
        return float(super().score(X, y, sample_weight))  # type: ignore[misc]


@dataclass(eq=False, repr=False)
class Parameters:
    """The parameters of all estimators, as ``GDNPClassifier`` describes them."""

    _: KW_ONLY
    alpha: float = 1e-4
    fit_intercept: bool = True
    solver: str = "auto"
    tol: float = 1e-8
    max_iter: int = 1000
    class_weight: Any = None
    warm_start: bool = False
    n_init: int = 1
    n_jobs: int | None = None
    random_state: Any = None
    verbose: int = 0


class LinearEstimator(CallbackSupportMixin, BaseEstimator, Parameters):  # type: ignore[misc]
    """Parameters and fitting of ``GDNPClassifier`` and ``GDNPRegressor``.

    A fit works on a copy, whose attributes are published once all of them are there: one that fails changes
    nothing. Ctrl-C leaves the best model so far of rows that are no array in memory.
    """

    _target: ClassVar[tuple[str, str]]
    """What one of several targets is called, and several."""
    _depth: ClassVar[int] = 3 + WRAPPERS
    """Calls between a warning and the user's own."""
    _kind: Any
    """Of the copy: float32 where X is that, else float64."""
    _checkpoint: Checkpoint | None = None
    """Of the copy: where points are saved."""
    _several: bool
    """Of the copy: whether attributes have an axis for targets."""
    _interrupted = False
    """Of the copy: whether the fit was ended by Ctrl-C."""
    _of_last_fit: tuple[str, ...] = ()
    """Attributes that the last fit has set; of the copy, those that were there before."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # Input

    def _settings(self, task: str) -> Settings:
        loss = checked_loss(self.loss)
        if loss.task != task:
            raise ValueError(
                f"loss must be one for {task}. Got {loss.name!r}, which is for {loss.task}; "
                f"use {'GDNPClassifier' if loss.task == 'classification' else 'GDNPRegressor'} for it."
            )
        if not isinstance(self.verbose, bool | np.bool_):
            checked_count("verbose", self.verbose)
        checked_flag("warm_start", self.warm_start)
        if self.solver not in SOLVERS:
            raise ValueError(f"solver must be one of {list(SOLVERS)}. Got {self.solver!r}.")
        return Settings(
            loss,
            checked_number("alpha", self.alpha),
            checked_flag("fit_intercept", self.fit_intercept),
            self.solver,
            checked_number("tol", self.tol),
            checked_count("max_iter", self.max_iter, least=1),
            checked_count("n_init", self.n_init, least=1),
        )

    def _read(self, X: Any, y: Any, **options: Any) -> Any:
        """X and y checked for everything but NaN and infinity in X, which the first pass over it finds."""
        with config_context(array_api_dispatch=False):  # tensors become arrays
            return validate_data(
                self, X, y, accept_sparse=["csr", "csc"], ensure_all_finite=False, order=None, **options
            )

    def _weights(self, sample_weight: Any, X: Any) -> FloatArray | None:
        """Weights of sum one, or None."""
        if sample_weight is None:
            return None
        with config_context(array_api_dispatch=False):
            s = np.array(_check_sample_weight(sample_weight, X, dtype=np.float64), dtype=np.float64)
        return normalised(s)

    def _given(self, X: Any, y: Any, sample_weight: Any, options: dict[str, Any], **checks: Any) -> Any:
        """X, y, weights of sum one or None, and the rows that these belong to.

        X is an array in memory, which `checks` are for, or the design of what is read again and again.
        """
        if is_remote(X) or isinstance(y, str) or isinstance(sample_weight, str):
            return self._source(X, y, sample_weight, **options)
        for name, value in options.items():
            if value is not None:
                raise ValueError(
                    f"{name} is for X that is read from files. Got {type(X).__name__}; leave it out."
                )
        X, y = self._read(X, y, **checks)
        return X, y, self._weights(sample_weight, X), Rows(X.shape[0], 1)

    def _source(self, X: Any, y: Any, sample_weight: Any, *, checkpoint: Any = None, **options: Any) -> Any:
        found = source(X, y=y, weight=sample_weight, **options)
        design, rows = found.design, found.design.rows
        if found.target is None:
            raise ValueError(
                f"y must be given: a column, values or a part of X. Got None for {type(X).__name__}."
            )
        design.n_jobs = -1 if self.n_jobs is None else self.n_jobs
        if design.meter is not None and (found is X or not design.in_rounds):  # else it has looked just now
            for name in design.meter.counts:
                setattr(design.meter, name, 0.0)
        self._checkpoint = None if checkpoint is None else Checkpoint(checkpoint, self, found)
        self.n_features_in_ = design.n_features
        if found.names is not None:
            self.feature_names_in_ = np.array(found.names, dtype=object)
        weight: Any = None if found.weight is None else numbers(found.weight, "sample_weight", rows)
        if isinstance(rows, ClusterRows) and weight is not None:
            weight = rows.shares(weight)
        elif weight is not None:
            normalised(rows.array(weight))
            rows.release(0, rows.n, weight)
        return design, found.target, weight, rows

    def _rows_of(self, X: Any) -> Iterator[FloatArray]:
        """The rows of a source, some at a time, in the columns that were fitted."""
        names = getattr(self, "feature_names_in_", None)
        found = source(X, columns=None if names is None else names.tolist())
        with warnings.catch_warnings():  # the columns are matched already
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            yield from found.blocks()

    # Fitting

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        memory: int | float | str | None = None,
        scratch: Any = None,
        checkpoint: Any = None,
        client: Any = None,
    ) -> Self:
        """Fit to X of shape (n, d), dense or sparse, and labels y (n,), or targets y of shape (n,) or (n, k).

        X, y and sample_weight may also be what ``gdnp.design.source`` takes, with one target: a path to files
        of any size and names of columns, say, or a Dask collection. `memory`, `scratch` and `client` are its,
        too. A fit goes on from the file `checkpoint` where it is there, to the same coefficients as if it had
        not been interrupted.

        Raises
        ------
        ValueError
            For bad parameters, NaN or infinity, wrong shapes, a single class, or weights that are negative
            or sum to zero.
        """
        draft = self._draft()
        options = {"memory": memory, "scratch": scratch, "checkpoint": checkpoint, "client": client}
        task = draft._task(X, y, sample_weight, **options)
        watched = getattr(self, "_skl_callbacks", None)
        callbacks = Callbacks(self, X, y, sample_weight) if watched else None
        draft._fit_targets(task, callbacks)
        self._published(draft, task.settings, callbacks)
        return self

    def _draft(self) -> Any:
        """A copy to be fitted; of the last fit it has the coefficients, to be gone on from."""
        draft = copy.copy(self)
        for name in set(self._of_last_fit) - {"coef_", "intercept_"}:
            draft.__dict__.pop(name, None)
        draft._of_last_fit = tuple(set(_fitted(draft)) - {"coef_", "intercept_"})
        return draft

    def _task(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> Task:
        """What is to be fitted."""
        raise NotImplementedError

    def _fit_targets(self, task: Task, callbacks: Callbacks | None) -> None:
        """One fit for each target, which is taken off the list when its turn comes."""
        X, weight, settings, targets = task.X, task.weight, task.settings, task.targets
        rng = check_random_state(self.random_state) if self.n_init > 1 else None
        fits: list[Result] = []
        count, features = len(targets), X.shape[1]
        self._kind = np.float32 if X.dtype == np.float32 else np.float64
        starts = self._starts(settings.loss, count, features)
        remote = getattr(X, "meter", None) is not None
        with self._arithmetic(), told(verbose=bool(self.verbose), live=remote) as show:
            if not (weight is None or isinstance(X, DesignMatrix) or weight.all()):
                counts = weight > 0.0  # other rows may hold what they like, but no NaN and no infinity
                check_finite(as_design(X[~counts]))
                X, weight = X[counts], weight[counts]
                targets = [lambda whole=whole: whole()[counts] for whole in targets]  # type: ignore[misc]
            data = Data(X, weight, settings, self.n_jobs, count)
            if callbacks is not None:
                known = {"feature_names_in_": None, **_fitted(self)}
                begin = [start or (np.zeros(features), 0.0) for start in starts]
                callbacks.begin(begin, lambda *pairs: known | self._attributes(*pairs))
            for k, start in enumerate(starts):
                if callbacks is not None and count > 1:
                    callbacks.target(self._target[0])
                monitor = self._monitor(k, count, callbacks, show)
                target = targets.pop(0)()
                mine = self._settings_of(X, target, weight, settings)
                own = data if mine is settings else Data(X, weight, mine, self.n_jobs)
                objective = own.objective(target)
                del target
                x = None
                if self._checkpoint is not None:
                    x, monitor = self._checkpoint.watched(k, objective, monitor)
                kept = Kept(objective, monitor) if isinstance(X, DesignMatrix) else None
                try:
                    fit = fit_one(objective, mine, start=start, rng=rng, monitor=kept or monitor, x=x)
                except KeyboardInterrupt:
                    if kept is None or kept.best is None or targets:
                        raise
                    fit, self._interrupted = kept.fitted(mine, self._kind is np.float64), True
                exact = self._kind is np.float64 or self._interrupted  # no further reading
                fit = fit if exact else rounded(objective, fit, mine.tol)
                fit = replace(fit, state=None)  # as large as X, of many targets
                fits.append(fit)
                if callbacks is not None and count > 1:
                    callbacks.target_end()
        self._keep(fits)

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """One thread of BLAS, no warnings of floating point, and columns called by their names."""
        try:
            with single_threaded_blas(), np.errstate(all="ignore"):
                yield
        except NotFiniteError as error:
            raise NotFiniteError(error.columns, getattr(self, "feature_names_in_", None)) from None

    def _settings_of(
        self, X: Any, target: FloatArray, weight: FloatArray | None, settings: Settings
    ) -> Settings:
        """What one target is fitted with."""
        return settings

    def _starts(self, loss: Loss, targets: int, features: int) -> list[tuple[FloatArray, Any] | None]:
        """Coefficients and intercepts of the last fit, where it is to be gone on from."""
        shape = loss.classes if isinstance(loss, Softmax) else targets, features
        if not (self.warm_start and hasattr(self, "coef_")):
            return [None] * targets
        coef = self.coef_.toarray() if issparse(self.coef_) else np.atleast_2d(self.coef_)
        if coef.shape != shape:
            return [None] * targets
        W, b = coef.astype(float), np.broadcast_to(np.ravel(self.intercept_), shape[0]).astype(float)
        return [(W, b)] if isinstance(loss, Softmax) else list(zip(W, b, strict=True))

    def _monitor(
        self, k: int, targets: int, callbacks: Callbacks | None, show: Callable[[str], None] | None
    ) -> Callable[[Progress], object] | None:
        """Whatever wants to see each iteration: a progress line, and scikit-learn's callbacks."""
        if show is None and callbacks is None:
            return None

        def watch(row: Progress) -> bool:
            if show is not None:
                of = f"{self._target[0]} {k + 1}/{targets}  " if targets > 1 else ""
                show(of + words_of(row, newton=self.solver in ("auto", "newton")))
            return callbacks is not None and callbacks.iteration(k, *row.solution())

        return watch

    def _attributes(self, coefs: list[FloatArray], intercepts: list[float]) -> dict[str, Any]:
        """What prediction takes of the coefficients and intercepts of all targets."""
        coef, intercept = np.array(coefs, dtype=self._kind), np.array(intercepts, dtype=self._kind)
        return {"coef_": coef, "intercept_": intercept}

    def _keep(self, fits: list[Result]) -> None:
        """Set what every fitted estimator has."""
        self.__dict__.update(self._attributes([f.coef for f in fits], [f.intercept for f in fits]))
        each = self._several
        self.direction_ = np.array([f.direction for f in fits]) if each else fits[0].direction
        self.length_ = np.array([f.length for f in fits]) if each else fits[0].length
        known = tuple(f.certificate for f in fits if f.certificate is not None)
        self.certificate_ = known if each else known[0]
        self.n_iter_ = max(1, *(f.n_iter for f in fits)) if each else max(1, fits[0].n_iter)
        self.history_ = {name: np.concatenate([f.history[name] for f in fits]) for name in fits[0].history}
        if each:
            labels = getattr(self, "classes_", np.arange(len(fits)))
            self.history_[self._target[0]] = np.repeat(labels, [len(f.history["passes"]) for f in fits])

    def _published(self, draft: Any, settings: Settings, callbacks: Callbacks | None) -> None:
        """Take the attributes of a copy that was fitted, all at once; warn of what it came to."""
        for name in self._of_last_fit:
            self.__dict__.pop(name, None)
        self.__dict__.update(_fitted(draft))
        self._of_last_fit = tuple(sorted(set(_fitted(draft)) - set(draft._of_last_fit)))
        if draft._interrupted:
            raise KeyboardInterrupt
        if callbacks is not None:
            callbacks.end()
        for message in self._words(settings):
            warnings.warn(message, ConvergenceWarning, stacklevel=self._depth)

    def _words(self, settings: Settings) -> Iterator[str]:
        """What there is to say of a fit."""
        known = self.certificate_ if isinstance(self.certificate_, tuple) else (self.certificate_,)
        names = getattr(self, "feature_names_in_", None)
        fine, told = (Status.CONVERGED, Status.STOPPED), ("complete", "partial")
        failed = [k for k, one in enumerate(known) if not (one.status in fine or one.separation in told)]
        for kind, words in ENDLESS.items():
            some = [k for k, one in enumerate(known) if one.separation == kind]
            columns = dict.fromkeys(j for k in some for j in known[k].diverging)
            called = _listed([f"column {j}" if names is None else str(names[j]) for j in columns])
            if some:
                yield words.format(of=self._of(some, len(known)), columns=called or "the intercept")
        if failed:
            worst = max((known[k] for k in failed), key=lambda certificate: certificate.gap)
            how = "proved" if worst.proved else "estimated"
            yield (
                f"tol={settings.tol:g} was not met{self._of(failed, len(known))} (relative suboptimality "
                f"{worst.gap:.2g}, {how}): {UNMET[worst.status]}."
            )

    def _of(self, some: Sequence[int], count: int) -> str:
        """Which targets something is said of, where there are several."""
        labels = getattr(self, "classes_", range(count))
        which = _listed([str(labels[k]) for k in some])
        return f" for {len(some)} of {count} {self._target[1]} ({which})" if count > 1 else ""

    # Prediction

    def _decision(self, X: Any) -> FloatArray:
        """X coef_ᵀ + intercept_, shape (n,) or (n, K)."""
        check_is_fitted(self)
        if is_remote(X):
            return np.concatenate([self._decision(rows) for rows in self._rows_of(X)])
        X = self._read(X, "no_validation", reset=False)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            scores = np.asarray(safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_)
        if not np.isfinite(scores).all():  # X is looked at where it may be the cause
            with self._arithmetic():
                check_finite(as_design(X))
        return scores


def _listed(names: list[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _fitted(model: Any) -> dict[str, Any]:
    return {name: v for name, v in vars(model).items() if name.endswith("_") and not name.startswith("_")}
