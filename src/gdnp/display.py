"""How fits came to their ends, and how well each ridge does: Displays as scikit-learn has them."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
from sklearn.model_selection import ValidationCurveDisplay

from gdnp._files import require
from gdnp._typing import FloatArray

Axis = Literal["passes", "seconds", "iterations"]
LABELS = {"passes": "passes over the data", "seconds": "seconds", "iterations": "iterations"}


class ConvergenceDisplay:
    """Relative suboptimality against passes, seconds or iterations.

    Make one with ``from_estimators``. Matplotlib is imported by ``plot`` alone.

    Parameters
    ----------
    histories : dict of str to dict of str to ndarray
        ``history_`` of each fit.
    best : dict of str to float
        What each fit's objective is compared with: the lower bound its certificate gives where it is a
        proof, else the lowest objective of all.

    Attributes
    ----------
    ax_, figure_, lines_
        Set by ``plot``.
    """

    def __init__(self, histories: dict[str, dict[str, FloatArray]], best: dict[str, float]) -> None:
        self.histories = histories
        self.best = best

    @classmethod
    def from_estimators(
        cls, estimators: Any, *, x: Axis = "passes", class_index: int = 0, ax: Any = None, **line: Any
    ) -> ConvergenceDisplay:
        """Draw fitted estimators on one set of axes.

        Parameters
        ----------
        estimators : dict of str to estimator, or sequence of estimators
            Fitted, on the same problem. A sequence is named after its solvers.
        x : {"passes", "seconds", "iterations"}
            The horizontal axis.
        class_index : int
            Which class of a one-vs-rest fit, or which of several targets.
        ax : matplotlib axes or None
        **line
            Passed to ``ax.semilogy``.
        """
        if not isinstance(estimators, dict):
            estimators = _named(list(estimators))
        if not estimators:
            raise ValueError("estimators must hold at least one fitted estimator. Got none.")
        histories, bounds = {}, []
        for name, estimator in estimators.items():
            if not hasattr(estimator, "history_"):
                raise ValueError(f"estimators must be fitted. {name!r} is not; call fit first.")
            histories[name] = _of_class(estimator, class_index)
            bounds.append(_lower_bound(estimator, class_index))
        lowest = min(float(history["objective"].min()) for history in histories.values())
        proved = [bound for bound in bounds if bound is not None and bound <= lowest]
        reference = max(proved) if proved else lowest
        return cls(histories, dict.fromkeys(histories, reference)).plot(ax=ax, x=x, **line)

    def suboptimality(self, name: str) -> FloatArray:
        """(f - best)/best at every row of the history of `name`."""
        best = self.best[name]
        return (self.histories[name]["objective"] - best) / max(abs(best), np.finfo(float).tiny)

    def plot(self, *, ax: Any = None, x: Axis = "passes", **line: Any) -> ConvergenceDisplay:
        """Draw on `ax`, or on new axes."""
        if x not in LABELS:
            raise ValueError(f"x must be 'passes', 'seconds' or 'iterations'. Got {x!r}.")
        if ax is None:
            _, ax = require("matplotlib.pyplot", "plot").subplots()
        self.lines_ = []
        for name, history in self.histories.items():
            along = np.arange(len(history["objective"])) if x == "iterations" else history[x]
            gap = np.maximum(self.suboptimality(name), 1e-16)
            self.lines_ += ax.semilogy(along, gap, **{"marker": ".", "label": name, **line})
        ax.set(xlabel=LABELS[x], ylabel="relative suboptimality")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


class AlphaDisplay(ValidationCurveDisplay):  # type: ignore[misc]
    """Scores on rows that were held out against the ridge, their mean and spread, and the ridge of choice.

    Make one with ``from_estimator``. The spread is the standard deviation over the folds; where each row is
    one, the standard error of their mean.
    """

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **options: Any) -> AlphaDisplay:
        """Draw a fitted ``GDNPClassifierCV`` or ``GDNPRegressorCV``.

        Parameters
        ----------
        estimator : estimator
        ax : matplotlib axes or None
        **options
            Passed to ``ValidationCurveDisplay.plot``.
        """
        if not hasattr(estimator, "scores_"):
            raise ValueError("estimator must be fitted, and choose a ridge. Got one without scores_.")
        order, scores = np.argsort(estimator.alphas_), estimator.scores_.T
        if not hasattr(estimator, "certificates_"):
            mean = scores.mean(axis=1, keepdims=True)
            scores = mean + (scores - mean) / np.sqrt(scores.shape[1])
        display = cls(
            param_name="alpha",
            param_range=estimator.alphas_[order],
            train_scores=scores[order],
            test_scores=scores[order],
            score_name=estimator.scoring if isinstance(estimator.scoring, str) else "score",
        )
        display.plot(ax, **{"score_type": "test", **options})
        display.ax_.axvline(estimator.alpha_, linestyle="--", color="grey", label=f"{estimator.alpha_:.3g}")
        display.ax_.legend()
        return display


def _named(estimators: list[Any]) -> dict[str, Any]:
    """Names by solver, numbered where one comes twice."""
    named: dict[str, Any] = {}
    for estimator in estimators:
        base = getattr(estimator, "solver", type(estimator).__name__)
        names = itertools.chain([base], (f"{base} {k}" for k in itertools.count(2)))
        named[next(name for name in names if name not in named)] = estimator
    return named


def _of_class(estimator: Any, index: int) -> dict[str, FloatArray]:
    history = estimator.history_
    if "class" in history:
        rows = history["class"] == estimator.classes_[index]
    elif "target" in history:
        rows = history["target"] == index
    else:
        return dict(history)
    return {name: column[rows] for name, column in history.items()}


def _lower_bound(estimator: Any, index: int) -> float | None:
    certificate = estimator.certificate_
    if isinstance(certificate, tuple):
        certificate = certificate[index]
    return float(certificate.objective / (1.0 + certificate.gap)) if certificate.proved else None
