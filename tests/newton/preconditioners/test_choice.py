"""Which preconditioner comes first and which next, of facts alone: a table of what each rule is for."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp.design.costs import DENSE_COLUMNS, dense_gram, dense_kernel
from gdnp.losses import LogLoss, PseudoHuber, SquaredError
from gdnp.newton import Begin, solve
from gdnp.newton.preconditioners import choice
from gdnp.newton.preconditioners.choice import (
    Event,
    Facts,
    Kind,
    Seen,
    Stage,
    cost,
    cost_of_matrix,
    cost_of_sharper,
    first_stage,
    hides_ridge,
    next_stage,
)
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.making import made, seen_of
from gdnp.newton.start import decoupled_start
from gdnp.solvers import Status
from problems import correlated, problem_of

DIAGONAL, LOW_RANK, FULL, KERNEL = Kind.DIAGONAL, Kind.LOW_RANK, Kind.FULL, Kind.KERNEL


def facts(n, d, density=1.0, **changes):
    """Of the log loss on dense X; sparse X takes the entries alone from `density`."""
    known = {
        "n": n,
        "d": d,
        "entries": int(n * d * density),
        "convex": True,
        "quadratic": False,
        "regression": False,
        "gram_work": dense_gram(d),
        "column_work": DENSE_COLUMNS,
        "kernel_work": dense_kernel(n),
        "hidden_ridge": False,
    }
    return Facts(**{**known, **changes})


LEAST_SQUARES = {"quadratic": True, "regression": True}

FIRST = [
    pytest.param(facts(100_000, 40), {}, (FULL,), id="a matrix of few rows is made in less than a pass"),
    pytest.param(facts(100_000, 8), {}, (DIAGONAL, FULL), id="unless drawing them takes longer"),
    pytest.param(facts(500, 10), {}, (FULL,), id="one of all rows where steps take longer than passes"),
    pytest.param(facts(1500, 600), {}, (DIAGONAL, FULL), id="one that takes many passes waits for its need"),
    pytest.param(
        facts(2000, 100), {}, (DIAGONAL, FULL), id="so does one of few columns, if rows are few too"
    ),
    pytest.param(
        facts(1500, 600), {"sure": True}, (FULL,), id="not where its decrement is believed unproved"
    ),
    pytest.param(facts(1500, 600, convex=False), {}, (FULL,), id="nor where f bends both ways"),
    pytest.param(
        facts(2000, 100, **LEAST_SQUARES),
        {},
        (FULL,),
        id="of a quadratic it is the last, so it may cost more",
    ),
    pytest.param(
        facts(1500, 1000, **LEAST_SQUARES), {}, (DIAGONAL, FULL), id="but not more than the diagonal would"
    ),
    pytest.param(facts(150, 300), {}, (DIAGONAL, KERNEL), id="rows are the smaller side"),
    pytest.param(
        facts(250, 300, regression=True),
        {},
        (DIAGONAL, FULL),
        id="a kernel blows up residuals near interpolation",
    ),
    pytest.param(
        facts(250, 300, hidden_ridge=True, **LEAST_SQUARES),
        {},
        (FULL, KERNEL),
        id="unless only a basis of the rows keeps the ridge",
    ),
    pytest.param(
        facts(1800, 3000, hidden_ridge=True, **LEAST_SQUARES),
        {},
        (DIAGONAL, KERNEL),
        id="which follows a diagonal where the matrix is too large",
    ),
    pytest.param(
        facts(20_000, 4096),
        {},
        (DIAGONAL, LOW_RANK, FULL),
        id="directions before a large matrix, that at last",
    ),
    pytest.param(
        facts(20_000, 8192), {}, (DIAGONAL, LOW_RANK, FULL), id="a larger one beside X that is larger still"
    ),
    pytest.param(facts(20_000, 8192, 0.1), {}, (DIAGONAL, LOW_RANK), id="but not beside a sparse X"),
    pytest.param(facts(200_000, 9000), {}, (DIAGONAL, LOW_RANK), id="none at all beyond the last limit"),
    pytest.param(facts(3000, 100_000), {}, (DIAGONAL, LOW_RANK, KERNEL), id="the same by rows"),
    pytest.param(
        facts(20_000, 4000, **LEAST_SQUARES), {}, (DIAGONAL, FULL), id="least squares pay for one matrix only"
    ),
    pytest.param(facts(3000, 100_000, **LEAST_SQUARES), {}, (DIAGONAL, KERNEL), id="or for one kernel"),
    pytest.param(
        facts(20_000, 4000, 0.01, **{**LEAST_SQUARES, "gram_work": 1e4}),
        {},
        (DIAGONAL, LOW_RANK, FULL),
        id="unless that would take hundreds of passes",
    ),
    pytest.param(facts(9000, 3000, 1e-3), {}, (DIAGONAL,), id="too few entries to seek any direction with"),
]


@pytest.mark.parametrize(("facts", "options", "kinds"), FIRST)
def test_the_kinds_of_a_problem(facts, options, kinds):
    stage = first_stage(facts, **options)
    assert stage.kinds == kinds
    assert stage.kind is kinds[0]
    assert stage.renewed is facts.quadratic  # one more diagonal would be the same


SIZES = [
    pytest.param(facts(10**6, 50), {}, 1 / (4 * dense_gram(50)), id="rows in a quarter of a pass"),
    pytest.param(facts(10**6, 2000, 1e-3, gram_work=5e3), {"sure": True}, 0.032, id="but 16 for each column"),
    pytest.param(
        facts(10**6, 2000, gram_work=5e3, convex=False), {}, 0.008, id="or 4 on the way to some minimum"
    ),
    pytest.param(facts(3000, 100), {"sure": True}, 1.0, id="all rows, where half of them are needed"),
    pytest.param(
        facts(10**6, 50, **LEAST_SQUARES),
        {},
        1.0,
        id="all rows of a quadratic that can be had in five passes",
    ),
]


@pytest.mark.parametrize(("facts", "options", "share"), SIZES)
def test_how_many_rows_the_first_matrix_is_made_of(facts, options, share):
    stage = first_stage(facts, **options)
    assert stage.kind is FULL
    assert stage.size == pytest.approx(share * facts.n, abs=1.0)


WIDE, TALL, LARGE = facts(150, 300), facts(1500, 600), facts(20_000, 4096)
LOW = Stage((LOW_RANK, FULL), 16)


def directions(largest=100.0, smallest=50.0, rest=1.0):
    return Seen(Event.MADE, largest=largest, smallest=smallest, rest=rest)


STALE, NO_STEP, UNSOLVED, MADE = (
    Seen(event) for event in (Event.STALE, Event.NO_STEP, Event.UNSOLVED, Event.MADE)
)
MATRIX_IS_NEXT = {"kinds": (FULL,), "size": 1500}

NEXT = [
    pytest.param(
        TALL, Stage((FULL,), 300), MADE, {"size": 1500}, id="a matrix is followed by one of more rows"
    ),
    pytest.param(facts(9000, 60), Stage((FULL,), 300), MADE, {"size": 900}, id="three times as many"),
    pytest.param(
        TALL,
        Stage((DIAGONAL, FULL)),
        STALE,
        {"renewed": True},
        id="one more diagonal before an expensive matrix",
    ),
    pytest.param(
        TALL,
        Stage((DIAGONAL, FULL), renewed=True),
        STALE,
        {**MATRIX_IS_NEXT, "renewed": True},
        id="but not two",
    ),
    pytest.param(
        WIDE,
        Stage((DIAGONAL, KERNEL)),
        STALE,
        {"kinds": (KERNEL,), "renewed": True},
        id="nor one before a kernel that is cheap",
    ),
    pytest.param(
        TALL,
        Stage((DIAGONAL, FULL)),
        NO_STEP,
        {**MATRIX_IS_NEXT, "renewed": True},
        id="none after it led nowhere",
    ),
    pytest.param(
        TALL,
        Stage((DIAGONAL, FULL)),
        UNSOLVED,
        MATRIX_IS_NEXT,
        id="none that did not solve Newton's equations",
    ),
    pytest.param(
        WIDE,
        Stage((DIAGONAL, KERNEL)),
        UNSOLVED,
        {"kinds": (KERNEL,)},
        id="which a kernel is the answer to, too",
    ),
    pytest.param(TALL, Stage((FULL,), 900), STALE, {"renewed": True}, id="there is nothing after the last"),
    pytest.param(
        TALL,
        Stage((DIAGONAL, FULL)),
        Seen(Event.GIVEN),
        MATRIX_IS_NEXT,
        id="no diagonal after another's matrix",
    ),
    pytest.param(
        TALL, Stage((DIAGONAL, FULL)), Seen(Event.GIVEN, diagonal=True), {}, id="a diagonal goes on as one"
    ),
    pytest.param(TALL, Stage((DIAGONAL,)), Seen(Event.GIVEN), {}, id="where it is all there is"),
    pytest.param(TALL, Stage((FULL,), 900), Seen(Event.GIVEN), {}, id="or there was none"),
    pytest.param(WIDE, Stage((KERNEL,)), MADE, {"basis": False}, id="a kernel is kept"),
    pytest.param(
        WIDE, Stage((KERNEL,)), Seen(Event.MADE, basis=True), {"basis": True}, id="a basis of the rows is not"
    ),
    pytest.param(
        LARGE, LOW, directions(), {"size": 48}, id="three times as many directions while all stand out"
    ),
    pytest.param(LARGE, LOW, directions(smallest=2.0), {"repeats": 1}, id="no more once the last does not"),
    pytest.param(
        LARGE,
        LOW,
        directions(largest=2.0, smallest=1.5),
        {"repeats": 1, "flat": True},
        id="none if none does",
    ),
    pytest.param(
        LARGE, replace(LOW, size=1024), directions(), {"repeats": 1}, id="nor more than a matrix has numbers"
    ),
    pytest.param(LARGE, replace(LOW, repeats=1), STALE, {"renewed": True}, id="sought once more"),
    pytest.param(
        LARGE,
        replace(LOW, repeats=2),
        STALE,
        {"kinds": (FULL,), "size": 20_000, "repeats": 0, "renewed": True},
        id="before the matrix",
    ),
    pytest.param(
        LARGE, replace(LOW, size=16), NO_STEP, {"renewed": True}, id="which no step that fails is worth"
    ),
]


@pytest.mark.parametrize(("facts", "stage", "seen", "changes"), NEXT)
def test_what_follows(facts, stage, seen, changes):
    assert next_stage(facts, stage, seen) == replace(stage, **changes)


def test_all_kinds_in_their_order():
    stage = first_stage(LARGE)
    kinds = [stage.kind]
    for _ in range(8):
        stage = next_stage(LARGE, stage, STALE)
        kinds.append(stage.kind)
        stage = next_stage(LARGE, stage, directions(smallest=2.0) if stage.kind is LOW_RANK else MADE)
    assert sorted(kinds, key=[DIAGONAL, LOW_RANK, FULL].index) == kinds
    assert kinds.count(LOW_RANK) == 2
    assert kinds[-1] is FULL


# Costs


@pytest.mark.parametrize(("kind", "side"), [(FULL, "d"), (KERNEL, "n")])
def test_a_matrix_counts_its_factor(kind, side):
    def cost_of(size):
        known = facts(1600, size, 20 / size) if side == "d" else facts(size, 1600, 20 / 1600)
        return cost(replace(known, gram_work=0.0), Stage((kind,), 1600, basis=False))

    assert cost_of(1600) > 3.5 * cost_of(800)  # eight times the work, in passes over twice the entries


def test_a_kernel_that_is_kept_costs_its_factor_alone():
    known = facts(500, 2000)
    fresh, kept = (cost(known, Stage((KERNEL,), basis=basis)) for basis in (None, False))
    assert 2.0 <= kept < 0.5 * fresh
    assert cost(known, Stage((KERNEL,), basis=True)) == 250.0  # it is made anew, by n²d multiplications
    tiny = facts(20, 50)
    assert cost(tiny, Stage((KERNEL,), basis=False)) == 2.0


def test_a_diagonal_costs_the_memory_that_is_lost_with_it():
    assert cost(TALL, Stage((DIAGONAL,))) == choice.DIAGONAL_COST
    assert cost(TALL, Stage((DIAGONAL, FULL))) == choice.DIAGONAL_COST
    assert cost(LARGE, replace(LOW, flat=True)) == choice.DIAGONAL_COST
    assert cost(TALL, Stage((DIAGONAL, FULL), renewed=True)) == cost(TALL, Stage((FULL,), 1500))


def test_directions_cost_by_their_number():
    few, many = (cost(LARGE, replace(LOW, size=size)) for size in (16, 48))
    assert few < 5.0 < many < 5.0 * few


def test_what_else_could_be_had():
    assert math.isinf(cost_of_sharper(TALL, Stage((DIAGONAL,))))
    assert cost_of_sharper(TALL, Stage((FULL,), 900)) == cost(TALL, Stage((FULL,), 900))
    assert math.isinf(cost_of_matrix(WIDE, Stage((DIAGONAL, KERNEL))))
    assert math.isinf(cost_of_matrix(TALL, Stage((FULL,), 900)))
    assert cost_of_matrix(TALL, Stage((DIAGONAL, FULL))) == cost(TALL, Stage((FULL,), 1500))


# Facts


def test_facts_of_a_problem(rng):
    X, y = rng.standard_normal((60, 7)), np.sign(rng.standard_normal(60))
    found = Facts.of(problem_of(X, y, LogLoss(), 1e-3))
    assert found == facts(60, 7)
    assert Facts.of(problem_of(X, y, SquaredError(), 1e-3)) == facts(60, 7, **LEAST_SQUARES)


@pytest.mark.parametrize(("n", "expected"), [(500, True), (2100, False)])
def test_a_basis_of_the_rows_is_not_made_of_many(rng, n, expected):
    """It is dense whatever X is, and takes n²d multiplications."""
    X = rng.standard_normal((n, 4000)) * (10.0 ** rng.uniform(-8.0, 8.0, 4000))
    problem = problem_of(X, rng.standard_normal(n), SquaredError(), 1e-6)
    assert hides_ridge(problem, 1.0 / n) is expected
    assert Facts.of(problem).hidden_ridge is expected


@pytest.mark.parametrize(("alpha", "expected"), [(1.0, False), (1e-15, True), (1e-40, False)])
def test_a_basis_is_for_ridges_that_a_kernel_would_lose(rng, alpha, expected):
    """One that is larger stays in a kernel, one that is smaller is rounding in either."""
    X = rng.standard_normal((20, 50))
    problem = problem_of(X, rng.standard_normal(20), SquaredError(), alpha)
    assert hides_ridge(problem, 1.0 / 20) is expected
    problem = problem_of(X, np.sign(rng.standard_normal(20)), LogLoss(), alpha)
    assert not hides_ridge(problem, 0.25 / 20)  # φ'' of a classification falls with the ridge


# What the choice comes to


def sparse(rng, n=1500, d=600, loss=None):
    """Twenty entries a row, in columns that have nothing to do with each other."""
    X = sp.random(n, d, 20 / d, "csr", random_state=rng)
    eta = X @ rng.standard_normal(d)
    if loss is not None and loss.task == "regression":
        return X, eta + rng.standard_normal(n)
    return X, np.where(2.0 * eta / eta.std() + rng.logistic(size=n) > 0.0, 1.0, -1.0)


def twins(rng, n=800, h=120):
    """Pairs of nearly equal columns, and labels that only their difference explains."""
    X = rng.standard_normal((n, h))
    difference = rng.standard_normal((n, h))
    eta = difference @ rng.standard_normal(h)
    return np.hstack([X, X + 0.02 * difference]), np.where(eta + rng.logistic(size=n) > 0.0, 1.0, -1.0)


def limit(monkeypatch, **limits):
    for name, value in limits.items():
        monkeypatch.setattr(choice, name, value)


@pytest.mark.parametrize("loss", [LogLoss(), PseudoHuber()], ids=lambda loss: loss.name)
def test_sparse_columns_of_their_own_need_no_matrix(rng, loss):
    X, y = sparse(rng, loss=loss)
    end = solve(problem_of(X, y, loss, 1e-3))
    assert end.status is Status.CONVERGED
    assert seen_of(end.state.preconditioner).diagonal
    assert end.history["passes"][-1] < 40.0
    assert end.certificate.proved


@pytest.mark.parametrize("loss", [LogLoss(), SquaredError()], ids=lambda loss: loss.name)
def test_what_the_first_direction_hides_shows_in_the_end(rng, monkeypatch, loss):
    limit(monkeypatch, AT_ONCE=0.0)
    X, y = twins(rng)
    problem = problem_of(X, y, loss, 1e-6)
    known = Facts.of(problem)
    assert seen_of(decoupled_start(problem, problem.constant, known, first_stage(known))[1]).diagonal
    end = solve(problem)
    assert end.status is Status.CONVERGED
    assert isinstance(end.state.preconditioner, FullPreconditioner)
    assert end.certificate.proved


def test_a_preconditioner_that_is_given_is_not_followed_by_a_diagonal(rng):
    X, y = sparse(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    known, start = Facts.of(problem), problem.constant
    matrix = made(problem, first_stage(known, sure=True), start.margins)
    for given, diagonal in ((None, True), (matrix, False)):
        end = solve(problem, tol=1e-10, begin=Begin(start.x, start.margins, given))
        assert end.status is Status.CONVERGED
        assert seen_of(end.state.preconditioner).diagonal is diagonal


def test_a_diagonal_alone_takes_more_passes_where_columns_are_correlated(rng, monkeypatch):
    limit(monkeypatch, LARGEST_GRAM=128)
    problem = problem_of(*correlated(rng, 1500, 600, 30, noise=0.02), LogLoss(), 1e-6)
    with_directions = solve(problem)
    assert with_directions.status is Status.CONVERGED
    assert with_directions.certificate.proved
    limit(monkeypatch, SMALLEST_RANK=10**9)
    alone = solve(problem, max_iter=400)
    assert alone.history["passes"][-1] > 1.1 * with_directions.history["passes"][-1]


def test_columns_of_all_sizes_that_a_few_factors_explain(rng, monkeypatch):
    """The ridge rules the small columns, which are no directions to look for."""
    limit(monkeypatch, LARGEST_GRAM=256, _affordable=lambda *_: False)
    X, _ = correlated(rng, 1500, 600, 30, noise=0.02)
    X *= 10.0 ** rng.uniform(-8.0, 8.0, 600)
    target = X @ (rng.standard_normal(600) / X.std(axis=0)) + rng.standard_normal(1500)
    end = solve(problem_of(X, target, SquaredError(), 1.0))
    assert end.status is Status.CONVERGED
    assert end.n_iter < 200


def test_a_matrix_is_the_last_resort(rng, monkeypatch):
    """Where eigenvalues fall by orders of magnitude and go on falling, directions are never enough."""
    limit(monkeypatch, LARGEST_GRAM=128)
    X = rng.standard_normal((2000, 300)) * np.logspace(0, -4, 300) @ rng.standard_normal((300, 300))
    y = np.sign(X @ rng.standard_normal(300) + 3.0 * rng.logistic(size=2000))
    end = solve(problem_of(X, y, LogLoss(), 1e-10))
    assert end.status is Status.CONVERGED
    assert isinstance(end.state.preconditioner, FullPreconditioner)
