"""Compiled verbs beside NumPy's: the same sums on every storage and instruction set, and what goes wrong."""

import copy
import math
import multiprocessing
import pickle
import re
import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp.design.sparse as sparse
from designs import shrink_blocks
from gdnp import GDNPClassifier, GDNPRegressor, Objective
from gdnp.design import DenseDesign, Job, SparseDesign, as_design, compiled
from gdnp.design.block import Affine, Dual, Scatter, Through, Valued
from gdnp.design.compiled import ClassKernel
from gdnp.design.rows import Rows
from gdnp.losses import LOSSES, Huber, LogLoss, Loss, PseudoHuber, Softmax, SquaredError
from gdnp.moments import Moments
from gdnp.problem.multinomial import _bends, _expanded, _risk, _shares, _slopes
from gdnp.solvers.certificates import dual_slopes
from gdnp.solvers.multinomial_gap import _corrected, _gap, _tilted

core = compiled.core
needs_core = pytest.mark.skipif(core is None, reason="the compiled kernels are not here")
LEVELS = core.levels() if core else []


class Own(Loss):
    """The log loss as a user would write it: it runs in Python."""

    name = "log_loss"
    task = "classification"
    convex = True
    increasing = True
    max_gradient = 1.0
    max_curvature = 0.25

    def value(self, t):
        return np.logaddexp(0.0, t)

    def gradient(self, t):
        return 1.0 / (1.0 + np.exp(-t))

    def curvature(self, t):
        return self.gradient(t) * self.gradient(-t)


def misaligned(X):
    room = np.zeros(X.nbytes + 1, dtype=np.uint8)
    out = room[1:].view(X.dtype).reshape(X.shape)
    out[:] = X
    return out


