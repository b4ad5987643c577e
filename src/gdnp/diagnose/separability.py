"""Whether a hyperplane has the rows of two classes on its two sides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gdnp.design import Source, SparseDesign
from gdnp.problem import Objective
from gdnp.solvers import Result, Status
from gdnp.solvers.separation import separation


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
    objective: Objective, varies: NDArray[np.bool_], names: Sequence[str], known: Callable[[], Result]
) -> Separability:
    """Whether some hyperplane separates the rows of the two labels, wholly or in part.

    `objective` is the log loss on the rows, with an intercept and no ridge. `varies`, of shape (d,), says
    which columns are not constant. Where linear programs would be too large, or rows are dear to read, what
    the solver has found is asked for, `known`.
    """
    weak, strict = _single_columns(objective)
    n = objective.n_samples
    if strict.any():
        return Separability("complete", n, chosen(names, strict))
    columns = chosen(names, weak & varies)  # a constant column touches itself
    rows = None if objective.design.read_cost > 1.0 else _separated_rows(objective)
    if rows is None:
        certificate = known().certificate
        assert certificate is not None
        unseen = "none" if certificate.status is Status.CONVERGED else "not decided"
        kind = certificate.separation or unseen
        count = n if kind == "complete" else None
        return Separability("partial" if columns and kind == unseen else kind, count, columns)
    if rows == n:
        return Separability("complete", rows, ())
    return Separability("partial" if rows else "none", rows, columns)


def _single_columns(objective: Objective) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Columns whose values in one class do not go beyond those in the other: at most touching, and apart."""
    design, ends = objective.unread.design, np.full((4, objective.n_features), np.inf)
    parts: Any = [design._X.tocsr()] if isinstance(design, SparseDesign) else Source(design).blocks()
    begin = 0
    for rows in parts:
        sigma = design.rows.piece(objective.sigma, begin, begin + rows.shape[0])
        begin += rows.shape[0]
        for k, label in enumerate((1.0, -1.0)):
            mine = rows[sigma == label]
            if mine.shape[0]:
                for extreme, end in ((mine.min(axis=0), ends[k]), (-mine.max(axis=0), ends[k + 2])):
                    found = extreme.toarray().ravel() if sp.issparse(extreme) else extreme
                    np.minimum(end, found, out=end)
    low, other_low, high, other_high = *ends[:2], *-ends[2:]
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
