"""Vectors of n numbers against plain NumPy, and draws of rows against their odds."""

import pickle
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from scipy.stats import chi2

import gdnp.design.rows as rows_module
from gdnp.design import Choice, Rows
from gdnp.design.rows import ROWS, add
from gdnp.losses import LOSSES
from gdnp.problem.empirical import bend, sum_of
from gdnp.problem.objective import pull
from gdnp.problem.points import expanded, variation, wrong_side

N = 700


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(rows_module, "ROWS", 50)
    monkeypatch.setattr("gdnp.design.threads.SERIAL_WORK", 1.0)


@pytest.fixture
def vectors(rng):
    return rng.standard_normal(N), rng.standard_normal(N)


# Combinations


@pytest.mark.parametrize("shape", [(N,), (N, 3)])
def test_combinations_are_those_of_numpy(rng, shape):
    rows, (u, v, w) = Rows(N, 1), rng.standard_normal((3, *shape))
    kept = u.copy(), v.copy(), w.copy()
    found = rows.combine((2.0, u), (1.0, v), (-0.5, w))
    np.testing.assert_allclose(found, 2.0 * u + v - 0.5 * w, rtol=1e-14, atol=1e-15)
    assert not any(np.shares_memory(found, x) for x in (u, v, w))
    for before, after in zip(kept, (u, v, w), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_combination_may_be_written_over_its_first_term(vectors):
    (u, v), rows = vectors, Rows(N, 1)
    expected = 0.3 * u - v
    assert rows.combine((0.3, u), (-1.0, v), out=u) is u
    np.testing.assert_allclose(u, expected, rtol=1e-15)


def test_a_combination_of_one_number_repeated(vectors):
    """Regression holds its signs as one number: it can be read, and is never written to."""
    rows, one = Rows(N, 1), np.broadcast_to(-1.0, N)
    np.testing.assert_array_equal(rows.combine((3.0, one)), np.full(N, -3.0))
    np.testing.assert_array_equal(rows.combine((3.0, one), (1.0, vectors[0])), vectors[0] - 3.0)


@pytest.mark.parametrize("k", [None, 1, 4])
def test_new_vectors_have_the_shape_asked_for(k):
    rows = Rows(N, 1)
    v = rows.empty(k)
    assert v.shape == rows.empty_like(v).shape == ((N,) if k is None else (N, k))
    assert rows.empty(dtype=np.int8).dtype == np.int8


# Sums


@dataclass(frozen=True)
class Products:
    """Some sums and a product written down."""

    power: int

    def __call__(self, u, v, missing, out):
        assert missing is None
        out[:] = u * v
        return [float(u.sum()), np.array([v.sum(), (v**self.power).sum()])]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("n", [1, 49, 50, 51, N])
def test_sums_and_what_they_write(vectors, n):
    u, v = (x[:n] for x in vectors)
    seen = []
    for n_jobs in (1, 2, 5):
        rows = Rows(n, n_jobs)
        out = rows.empty()
        total, pair = rows.total(Products(3), u, v, None, writes=(out,))
        np.testing.assert_array_equal(out, u * v)
        assert total == pytest.approx(u.sum(), abs=1e-12)
        np.testing.assert_allclose(pair, [v.sum(), (v**3).sum()], atol=1e-11)
        seen.append((total, pair.tobytes()))
    assert len(set(seen)) == 1


@pytest.mark.usefixtures("small_parts")
def test_sums_over_rows_of_columns(rng):
    V, out = rng.standard_normal((N, 3)), np.empty((N, 3))

    def kernel(V, out):
        out[:] = 2.0 * V
        return [V.sum(axis=0)]

    np.testing.assert_allclose(Rows(N, 2).total(kernel, V, writes=(out,))[0], V.sum(axis=0), atol=1e-12)
    np.testing.assert_array_equal(out, 2.0 * V)


def test_every_row_is_in_one_part_of_a_sum(monkeypatch):
    monkeypatch.setattr(rows_module, "ROWS", 7)
    for n in range(1, 60):
        seen = np.zeros(n)

        def kernel(v):
            v += 1.0
            return [len(v)]

        assert Rows(n, 1).total(kernel, seen) == [n]
        assert (seen == 1.0).all()


def test_partial_results_are_added_in_place():
    array = np.ones(2)
    total = add([1.0, array], [2.0, np.array([3.0, 4.0])])
    assert total[0] == 3.0
    assert total[1] is array
    np.testing.assert_array_equal(array, [4.0, 5.0])


LOSS = LOSSES["log_loss"]
KERNELS = {
    "curvature": (partial(bend, LOSS, 0.1), 1, 1),
    "pull": (partial(pull, LOSS, 0.01), 1, 1),
    "total": (partial(sum_of, np.positive), 1, 0),
    "mean": (partial(sum_of, LOSS.value), 1, 0),
    "wrong_side": (wrong_side, 1, 0),
    "spread": (partial(variation, 0.3), 3, 0),
    "expand": (partial(expanded, LOSS, ((0.5, 0.1), (0.0, 0.0))), 3, 0),
}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_kernels_of_a_problem_can_be_pickled(rng, name, weighted):
    """The same bits, here or elsewhere, on any number of threads."""
    kernel, n_reads, n_writes = KERNELS[name]
    reads = [*rng.standard_normal((n_reads, N)), rng.random(N) if weighted else None]

    def found(kernel, n_jobs):
        rows = Rows(N, n_jobs)
        writes = [rows.empty() for _ in range(n_writes)]
        sums = rows.total(kernel, *reads, writes=writes)
        return [np.asarray(x).tobytes() for x in (*sums, *writes)]

    again = pickle.loads(pickle.dumps(kernel))
    assert found(kernel, 1) == found(again, 1) == found(again, 2)


# Ends, quantiles, choices


def test_extremes(vectors):
    u, v = vectors
    found = Rows(N, 1).extremes(u, v, -np.abs(u))
    expected = [(x.min(), x.max(), np.abs(x).max()) for x in (u, v, -np.abs(u))]
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (3, 3)


def test_quantiles_of_few_rows_are_their_order_statistics(rng):
    v = rng.permutation(100).astype(float)
    levels = np.array([0.0, 0.01, 0.255, 0.5, 0.99])
    np.testing.assert_array_equal(Rows(100, 1).quantiles(v, levels), np.floor(levels * 100.0 + 1e-9))


def test_quantiles_of_many_rows_are_near(rng):
    n, levels = 50_000, np.arange(1, 16) / 16
    v = rng.standard_exponential(n)
    found = Rows(n, 1).quantiles(v, levels)
    shares = np.searchsorted(np.sort(v), found) / n
    np.testing.assert_allclose(shares, levels, atol=4.0 * 0.5 / np.sqrt(rows_module.ROWS_FOR_QUANTILES))


def test_rows_above_a_level(vectors):
    v, rows = vectors[0], Rows(N, 1)
    choice = rows.above(v, 0.5)
    np.testing.assert_array_equal(rows.gather(v, choice), v[v > 0.5])
    assert choice.count == np.count_nonzero(v > 0.5)
    assert choice.mass is None
    assert rows.above(v, v.max()).count == 0  # larger, not as large
    many = rows.above(v, 0.5, choice.count - 1)  # these are only counted
    assert (many.index, many.count) == (None, choice.count)
    assert rows.above(v, 0.5, choice.count).index is not None


def test_gathered_numbers(rng):
    V, rows = rng.standard_normal((N, 2)), Rows(N, 1)
    np.testing.assert_array_equal(rows.gather(V), V)
    index = np.array([5, 5, 0])
    np.testing.assert_array_equal(rows.gather(V, Choice(index, 3)), V[index])


# Draws


def assert_odds(drawn, mass):
    """χ² of counts against their expectation, rows of little mass taken together; 1 in 10000 fails."""
    count, expected = len(drawn), len(drawn) * mass / mass.sum()
    seen = np.bincount(drawn, minlength=len(mass))
    assert not seen[mass == 0.0].any()
    cells = np.cumsum(expected) // 50.0  # consecutive rows that are drawn some 50 times together
    seen, expected = (np.bincount(cells.astype(int), x) for x in (seen, expected))
    kept = expected > 5.0
    assert kept.sum() > 10
    distance = (np.square(seen - expected)[kept] / expected[kept]).sum()
    assert distance < chi2.ppf(0.9999, kept.sum() - 1)
    assert count == seen.sum()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n", [40, 3 * ROWS - 5])
def test_draws_are_in_proportion_to_mass(n, seed):
    rng = np.random.default_rng(7)
    mass = rng.random(n) ** 3 * (rng.random(n) < 0.8)
    choice = Rows(n, 1).sample(mass, 100_000, seed)
    assert choice.count == len(choice.index) == 100_000
    assert_odds(choice.index, mass)
    assert choice.mass * choice.count == pytest.approx(mass.sum(), rel=1e-12)


def test_many_small_draws_are_in_proportion_to_mass():
    """Each from a seed of its own: together they have the same odds."""
    mass = np.random.default_rng(3).random(30)
    drawn = [Rows(30, 1).sample(mass, 5, seed).index for seed in range(1500)]
    assert_odds(np.concatenate(drawn), mass)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("level", [0.0, 0.3, 0.9])
def test_rows_up_to_a_level_are_never_drawn(level):
    rng = np.random.default_rng(5)
    mass = np.round(rng.random(N), 1)
    choice = Rows(N, 1).sample(mass, 20_000, 1, level=level)
    left = np.where(mass > level, mass, 0.0)
    assert mass[choice.index].min() > level
    assert_odds(choice.index, left)
    assert choice.mass * choice.count == pytest.approx(left.sum())


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "with_mass",
    [slice(0, 50), slice(120, 130), slice(650, N), slice(N - 1, N), slice(0, 1), slice(3, 690, 101)],
)
def test_parts_without_mass_are_passed_over(with_mass):
    """First, in the middle or last; so are rows without mass at either end of a part."""
    mass = np.zeros(N)
    mass[with_mass] = 0.1
    choice = Rows(N, 1).sample(mass, 500)
    assert (mass[choice.index] > 0.0).all()
    assert set(choice.index) == set(np.flatnonzero(mass))
    assert choice.mass * choice.count == pytest.approx(mass.sum())


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("with_mass", [slice(10, 40), slice(120, 130), slice(0, N, 7), slice(60, 699)])
def test_the_first_and_last_numbers_that_can_be_drawn_fall_on_rows_with_mass(monkeypatch, with_mass):
    ends = np.array([0.0, 2.0**-53, 1.0 - 2.0**-53])
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed: type("", (), {"random": lambda self, k: ends})()
    )
    mass = np.zeros(N)
    mass[with_mass] = 1.0 / 3.0
    index = Rows(N, 1).sample(mass, 3).index
    assert (mass[index] > 0.0).all()
    assert index[0] == np.flatnonzero(mass)[0]
    assert index[2] == np.flatnonzero(mass)[-1]


def test_draws_are_sorted_and_repeat(rng):
    n = 2 * ROWS + 3
    mass = rng.random(n)
    first, again, other = (Rows(n, jobs).sample(mass, 300, seed) for jobs, seed in ((1, 4), (3, 4), (1, 5)))
    np.testing.assert_array_equal(first.index, again.index)
    assert first.mass == again.mass
    assert (np.diff(first.index) >= 0).all()
    assert (first.index != other.index).any()


def test_one_row_can_be_drawn_where_all_weigh_the_same():
    n = 2 * ROWS
    index = [Rows(n, 1).sample(np.broadcast_to(1.0, n), 1, seed).index[0] for seed in range(40)]
    assert min(index) < ROWS < max(index)


def test_masses_of_any_size():
    for size in (1e-300, 1e300):
        mass = np.array([0.0, 1.0, 0.0, 3.0]) * size
        choice = Rows(4, 1).sample(mass, 4000, 2)
        assert np.bincount(choice.index, minlength=4)[3] == pytest.approx(3000, abs=120)
        assert choice.mass == pytest.approx(size * 1e-3)