def frozen(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def as_csr(X, index=np.int32, dtype=np.float64, change=None):
    X = sp.csr_array(X)
    indices, pointers = X.indices.astype(index), X.indptr.astype(index)
    X = sp.csr_array((X.data.astype(dtype), indices, pointers), X.shape)
    return X if change is None else change(X)


def in_any_order(X):
    """Entries of a row backwards, and each in two parts: a matrix that was never put in order."""
    rows = [np.repeat(np.arange(a, b)[::-1], 2) for a, b in zip(X.indptr, X.indptr[1:], strict=False)]
    order = np.concatenate([*rows, np.empty(0, dtype=int)]).astype(int)
    return sp.csr_array((0.5 * X.data[order], X.indices[order], 2 * X.indptr), X.shape)


STORAGES = {
    "c_order": DenseDesign,
    "fortran": lambda X: DenseDesign(np.asfortranarray(X)),
    "strided": lambda X: DenseDesign(np.repeat(np.repeat(X, 2, axis=1), 3, axis=0)[::3, ::2]),
    "reversed": lambda X: DenseDesign(X[::-1, ::-1].copy()[::-1, ::-1]),
    "read_only": lambda X: DenseDesign(frozen(X)),
    "misaligned": lambda X: DenseDesign(misaligned(X)),
    "big_endian": lambda X: DenseDesign(X.astype(">f8")),
    "float32": lambda X: DenseDesign(X.astype(np.float32)),
    "float32_fortran": lambda X: DenseDesign(np.asfortranarray(X, dtype=np.float32)),
    "csr": lambda X: SparseDesign(as_csr(X)),
    "csc": lambda X: as_design(sp.csc_array(X), 1),
    "csr_int64": lambda X: SparseDesign(as_csr(X, np.int64)),
    "csr_float32": lambda X: SparseDesign(as_csr(X, dtype=np.float32)),
    "csr_int64_float32": lambda X: SparseDesign(as_csr(X, np.int64, np.float32)),
    "csr_in_any_order": lambda X: SparseDesign(as_csr(X, change=in_any_order)),
}
NUMPY_ALONE = {"misaligned", "big_endian"}
SHAPES = [(1, 1), (1, 7), (9, 1), (3, 70), (700, 6), (530, 33)]


def numbers(n, d, seed=0):
    """Entries that float32 holds exactly; empty rows, an empty column, one without zeros."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-64, 65, (n, d)) / 16.0 * (rng.random((n, d)) < 0.4)
    X[:: max(2, n // 7)] = 0.0
    X[:, -1] = 0.0
    X[:, d // 2] = rng.integers(200, 300, n) / 16.0
    return X


def calls(n, d, losses=None):
    """(verb, state, reads, what is written) of every compiled verb."""
    rng = np.random.default_rng(1)
    sigma, s, c = np.where(rng.random(n) < 0.5, 1.0, -1.0), rng.random(n), rng.standard_normal(n)
    base, w, b = rng.standard_normal(n), rng.standard_normal(d) / np.sqrt(8.0 * d), 0.3
    t = 3.0 * rng.standard_normal(n)
    minus = np.broadcast_to(-1.0, n)
    yield "margins", Affine(w, b), (None, None), np.empty(n)
    yield "margins", Affine(w, b), (sigma, base), np.empty(n)
    yield "transpose", None, (c,), None
    yield "product", Affine(w, b), (None,), None
    yield "product", Affine(w, b), (c,), None
    yield "hessian", Affine(w, b), (minus, s[::-1]), np.empty(n)
    yield "diagonal", Scatter(w), (s,), None
    yield "diagonal", None, (None,), None
    yield "diagonal", Scatter(w), (None,), None
    yield "gram", Scatter(np.zeros(d)), (c,), None
    yield "gram", Scatter(w, 0.5), (None,), None
    yield from calls_of_classes(n, d, 3, s)
    if losses is None:
        for K in (1, 8, 19):
            yield from calls_of_classes(n, d, K, s)
    for loss in losses or [*LOSSES.values(), PseudoHuber(0.2), Own()]:
        for weight in (None, s):
            yield "sums", loss, (sigma, weight, t), None
            yield "value", Valued(w, b, loss), (minus, base, weight), np.empty(n)
            if loss.has_conjugate:
                dual = loss.gradient(t) * sigma if loss.task == "regression" else loss.gradient(t)
                yield "gap", Dual(w, b, loss, 0.7, 0.9), (sigma, base, weight), dual


def classes_of(n, K, seed=3):
    """Margins, other margins, labels, shares and a dual point, N - Y."""
    rng = np.random.default_rng(seed)
    eta, q, y = 2.0 * rng.standard_normal((n, K)), rng.standard_normal((n, K)), rng.integers(0, K, n)
    shares, a = rng.dirichlet(np.ones(K), n), rng.dirichlet(np.ones(K), n)
    a[np.arange(n), y] = 0.0
    a[np.arange(n), y] = -a.sum(axis=1)
    return eta, q, y, shares, a


def calls_of_classes(n, d, K, s):
    """The same of verbs that have K margins a row."""
    eta, q, y, shares, a = classes_of(n, K)
    w, b = q[:1].T @ np.ones((1, d)) / d, q[0]
    at, loss = (np.asfortranarray(w.T), b), Softmax(K)
    yield "margins", Affine(*at), (None, None), np.empty((n, K))
    for weight in (None, s):
        slopes, bends = ClassKernel("slopes", partial(_slopes, loss)), ClassKernel("bends", _bends)
        gap = ClassKernel("gap", partial(_gap, loss))
        yield "through", Through(*at, slopes), (y, weight), np.empty((n, K))
        yield "through", Through(np.empty(0), kernel=slopes, known=True), (eta, y, weight), None
        yield "through", Through(*at, bends), (shares, weight), None
        yield "through", Through(*at, gap), (y, weight), a
        yield "diagonals", Scatter(w[0], 1e-2), (shares, weight), None


ROW_KERNELS = {
    "risk": lambda K: (ClassKernel("risk", partial(_risk, Softmax(K))), ("eta",), None),
    "shares": lambda K: (ClassKernel("shares", partial(_shares, Softmax(K))), ("eta",), "q"),
    "corrected": lambda K: (ClassKernel("corrected", _corrected), ("shares",), "q"),
    "tilted": lambda K: (tilts(np.linspace(0.5, 2.0, K)), (), "a"),
    "expanded": lambda K: (expanded(K, ((0.0, 0.0), (1.0, 0.0), (-3.0, 0.0))), ("eta", "q"), None),
}


def tilts(factor):
    return ClassKernel("tilted", partial(_tilted, factor), factor[None])


def expanded(K, steps):
    return ClassKernel("expanded", partial(_expanded, Softmax(K), steps), np.array(steps))


@needs_core
@pytest.mark.parametrize("name", ROW_KERNELS)
@pytest.mark.parametrize("K", [1, 2, 3, 8, 21])
def test_kernels_of_classes_on_rows_alone_are_those_of_numpy(name, K, level, monkeypatch):
    for n in (1, 7, 8, 513, 20_000 // K):
        arrays = dict(zip(("eta", "q", "y", "shares", "a"), classes_of(n, K), strict=True))
        kernel, reads, out = ROW_KERNELS[name](K)
        for s in (None, np.random.default_rng(4).random(n)):
            vectors = [*(arrays[v] for v in reads), *(() if name == "shares" else (arrays["y"], s))]
            found = []
            for with_core in (core, None):
                monkeypatch.setattr(compiled, "core", with_core)
                writes = () if out is None else (arrays[out].copy(),)
                found.append([*Rows(n, 1).total(kernel, *vectors, writes=writes), *writes])
            assert_same(*found)


@needs_core
def test_scores_that_are_far_apart_and_certain_rows_are_those_of_numpy(level, monkeypatch):
    far = np.array([[1e3, -1e3, 0.0], [-745.0, 0.0, 709.0], [0.0, 0.0, 0.0], [1e100, -1e100, 1.0]])
    y = np.array([0, 0, 1, 0])
    for name, reads in (("risk", (far, y, None)), ("expanded", (far, far, y, None))):
        found = []
        for with_core in (core, None):
            monkeypatch.setattr(compiled, "core", with_core)
            with np.errstate(all="ignore"):
                found.append(ROW_KERNELS[name](3)[0](*reads))
        np.testing.assert_allclose(*found, rtol=1e-13, atol=1e-290)


@needs_core
def test_a_kernel_of_classes_that_lacks_something_or_has_a_wrong_label_is_refused():
    eta, q, y, shares, a = classes_of(9, 3)
    X = core.Matrix(numbers(9, 6), None, None)
    run = partial(core.classes, None, 0, 9, K=3)
    for name, given in (
        ("slopes", {"margins": eta}),
        ("bends", {"margins": eta}),
        ("tilted", {"y": y, "out": a}),
        ("tilted", {"y": y, "out": a, "extra": np.ones((1, 3))}),
        ("expanded", {"margins": eta, "other": q, "y": y, "extra": np.ones((2, 2))}),
        ("shares", {"margins": eta}),
        ("spreads", {"margins": shares, "extra": np.ones((1, 1)), "squares": np.zeros((6, 3))}),
    ):
        with pytest.raises(ValueError, match="must be given all"):
            run(verb=core.CLASS_VERBS[name], **given)
    with pytest.raises(ValueError, match="must be given all"):
        core.classes(X, 0, 9, core.CLASS_VERBS["slopes"], 3, margins=eta, y=y)
    with pytest.raises(ValueError, match="margins must have length 9"):
        run(verb=core.CLASS_VERBS["slopes"], margins=eta[1:], y=y)
    with pytest.raises(ValueError, match="one of CLASS_VERBS"):
        run(verb=len(core.CLASS_VERBS), margins=eta)
    for wrong in (-1, 3, 2**40):
        y[4] = wrong
        with pytest.raises(ValueError, match="labels must lie between"):
            run(verb=core.CLASS_VERBS["slopes"], margins=eta, y=y)


@needs_core
@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_fits_of_classes_are_the_same_with_either(form, rng, monkeypatch):
    X, scores = data(rng, 900, 6)
    y, found = np.digitize(scores, np.quantile(scores, [0.2, 0.5, 0.9])), []
    for with_core in (core, None):
        monkeypatch.setattr(compiled, "core", with_core)
        model = GDNPClassifier(alpha=1e-3).fit(form(X), y, 1.0 + np.arange(900) % 3)
        assert model.certificate_.proved
        found.append((model.coef_, model.n_iter_))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-10, atol=1e-10 * np.abs(found[1][0]).max())
    assert found[0][1] == found[1][1]


def both(design, call, monkeypatch):
    """What a verb returns and writes, compiled and by NumPy."""
    verb, state, reads, out = call
    found = []
    for with_core in (core, None):
        monkeypatch.setattr(compiled, "core", with_core)
        writes = () if out is None else (out.copy(),)
        sums = design.map(verb, state, reads=reads, writes=writes, partial_size=design.n_features)
        found.append([*sums, *writes])
    monkeypatch.setattr(compiled, "core", core)
    return found


def assert_same(found, expected):
    for got, right in zip(found, expected, strict=True):
        scale = np.abs(right).max(initial=0.0)
        np.testing.assert_allclose(got, right, rtol=1e-13, atol=1e-13 * (1.0 + scale))


@pytest.fixture(params=LEVELS)
def level(request):
    best = core.level()
    core.use_level(request.param)
    yield request.param
    core.use_level(best)


@needs_core
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("storage", STORAGES)
def test_every_verb_is_that_of_numpy(storage, moved, monkeypatch):
    compare(storage, moved, [SHAPES[-1]], [LogLoss(), PseudoHuber(0.2)], monkeypatch)


@needs_core
@pytest.mark.parametrize("storage", ["c_order", "fortran", "csr"])
def test_every_verb_of_every_loss_in_every_shape(storage, level, monkeypatch):
    compare(storage, False, SHAPES, None, monkeypatch)


def compare(storage, moved, shapes, losses, monkeypatch):
    shrink_blocks(monkeypatch)
    monkeypatch.setattr(sparse, "PAIR", 0.0)  # Grams of pairs
    for n, d in shapes:
        design = STORAGES[storage](numbers(n, d))
        if moved:
            rng = np.random.default_rng(2)
            design = design.transformed(rng.integers(1, 9, d) * 1.0, 2.0 ** rng.integers(-3, 4, d))
        assert (design._compiled is None) == (storage in NUMPY_ALONE)
        for call in calls(n, d, losses):
            assert_same(*both(design, call, monkeypatch))


@needs_core
@pytest.mark.parametrize("storage", ["c_order", "csr", "csr_int64_float32", "csc"])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_those_of_numpy(storage, weighted, level, monkeypatch):
    """Grams of rows that are thin are made of pairs of their entries."""
    n, d, found = 300, 40, []
    X = numbers(n, d) * (np.random.default_rng(5).random((n, d)) < 0.2)
    y, s = np.random.default_rng(6).standard_normal((2, n))
    shrink_blocks(monkeypatch)
    csr, made = compiled.csr, []
    monkeypatch.setattr(compiled, "csr", lambda *a: made.append(csr(*a)) or made[-1])
    for with_core in (core, None):
        monkeypatch.setattr(compiled, "core", with_core)
        design = STORAGES[storage](X)
        found.append(Moments.of(design, y, np.abs(s) if weighted else None)._parts)
        pickle.dumps(design)
    assert_same(*found)
    grams = 0 if storage == "c_order" else len(design.bounds)
    assert sum(one is not None for one in made) == grams + (grams > 0)


@needs_core
def test_the_battery_has_every_compiled_verb():
    assert {call[0] for call in calls(3, 2)} == set(compiled.VERBS)


@needs_core
@pytest.mark.parametrize("storage", ["c_order", "float32", "csr"])
def test_any_number_of_threads_comes_to_the_same_bits(storage, monkeypatch):
    shrink_blocks(monkeypatch)
    design, seen = STORAGES[storage](numbers(1100, 33)), set()
    for n_jobs in (1, 2, 5):
        design.n_jobs = n_jobs
        bits = [
            np.asarray(part, dtype=np.float64).tobytes()  # long doubles are padded with what was in memory
            for verb, state, reads, out in calls(1100, 33)
            for part in design.map(verb, state, reads=reads, writes=() if out is None else (out.copy(),))
        ]
        seen.add(tuple(bits))
    assert len(seen) == 1


@pytest.mark.parametrize("storage", ["c_order", "csr"])
def test_a_design_can_be_pickled_and_copied_after_it_was_read(storage):
    design, r = STORAGES[storage](numbers(40, 6)), np.ones(40)
    expected = design.map("transpose", reads=(r,))[0]
    for other in (pickle.loads(pickle.dumps(design)), copy.deepcopy(design)):
        np.testing.assert_array_equal(other.map("transpose", reads=(r,))[0], expected)


@needs_core
def test_a_lane_is_one_call(monkeypatch):
    shrink_blocks(monkeypatch)
    design, run, rows = DenseDesign(numbers(1100, 33)), compiled.VERBS["transpose"], []
    monkeypatch.setitem(compiled.VERBS, "transpose", lambda *a: rows.append(a[1:3]) or run(*a))
    design.map("transpose", reads=(np.ones(1100),), partial_size=33)
    assert len(design.bounds) > 16 == len(rows)
    assert sorted(rows)[0][0] == 0
    assert sorted(rows)[-1][1] == 1100


@needs_core
def test_several_verbs_share_the_lanes(monkeypatch):
    shrink_blocks(monkeypatch)
    design, r = SparseDesign(as_csr(numbers(700, 6))), np.linspace(-1.0, 1.0, 700)
    alone = design.map("transpose", reads=(r,)), design.map("diagonal", reads=(None,))
    for found, expected in zip(
        design.several(Job("transpose", None, (r,)), Job("diagonal", None, (None,))), alone, strict=True
    ):
        np.testing.assert_array_equal(found[0], expected[0])


@needs_core
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("storage", ["c_order", "csr"])
def test_nan_and_infinity_mean_what_they_mean_to_numpy(bad, storage, level, monkeypatch):
    n = 1200  # more than a strip
    X = numbers(n, 6)
    X[7, 3] = bad
    design = STORAGES[storage](X)
    with np.errstate(all="ignore"):
        for loss in LOSSES.values():
            call = "value", Valued(np.ones(6), 0.0, loss), (np.ones(n), None, None), np.empty(n)
            (risk, g, _, t), (of_numpy, right, _, margins) = both(design, call, monkeypatch)
            np.testing.assert_allclose(risk, of_numpy)
            np.testing.assert_array_equal(np.isfinite(t), np.isfinite(margins))
            if loss.name != "log_loss" or bad != np.inf:  # NumPy's e^(z - φ) is no number there; φ' is 1
                np.testing.assert_array_equal(np.isfinite(g), np.isfinite(right))


# Losses


@needs_core
@pytest.mark.parametrize("loss", [*LOSSES.values(), PseudoHuber(1e-3)], ids=lambda loss: loss.name)
def test_losses_of_strips_are_those_of_numpy(loss, level):
    size = np.concatenate([np.logspace(-300.0, 200.0, 300), np.linspace(0.0, 40.0, 301)])
    t = np.concatenate([-size, size])
    for which, function in enumerate((loss.value, loss.gradient, loss.curvature)):
        out = np.empty(len(t))
        core.evaluate(compiled.code_of(loss), which, t, out)
        with np.errstate(all="ignore"):
            expected = function(t)
        finite = np.isfinite(expected) & (np.abs(expected) > 1e-290)
        rtol = 1e-12 if loss.name == "probit" else 1e-13  # SciPy's own error in the lower tail
        np.testing.assert_allclose(out[finite], expected[finite], rtol=rtol)
        np.testing.assert_allclose(out[~finite], expected[~finite], atol=1e-290)


@needs_core
@pytest.mark.parametrize("loss", LOSSES.values(), ids=lambda loss: loss.name)
def test_expansions_are_those_of_numpy(loss, rng, level, monkeypatch):
    for n in (1, 5, 130, 1001):
        problem = Objective(
            rng.standard_normal((n + 1, 3)),
            np.where(np.arange(n + 1) % 2, 1.0, -1.0),
            loss,
            fit_intercept=True,
        )
        line = problem.at(rng.standard_normal(3), 0.2).line(rng.standard_normal(3))
        steps = [(0.0, 0.0), (1.0, 0.0), (0.5, -0.3)]
        found = []
        for with_core in (core, None):
            monkeypatch.setattr(compiled, "core", with_core)
            found.append(line.expand(steps))
        np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-14)


@needs_core
@pytest.mark.parametrize("loss", [LogLoss(), SquaredError(), Huber(0.5), PseudoHuber(0.2)])
def test_dual_points_are_those_of_numpy(loss, rng, level, monkeypatch):
    for n in (1, 5, 130, 1100):
        t, q, s = 4.0 * rng.standard_normal(n), 9.0 * rng.standard_normal(n), rng.random(n)
        sigma = np.where(rng.random(n) < 0.5, 1.0, -1.0)
        for weight in (None, s):
            found = []
            for with_core in (core, None):
                monkeypatch.setattr(compiled, "core", with_core)
                a = np.empty(n)
                found.append([*dual_slopes(loss, t, q, sigma, weight, a), a])
            assert_same(*found)


@needs_core
def test_the_balance_of_a_gap_is_known_beyond_the_last_digit(rng, level):
    n = 5000
    a = rng.random(n) * np.exp(9.0 * rng.standard_normal(n))
    a[n // 2 :] = -a[: n // 2] * (1.0 + 1e-15)
    design, at = DenseDesign(np.ones((n, 1))), Dual(np.zeros(1), 0.0, SquaredError())
    rest = design.map("gap", at, reads=(np.ones(n), None, None), writes=(a.copy(),))[5]
    exact = math.fsum(a)
    assert abs(float(rest) - exact) <= 1e-15 * abs(exact)
    assert abs(a.sum() - exact) > 1e-3 * abs(exact)  # a plain sum does not know it


@needs_core
def test_a_loss_of_another_module_runs_in_python():
    assert compiled.code_of(Own()) is None
    assert compiled.code_of(LogLoss()) is not None
    assert compiled.code_of(PseudoHuber(0.3))[1] == 0.3


# Fits


def data(rng, n=3000, d=12):
    X = rng.standard_normal((n, d)) * np.logspace(-2.0, 2.0, d) + 3.0
    return X, (X - 3.0) @ np.logspace(2.0, -2.0, d) + 2.0 * rng.logistic(size=n)


@needs_core
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "squared_error", "pseudo_huber"])
def test_fits_are_the_same_with_either(form, loss, rng, monkeypatch):
    X, y = data(rng)
    classify = LOSSES[loss].task == "classification"
    model = GDNPClassifier(loss, alpha=1e-3) if classify else GDNPRegressor(loss, alpha=1e-3)
    found = []
    for with_core in (core, None):
        monkeypatch.setattr(compiled, "core", with_core)
        model.fit(form(X), y > 0.0 if classify else y)
        found.append((np.ravel(model.coef_).copy(), model.n_iter_, model.certificate_.kind))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-10, atol=1e-10 * np.abs(found[1][0]).max())
    assert found[0][1:] == found[1][1:]


def _fit_in_child(X, y, queue):
    queue.put(GDNPClassifier(n_jobs=2).fit(X, y).coef_)


@needs_core
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_and_other_threads_fit_too(rng, monkeypatch):
    shrink_blocks(monkeypatch)
    X, y = data(rng, 600, 5)
    expected = GDNPClassifier(n_jobs=2).fit(X, y > 0.0).coef_
    found = [None] * 3

    def fit(k):
        found[k] = GDNPClassifier(n_jobs=2).fit(X, y > 0.0).coef_

    threads = [threading.Thread(target=fit, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_fit_in_child, args=(X, y > 0.0, queue))
    child.start()
    found.append(queue.get(timeout=60))
    child.join(60)
    for thread in threads:
        thread.join(60)
    for coef in found:
        np.testing.assert_array_equal(coef, expected)


# Indices that lead out of X


def broken(column=None, pointer=None, index=np.int32, kind=sp.csr_array):
    X = as_csr(numbers(50, 6), index) if kind is sp.csr_array else sp.csc_array(numbers(50, 6))
    if column is not None:
        X.indices[17] = column
    if pointer is not None:
        X.indptr[pointer[0]] = pointer[1]
    return X


@pytest.mark.parametrize("with_core", [True, False])
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (broken(column=6), "Got the index 6 for 6"),
        (broken(column=-1), "Got the index -1 for 6"),
        (broken(column=2**40, index=np.int64), f"Got the index {2**40} for 6"),
        (broken(column=50, kind=sp.csc_array), "Got the index 50 for 50"),
        (broken(pointer=(3, 10**6)), "Got an indptr that"),
        (broken(pointer=(50, 10**6)), "Got an indptr that"),
        (broken(pointer=(0, 1)), "Got an indptr that"),
    ],
)
def test_an_index_beyond_X_is_refused(X, message, with_core, monkeypatch):
    if not with_core:
        monkeypatch.setattr(compiled, "core", None)
    with pytest.raises(ValueError, match=rf"within its shape \(50, 6\)\. {re.escape(message)}"):
        as_design(X)


WIDE = 1 << 17


def wide(index):
    """More columns than 16 bits can number, so that the indices are X's own; two of them hold everything."""
    X = as_csr(numbers(50, 6), index)
    return sp.csr_array((X.data, X.indices, X.indptr), (50, WIDE))


@needs_core
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("value", [WIDE, -1, 2**31 - 1])
def test_an_array_that_changes_while_it_is_read_ends_in_an_error(index, value, level):
    X = wide(index)
    design, r, w = as_design(X, 1), np.ones(50), np.ones(WIDE)
    design.map("transpose", reads=(r,))
    X.indices[17] = value
    for verb, state, reads, writes in (
        ("transpose", None, (r,), ()),
        ("margins", Affine(w), (None, None), (r.copy(),)),
        ("diagonal", Scatter(w), (r,), ()),
        ("product", Affine(w), (None,), ()),
    ):
        with pytest.raises(ValueError, match="do not write to X during a fit"):
            design.map(verb, state, reads=reads, writes=writes)


@needs_core
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_few_columns_and_all_pointers_are_copied_once_they_are_checked(index, level):
    X = as_csr(numbers(50, 6), index)
    design, r = as_design(X, 1), np.ones(50)
    expected = design.map("transpose", reads=(r,))[0], design._compiled.gram(0, 50, r, *zeros(6))
    X.indices[:] = 2**31 - 1
    X.indptr[:] = 2**31 - 1
    found = design.map("transpose", reads=(r,))[0], design._compiled.gram(0, 50, r, *zeros(6))
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


def zeros(d):
    return np.zeros(d), np.zeros((d, d))


@needs_core
@pytest.mark.parametrize(
    "X",
    [broken(column=6), broken(column=-1), broken(column=2**40, index=np.int64), broken(pointer=(3, 10**6))],
)
def test_a_pattern_is_checked_where_it_is_copied(X):
    with pytest.raises(ValueError, match="must lie within its shape"):
        compiled.csr(X, None, None)


@needs_core
def test_entries_that_are_all_one_are_not_read(level, monkeypatch):
    X = as_csr(numbers(700, 6) != 0.0, dtype=np.float64)
    design = as_design(X)
    for call in calls(700, 6, [LogLoss()]):
        assert_same(*both(design, call, monkeypatch))
    before = design.map("transpose", reads=(np.ones(700),))[0]
    X.data[:] = 7.0
    np.testing.assert_array_equal(design.map("transpose", reads=(np.ones(700),))[0], before)


@needs_core
def test_lengths_are_checked():
    X = core.Matrix(numbers(50, 6), None, None)
    with pytest.raises(ValueError, match=r"w must have length 6\. Got 5"):
        X.margins(0, 50, np.ones(5), 0.0, None, None, np.empty(50))
    with pytest.raises(ValueError, match=r"what is written must have length 50\. Got 49"):
        X.margins(0, 50, np.ones(6), 0.0, None, None, np.empty(49))
    with pytest.raises(ValueError, match="rows must lie within X"):
        X.transpose(0, 51, np.ones(51), np.zeros(6))
    with pytest.raises(ValueError, match="must be one of levels"):
        core.use_level("none")


# The extension itself


def found(monkeypatch, value, load):
    monkeypatch.setenv("GDNP_KERNELS", value)
    monkeypatch.setattr(compiled, "import_module", load)
    return compiled._found()


def fails(error):
    def load(name):
        raise error

    return load


def test_numpy_can_be_asked_for(monkeypatch):
    assert found(monkeypatch, "numpy", fails(AssertionError())) == (None, "GDNP_KERNELS=numpy")
    monkeypatch.setattr(compiled, "core", None)
    monkeypatch.setattr(compiled, "absence", "GDNP_KERNELS=numpy")
    assert compiled.status() == "NumPy (GDNP_KERNELS=numpy)"


def test_what_was_never_built_is_no_fault(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "design" / "compiled.py"))
    missing = ModuleNotFoundError("No module named 'gdnp._kernels'")
    assert found(monkeypatch, "", fails(missing)) == (None, "not built")
    with pytest.raises(ImportError, match=r"needs the extension gdnp\._kernels\. Got none; install"):
        found(monkeypatch, "compiled", fails(missing))


def test_an_extension_that_does_not_load_is_named_once_with_advice(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "design" / "compiled.py"))
    (tmp_path / "_kernels.cpython-27-other.so").touch()
    advice = "Install gdnp again on this Python, or set GDNP_KERNELS=numpy"
    for error in (ModuleNotFoundError("none"), ImportError("invalid ELF header"), OSError("wrong processor")):
        with pytest.warns(RuntimeWarning, match=advice) as told:
            assert found(monkeypatch, "", fails(error))[0] is None
        assert len(told) == 1
        assert "_kernels.cpython-27-other.so" in str(told[0].message)
    with pytest.warns(RuntimeWarning, match="revision 0 where"):
        assert found(monkeypatch, "", lambda name: SimpleNamespace(REVISION=0))[0] is None
    with pytest.raises(ImportError, match="Got OSError"):
        found(monkeypatch, "compiled", fails(OSError()))


def test_another_word_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"GDNP_KERNELS must be numpy, compiled or unset\. Got 'fast'"):
        found(monkeypatch, "fast", fails(AssertionError()))


@needs_core
def test_what_runs_is_told():
    assert compiled.status() == f"compiled ({core.level()})"
