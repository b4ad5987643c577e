"""Where f has no minimiser: the part of it that is determined, and how far it is from the infimum.

Along a direction of recession p the rows that it moves cost less and less, and the others do not change. So
inf f is what those others cost at least, which is a problem of its own, with a minimiser once no direction is
left. Its solution is returned, and as much of p on top as brings f to within the tolerance of inf f: then the
rows that p moves are on their sides too.
"""

import math
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np

from gdnp._typing import FloatArray
from gdnp.newton.state import CertifiedState, NewtonState
from gdnp.problem.objective import Objective
from gdnp.problem.points import Direction
from gdnp.solvers.certificates import value_above
from gdnp.solvers.loop import Result
from gdnp.solvers.separation import separation, shortest
from gdnp.solvers.state import ROUNDING, Status, replace

S = TypeVar("S", bound=CertifiedState)


def with_separation(state: NewtonState, tol: float, solve: Callable[[Objective], Result]) -> NewtonState:
    """The end of a run whose last step left a direction of recession possible.

    `solve` is asked for the problem of the rows that the direction leaves where they are.
    """
    assert state.open is not None
    assert state.known is not None
    problem = state.problem
    found = separation(problem, *state.open)
    if found.direction is None:
        return replace(state, known=replace(state.known, separation=found.kind))
    p, columns, ceiling = found.direction, columns_of(problem, found.direction), state.point.value
    x, lowest, relative = problem.origin.x, 0.0, max(tol, ROUNDING)
    kind: Literal["complete", "partial"] = "complete"
    if found.rest is not None:
        rest = solve(problem.reweighted(found.rest))
        assert rest.certificate is not None
        among = problem.coordinates.combinations
        more, coef = rest.certificate.diverging, rest.coef
        if among is not None:  # the rest is a problem of the columns that are kept
            more, coef = tuple(int(j) for j in among.kept[list(more)]), among.placed(coef)
        columns = tuple(dict.fromkeys(columns + more))
        x, ceiling = problem.from_raw(coef, rest.intercept), found.share * rest.objective
        if rest.certificate.separation != "complete":
            kind, lowest = "partial", ceiling / (1.0 + rest.certificate.gap)
    beyond = (1.0 - found.share) * float(problem.loss.value(np.array([-(ROUNDING**-4.0)]))[0])  # inf φ
    line, c = problem.point(x).along(Direction(p, problem.slope(p))), 1.0
    while line.expansion(c).value > beyond + (1.0 + relative) * ceiling and c * ROUNDING < 1.0:
        c *= 2.0
    point = problem.point(x + c * p)
    gap = math.inf if kind == "complete" else max(value_above(point, beyond + lowest), ROUNDING * point.value)
    return without_minimiser(replace(state, point=point), kind, gap, columns)


def without_minimiser(
    state: S, kind: Literal["complete", "partial"], gap: float, columns: tuple[int, ...]
) -> S:
    """The state ended, with what is known of the directions along which f falls for ever."""
    ended = state.ended(Status.LENGTH_DIVERGES, gap, "newton_decrement")
    assert ended.known is not None
    return replace(ended, known=replace(ended.known, separation=kind, diverging=columns))


def columns_of(problem: Objective, p: FloatArray) -> tuple[int, ...]:
    """The columns that p moves, by how much they move the margins: columns have one spread, about.

    Where columns are combinations of others p is one of many that do the same: the one of few columns counts.
    """
    sizes, among = np.abs(p[:-1]) * (problem.coordinates.scale > 0.0), problem.coordinates.combinations
    columns = np.arange(len(sizes))
    if among is not None:
        sizes, columns = np.abs(shortest(p[:-1], among.mixture)), np.append(among.kept, among.rest)
    order = np.argsort(-sizes, kind="stable")
    least = math.sqrt(ROUNDING) * max(sizes.max(initial=0.0), abs(float(p[-1])))
    return tuple(int(columns[j]) for j in order[sizes[order] > least])
