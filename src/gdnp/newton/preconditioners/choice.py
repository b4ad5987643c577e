"""Which preconditioner a problem gets, and what the next one is: pure functions of what is known and seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from gdnp.design.costs import ORTHOGONAL, passes
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.solvers.state import replace

AT_ONCE = 50.0
"""Passes that a matrix may take, where f is quadratic, to be made at once; elsewhere 1, or 2 of all rows."""
WITHOUT_DIRECTIONS = 600.0
"""Passes that a matrix may take to be tried before directions beside a diagonal, where f is quadratic."""
ROWS_PER_COLUMN, ROWS_PER_COLUMN_NOT_CONVEX = 16, 4
"""Rows of the first matrix for each column: H is within about a half, or the whole, of that of all rows."""
AFFORDABLE, AFFORDABLE_QUADRATIC = 0.25, 12.0
"""Passes that the first matrix may take; where f is quadratic it is ∇²f, and one step is left."""
GROWTH = 3
"""How many times more rows, or directions, each next preconditioner is made from."""
SMALLEST_RIDGE, SMALLEST_RIDGE_OF_ROWS = 1e-13, 1e-31
"""The least ridge beside the largest curvature that a kernel can hold, which cancels all but their ratio, and
that a basis of the rows can, which cancels all but the root of it."""
SMALLEST_RANK = 16
"""Directions beside a diagonal, at least."""
STANDS_OUT = 4.0
"""Eigenvalues that are worth a direction, in units of the mean of the unseen."""
DIAGONAL_COST = 20.0
"""Passes that the memory lost with a diagonal is worth."""


class Kind(Enum):
    """What a preconditioner holds."""

    DIAGONAL = "the diagonal"
    LOW_RANK = "a diagonal and a few directions"
    FULL = "the matrix of the columns"
    KERNEL = "the matrix of the rows"


class Event(Enum):
    """What has happened since the last choice."""

    MADE = "a preconditioner was made"
    STALE = "at the rate seen a new one is the shorter way"
    NO_STEP = "a fresh one gave no step that leads down"
    UNSOLVED = "conjugate gradients did not get far enough in it"
    GIVEN = "another problem's is the first"


@dataclass(frozen=True)
class Facts:
    """What the choice depends on."""

    n: int  # rows
    d: int  # columns
    entries: int  # stored entries of X
    convex: bool  # this and the next two: what the loss is
    quadratic: bool
    regression: bool
    gram_work: float  # this and the next two: times of ``DesignMatrix``, in passes
    column_work: float
    kernel_work: float
    hidden_ridge: bool  # ``hides_ridge`` for the largest curvature there can be
    dear: bool = False  # whether a reading takes so long that a Gram comes along with every gradient

    @classmethod
    def of(cls, problem: Objective) -> Facts:
        """Those of a problem."""
        design, loss, n, d = problem.design, problem.loss, problem.n_samples, problem.n_features
        gram_work = max(1.0, design.gram_work / design.read_cost)
        return cls(
            n=n,
            d=d,
            entries=design.n_entries,
            convex=loss.convex,
            quadratic=loss.quadratic,
            regression=loss.task == "regression",
            gram_work=gram_work,
            column_work=design.column_work / design.read_cost,
            kernel_work=design.kernel_work / design.read_cost,
            hidden_ridge=n < d and hides_ridge(problem, loss.max_curvature / n),
            dear=design.read_cost > 1.0 and loss.convex and d <= min(n, LARGEST_GRAM) and gram_work <= 2.0,
        )

    @property
    def few_rows(self) -> bool:
        """Whether the rows are the smaller side.

        Near interpolation the residuals of a regression are rounding, which a kernel blows up.
        """
        return self.n < (self.d // 2 if self.regression else self.d)

    @property
    def largest_rank(self) -> int:
        """Directions at most: no more numbers than the largest matrix, nor than take as long to read as X."""
        d = max(1, self.d)
        return min(d, LARGEST_GRAM**2 // d, self.entries // (2 * d))


@dataclass(frozen=True)
class Stage:
    """Where in the sequence of preconditioners a run is."""

    kinds: tuple[Kind, ...]  # that of the next one, and those that may follow
    size: int = 0  # rows of the next matrix, or directions of the next low rank
    renewed: bool = False  # whether one was made anew already, or might as well be
    repeats: int = 0  # how often directions were sought again although there were no more to be had
    flat: bool = False  # whether no direction stands out, so that a diagonal serves as well as low rank
    basis: bool | None = None  # whether the kernel that there is, if any, is a basis of the rows

    @property
    def kind(self) -> Kind:
        """That of the next preconditioner."""
        return self.kinds[0]


@dataclass(frozen=True)
class Seen:
    """What has happened, and what the preconditioner that it happened to is like."""

    event: Event
    diagonal: bool = False  # GIVEN: whether it is a diagonal
    largest: float = math.inf  # MADE of low rank: the largest eigenvalue seen,
    smallest: float = math.inf  # the smallest,
    rest: float = 0.0  # and the mean of the unseen
    basis: bool = False  # MADE of rows: whether it is a basis


def hides_ridge(problem: Objective, largest: float) -> bool:
    """Whether a kernel would lose the ridge of a column that a basis of the rows would not.

    A row has about d times the variance of a column, and a curvature of at most `largest`. In classification
    φ'' falls with the ridge: the larger the columns, the longer the margins.
    """
    n, d = problem.n_samples, problem.n_features
    area = LARGEST_GRAM * LARGEST_GRAM
    too_large = n * d > 2 * area or n * n * d > LARGEST_GRAM * area
    if problem.loss.task == "classification" or too_large:
        return False
    values = problem.coordinates.ridge
    ridge = float(np.min(values, initial=np.inf, where=values > 0.0))
    unit = d * largest
    return SMALLEST_RIDGE_OF_ROWS * unit <= ridge < SMALLEST_RIDGE * unit


def first_stage(facts: Facts, *, sure: bool = False) -> Stage:
    """Where a problem begins.

    `sure` is whether what H says of the distance to the minimum is relied on: that of a diagonal may be wrong
    by orders of magnitude.
    """
    kinds = _kinds(facts, sure)
    return Stage(kinds, _first_size(facts, kinds[0]), renewed=facts.quadratic)


def _kinds(facts: Facts, sure: bool) -> tuple[Kind, ...]:
    n, d, few = facts.n, facts.d, facts.few_rows
    if n <= LARGEST_GRAM and (few or facts.hidden_ridge):
        one_system = few and facts.quadratic and not facts.hidden_ridge
        if one_system and _kernel_cost(facts) <= AT_ONCE:
            return (Kind.KERNEL,)
        return (Kind.DIAGONAL if few or d > LARGEST_GRAM else Kind.FULL), Kind.KERNEL
    if d <= LARGEST_GRAM:
        size = _first_size(facts, Kind.FULL)
        worth = AT_ONCE if facts.quadratic else 2.0 if size == n else 1.0
        at_once = sure or facts.dear or not facts.convex or _matrix_cost(facts, size) <= worth
        return (Kind.FULL,) if at_once else (Kind.DIAGONAL, Kind.FULL)
    if facts.largest_rank < SMALLEST_RANK:
        return (Kind.DIAGONAL,)
    last: tuple[Kind, ...] = ()
    if _affordable(n if few else d, facts):
        last = (Kind.KERNEL,) if few else (Kind.FULL,)
    if facts.quadratic and last:
        costs = _kernel_cost(facts) if few else _matrix_cost(facts, n)
        if costs <= WITHOUT_DIRECTIONS:
            return Kind.DIAGONAL, *last
    return Kind.DIAGONAL, Kind.LOW_RANK, *last


def _affordable(side: int, facts: Facts) -> bool:
    """Whether a matrix of so many rows may be held in the end."""
    some = 2 * LARGEST_GRAM
    return side <= some or (side <= 2 * some and side * side <= 2 * facts.entries)


def _first_size(facts: Facts, kind: Kind) -> int:
    if kind is Kind.LOW_RANK:
        return SMALLEST_RANK
    if kind is not Kind.FULL:
        return 0
    if facts.dear:
        return facts.n
    rows = (ROWS_PER_COLUMN if facts.convex else ROWS_PER_COLUMN_NOT_CONVEX) * facts.d
    affordable = AFFORDABLE_QUADRATIC if facts.quadratic else AFFORDABLE
    return _rows(facts, max(rows, int(affordable * facts.n / facts.gram_work)))


def _rows(facts: Facts, rows: int) -> int:
    """All of them, where it would be half of them, or drawing takes longer."""
    fewer = 2 * rows < facts.n and _matrix_cost(facts, rows) < _matrix_cost(facts, facts.n)
    return rows if fewer else facts.n


def next_stage(facts: Facts, stage: Stage, seen: Seen) -> Stage:
    """The stage that follows from what has happened.

    MADE lets the next one be larger. STALE goes on to the next kind where one of the first was renewed before
    or the next is cheap; NO_STEP wherever there is one; UNSOLVED and GIVEN leave a diagonal. Directions give
    way only when there are no more to be had.
    """
    match seen.event:
        case Event.MADE:
            return _larger(facts, stage, seen)
        case Event.STALE | Event.NO_STEP:
            due = _due(facts, stage, forced=seen.event is Event.NO_STEP)
            return replace(_dropped(facts, stage) if due else stage, renewed=True)
        case Event.UNSOLVED | Event.GIVEN:
            leaves = not seen.diagonal and stage.kind is Kind.DIAGONAL and len(stage.kinds) > 1
            return _dropped(facts, stage) if leaves else stage


def _larger(facts: Facts, stage: Stage, seen: Seen) -> Stage:
    if stage.kind is Kind.FULL:
        return replace(stage, size=_rows(facts, GROWTH * stage.size))
    if stage.kind is Kind.KERNEL:
        return replace(stage, basis=seen.basis)
    if stage.kind is Kind.LOW_RANK:
        flat = stage.flat or seen.largest < STANDS_OUT * seen.rest
        rank = min(GROWTH * stage.size, facts.largest_rank)
        if flat or seen.smallest < STANDS_OUT * seen.rest or rank == stage.size:
            return replace(stage, flat=flat, repeats=stage.repeats + 1)
        return replace(stage, size=rank)
    return stage


def _due(facts: Facts, stage: Stage, *, forced: bool) -> bool:
    """Whether the next kind is: after one more of the first if that is cheaper."""
    if len(stage.kinds) == 1:
        return False
    if stage.kind is Kind.LOW_RANK:
        return stage.repeats > 1
    return forced or stage.renewed or _cost_of(facts, _dropped(facts, stage)) <= DIAGONAL_COST


def _dropped(facts: Facts, stage: Stage) -> Stage:
    kinds = stage.kinds[1:]
    return replace(stage, kinds=kinds, size=_first_size(facts, kinds[0]), repeats=0)


def cost(facts: Facts, stage: Stage) -> float:
    """Passes that the next renewal takes the time of; of a cheap one, that the memory lost is worth."""
    return _cost_of(facts, _dropped(facts, stage) if _due(facts, stage, forced=False) else stage)


def cost_of_sharper(facts: Facts, stage: Stage) -> float:
    """The same of a sharper one; infinite where there is none."""
    return math.inf if stage.kinds == (Kind.DIAGONAL,) else cost(facts, stage)


def cost_of_matrix(facts: Facts, stage: Stage) -> float:
    """The same of a matrix in place of a diagonal; infinite where none follows."""
    follows = stage.kinds[:2] == (Kind.DIAGONAL, Kind.FULL)
    return _cost_of(facts, _dropped(facts, stage)) if follows else math.inf


def _cost_of(facts: Facts, stage: Stage) -> float:
    match stage.kind:
        case Kind.FULL:
            return _matrix_cost(facts, stage.size)
        case Kind.KERNEL:
            return _kernel_cost(facts, stage.basis)
        case Kind.LOW_RANK if not stage.flat:
            orthogonal = ORTHOGONAL * facts.d * stage.size**2 / max(1, facts.entries)
            return passes(facts.n, facts.entries, stage.size * facts.column_work + orthogonal)
    return DIAGONAL_COST


def _matrix_cost(facts: Facts, rows: int) -> float:
    work = facts.gram_work * rows / facts.n
    return passes(facts.n, facts.entries, work, side=facts.d, drawn=rows < facts.n)


def _kernel_cost(facts: Facts, basis: bool | None = None) -> float:
    if basis:
        return 0.5 * facts.n
    work = facts.kernel_work if basis is None else 0.0
    return max(2.0, passes(facts.n, facts.entries, work, side=facts.n))
