"""Dense X: blocks, offsets, Grams of many columns."""

import numpy as np
import pytest

import gdnp.design.dense as dense
from designs import shrink_blocks
from gdnp import GDNPClassifier
from gdnp.design import Choice, DenseDesign, as_design
from gdnp.design.block import Scatter
from gdnp.design.dense import DenseBlock


@pytest.fixture
def small_blocks(monkeypatch):
    shrink_blocks(monkeypatch)


def test_offset_is_taken_off_entries(rng):
    X = 1e6 + 1e-6 * rng.integers(-100, 100, (300, 2))
    shifted = DenseDesign(X).shifted(X.mean(axis=0))
    np.testing.assert_array_equal(shifted.block(0).values, X - X.mean(axis=0))
    np.testing.assert_array_equal(shifted.offset, X.mean(axis=0))


def test_gram_cost_in_passes():
    assert DenseDesign(np.ones((10, 8))).gram_passes == 4.0


def test_a_row_may_be_longer_than_a_block():
    X = np.zeros((3, dense.BLOCK_FLOATS + 1), dtype=np.float32)
    X[:, -1] = 1.0, 2.0, 3.0
    assert DenseDesign(X).bounds == [(0, 3)]
    model = GDNPClassifier(alpha=0.1).fit(X, [0, 0, 1])
    assert model.certificate_.proved
    assert model.coef_[0, -1] > 0.0


def test_blocks_of_float64_are_views_and_others_are_read_once():
    X = np.ones((10, 2))
    block = DenseDesign(X).block(0)
    assert np.shares_memory(block.values, X)
    block = DenseDesign(X.astype(np.float32)).block(0)
    assert block.values is block.values


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.usefixtures("small_blocks")
def test_a_gram_of_many_columns_is_added_up_from_larger_blocks(rng, dtype):
    X, weight = rng.standard_normal((1000, 80)).astype(dtype), rng.uniform(-1.0, 1.0, 1000)
    centre, factor = rng.standard_normal(80), 2.0 ** rng.integers(-2, 3, 80)
    design = as_design(X).transformed(X[0].astype(float), factor)
    coarse = design.in_blocks_for(400 * 80)
    assert len(coarse.bounds) == 6  # 200 rows in each would do with five; an even number of 167
    assert coarse.bounds[-1] == (835, 1000)
    assert len(design.bounds) > 2 * len(coarse.bounds)
    assert design.in_blocks_for(80) is design
    about, large = Scatter(centre), 400 * 80
    grams = []
    for n_jobs in 1, 2:
        design.n_jobs = n_jobs
        grams.append(design.map("gram", about, reads=(weight,), partial_size=large)[2])
    np.testing.assert_array_equal(*grams)
    Z = (X - X[0].astype(float)) * factor - centre
    np.testing.assert_allclose(grams[0], Z.T @ (weight[:, None] * Z), rtol=1e-9, atol=1e-8)
    index = np.sort(rng.integers(0, 1000, 700))
    choice = Choice(index, 700)
    chosen = design.map("gram", about, reads=(weight,), partial_size=large, chosen=choice)[2]
    Z = Z[index]
    np.testing.assert_allclose(chosen, Z.T @ (weight[index, None] * Z), rtol=1e-9, atol=1e-8)


def test_two_threads_have_an_even_share_of_large_blocks():
    for n in range(1000, 1100, 7):
        X = np.broadcast_to(1.0, (n, 3))
        parts = len(DenseDesign(X, block_rows=1).in_blocks_for(3 * 2 * 150).bounds)
        assert parts % 2 == 0


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("n", [1, 700, 9000])
def test_a_gram_of_rows_that_weigh_the_same_is_that_of_any_weights(rng, n, centred):
    X = rng.standard_normal((n, 20)) + 3.0
    block, centre = DenseBlock(X), X.mean(axis=0) if centred else None
    for mass in (0.25, 0.0, -2.0):
        found = block.weighted_gram(np.broadcast_to(mass, n), centre)
        expected = block.weighted_gram(np.full(n, mass), centre)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
