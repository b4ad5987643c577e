"""Whether a hyperplane has the rows of two classes on its two sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.newton import solve
from gdnp.problem import Objective
from gdnp.solvers import Status
from gdnp.solvers.separation import separation

__all__ = ["Separability", "chosen", "separability_of"]


@dataclass(frozen=True)
class Separability:
    """Whether a hyperplane has the rows on their right sides.

    Attributes
    ----------
    kind : {"complete", "partial", "none", "not decided"}
        Partial: some rows strictly, the others on the hyperplane itself; the log loss has no minimum then
        either.
    rows : int or None
        Rows strictly on their side, where known.
    columns : tuple of str
        Columns that do alone what `kind` says.
    """

    kind: str
    rows: int | None
    columns: tuple[str, ...]


def separability_of(
    X: Any, y: FloatArray, objective: Objective, varies: NDArray[np.bool_], names: Sequence[str]
) -> Separability:
    """Whether some hyperplane separates the rows with y = 1 from those with y = -1, wholly or in part.

    X, dense or sparse, has shape (n, d), and y holds both labels. `objective` is the log loss on them with
    an intercept and no ridge. `varies`, of shape (d,), says which columns are not constant. Where linear
    programs would be too large the solver says what it comes to.
    """
    weak, strict = _single_columns(X, y)
    if strict.any():
        return Separability("complete", len(y), chosen(names, strict))
    columns = chosen(names, weak & varies)  # a constant column touches itself
    rows = _separated_rows(objective)
    if rows is None:
        known = solve(objective).certificate
        assert known is not None
        unseen = "none" if known.status is Status.CONVERGED else "not decided"
        kind = known.separation or unseen
        count = len(y) if kind == "complete" else None
        return Separability("partial" if columns and kind == unseen else kind, count, columns)
    if rows == len(y):
        return Separability("complete", rows, ())
    return Separability("partial" if rows else "none", rows, columns)


def _single_columns(X: Any, y: FloatArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Columns whose values in one class do not go beyond those in the other: at most touching, and apart."""
    extremes = []
    for label in (-1.0, 1.0):
        if sp.issparse(X):
            part = sp.csr_matrix(X)[y == label]
            extremes += [part.min(axis=0).toarray().ravel(), part.max(axis=0).toarray().ravel()]
        else:
            mine = (y == label)[:, None]
            extremes += [
                np.min(X, axis=0, where=mine, initial=np.inf),
                np.max(X, axis=0, where=mine, initial=-np.inf),
            ]
    low, high, other_low, other_high = extremes
    return (high <= other_low) | (other_high <= low), (high < other_low) | (other_high < low)


def _separated_rows(objective: Objective) -> int | None:
    """Rows that some hyperplane has strictly on their sides while it has no row on the wrong one.

    They are left out as they are found, until no hyperplane has others; None where that was not decided.
    """
    problem, count = objective.standardised, 0
    while True:
        found = separation(problem)
        if found.kind == "not decided":
            return None
        count += found.count
        if found.rest is None:
            return count
        problem = problem.reweighted(found.rest).standardised


def chosen(names: Sequence[str], mask: NDArray[np.bool_]) -> tuple[str, ...]:
    """The names where `mask` is true."""
    return tuple(name for name, kept in zip(names, mask, strict=True) if kept)
