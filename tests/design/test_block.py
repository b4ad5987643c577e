"""One battery for the verbs of every backend: each equals plain NumPy, on any thread, after any journey."""

import pickle
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from designs import BACKENDS, shrink_blocks, whole_numbers
from gdnp.design import Choice, Job, compiled
from gdnp.design.block import Affine, Block, Dual, Framed, Scatter, Spread, Through, Valued
from gdnp.losses import LOSSES
from gdnp.moments import Moments, _merge

N, D, K = 700, 6, 3
LOG, HUBER = LOSSES["log_loss"], LOSSES["pseudo_huber"]

TRANSFORMED = {
    "plain": (None, None),
    "offset": (np.array([0.0, 0.0, 20.5, 0.0, 0.0, 0.0]), None),  # sparse columns with zeros keep them
    "factor": (None, np.array([1.0, 0.3, 2.0, 0.5, -1.7, 8.0])),
    "both": (np.array([0.0, 0.0, 20.5, 0.0, 0.0, 0.0]), np.array([1.0, 2.0, 0.25, 0.3, 1.0, 8.0])),
}


@dataclass(frozen=True)
class Call:
    """A verb with all it is given, and what it has to return and to leave in what it writes."""

    verb: str
    state: Any
    reads: tuple = ()
    expected: tuple = ()
    writes: tuple = ()
    written: tuple = ()
    partial_size: int = 1

    def job(self):
        """With vectors to write to of its own."""
        writes = tuple(v.copy() for v in self.writes)
        return Job(self.verb, self.state, self.reads, writes, self.partial_size)


@dataclass(frozen=True)
class World:
    """Dense X as blocks give it out, and vectors of every kind."""

    Z: np.ndarray
    sigma: np.ndarray
    base: np.ndarray
    weight: np.ndarray
    signed: np.ndarray
    dual: np.ndarray
    many: np.ndarray
    w: np.ndarray
    W: np.ndarray
    b: np.ndarray
    centre: np.ndarray


def along(v, like):
    return v if v is None or v.ndim == like.ndim else v[:, None]


@cache
def numbers():
    rng = np.random.default_rng(1)
    weight = rng.random(N) * (rng.random(N) < 0.9)
    return whole_numbers(rng), World(
        Z=None,
        sigma=np.where(rng.random(N) < 0.5, 1.0, -1.0),
        base=rng.standard_normal(N),
        weight=weight / weight.sum(),
        signed=rng.standard_normal(N),
        dual=rng.uniform(-0.9, 0.9, N),
        many=rng.standard_normal((N, K)),
        w=0.1 * rng.standard_normal(D),
        W=0.1 * rng.standard_normal((D, K)),
        b=rng.standard_normal(K),
        centre=rng.standard_normal(D),
    )


@cache
def world(transformation):
    X, without = numbers()
    offset, factor = TRANSFORMED[transformation]
    Z = X if offset is None else X - offset
    return replace(without, Z=Z if factor is None else Z * factor)


def design_of(backend, transformation="plain", n_jobs=1):
    design, (offset, factor) = BACKENDS[backend](numbers()[0], n_jobs), TRANSFORMED[transformation]
    return design if offset is None and factor is None else design.transformed(offset, factor)


def sums_of(loss, Z, sigma, s, t):
    """Σ s φ, Xᵀr and Σ r."""
    s = np.ones(len(Z)) if s is None else s
    r = along(s * sigma, t) * loss.gradient(t)
    return (along(s, t) * loss.value(t)).sum(), Z.T @ r, r.sum(axis=0)


def margins_calls(v):
    for name, w, b in (("", v.w, 0.7), ("_of_columns", v.W, v.b)):
        eta = v.Z @ w + b
        for given, sigma, base in (("", v.sigma, v.base), ("_bare", None, None)):
            t = eta if sigma is None else along(base, eta) + along(sigma, eta) * eta
            out = np.empty_like(eta)
            yield f"margins{name}{given}", Call("margins", Affine(w, b), (sigma, base), (), (out,), (t,))


def loss_calls(v):
    for name, w, b in (("", v.w, 0.7), ("_of_columns", v.W, v.b)):
        for weighted, s in (("", None), ("_weighted", v.weight)):
            eta = v.Z @ w + b
            for loss, base in ((LOG, None), (HUBER, v.base)):
                t = along(v.sigma, eta) * eta
                t = t if base is None else t + along(base, t)
                sums = sums_of(loss, v.Z, v.sigma, s, t)
                label = f"{name}{weighted}_{loss.name}"
                yield f"sums{label}", Call("sums", loss, (v.sigma, s, t), sums, partial_size=w.size)
                at, out = Valued(w, b, loss), np.empty_like(t)
                yield (
                    f"value{label}",
                    Call("value", at, (v.sigma, base, s), sums, (out,), (t,), partial_size=w.size),
                )


def product_calls(v):
    for name, w, b, r in (("", v.w, 0.7, v.signed), ("_of_columns", v.W, v.b, v.many)):
        eta = v.Z @ w + b
        yield f"transpose{name}", Call("transpose", None, (r,), (v.Z.T @ r, r.sum(axis=0)))
        for weighted, c in (("", None), ("_weighted", v.signed)):
            h = eta if c is None else along(c, eta) * eta
            sums = v.Z.T @ h, h.sum(axis=0)
            yield f"product{name}{weighted}", Call("product", Affine(w, b), (c,), sums)
        q, h = along(v.sigma, eta) * eta, r * eta
        sums, out = (v.Z.T @ h, h.sum(axis=0)), np.empty_like(q)
        yield f"hessian{name}", Call("hessian", Affine(w, b), (v.sigma, r), sums, (out,), (q,))
    h = along(v.signed, eta) * eta  # one curvature for all columns
    sums = v.Z.T @ h, h.sum(axis=0)
    at = Affine(v.W, v.b)
    yield "hessian_shared", Call("hessian", at, (v.sigma, v.signed), sums, (np.empty_like(q),), (q,))


def gram_calls(v):
    for about, centre in (("", np.zeros(D)), ("_centred", v.centre)):
        A = v.Z - centre
        for name, c in (("", v.weight), ("_signed", v.signed)):
            gram = A.T @ (c[:, None] * A)
            sums = c.sum(), v.Z.T @ c
            label = f"{about}{name}"
            yield f"gram{label}", Call("gram", Scatter(centre), (c,), (*sums, gram), partial_size=D * D)
            # signed squares may cancel: sparse ones are cut off at 0
            if name == "":
                yield f"diagonal{label}", Call("diagonal", Scatter(centre), (c,), (*sums, np.diagonal(gram)))
        shares = np.abs(v.many) / np.abs(v.many).sum(axis=1, keepdims=True)
        for name, s in (("", None), ("_weighted", v.weight)):
            c = np.maximum(shares * (1.0 - shares), 0.1) * (1.0 if s is None else s[:, None])
            sums, label = (c.sum(axis=0), v.Z.T @ c, np.square(A).T @ c), f"diagonals{about}{name}"
            yield label, Call("diagonals", Scatter(centre, 0.1), (shares, s), sums, partial_size=D * K)
        sums = 2.5 * N, 2.5 * v.Z.sum(axis=0), 2.5 * A.T @ A
        yield f"gram{about}_of_mass", Call("gram", Scatter(centre, 2.5), (None,), sums, partial_size=D * D)
    p = np.exp(v.many) / np.exp(v.many).sum(axis=1, keepdims=True)
    u = np.column_stack([v.Z - v.centre, np.ones(N)])
    for name, s in (("", None), ("_weighted", v.weight)):
        bend = p[:, :, None] * (np.eye(K) - p[:, None]) * (1.0 if s is None else s[:, None, None])
        expected = np.einsum("ikl,ia,ib->kalb", bend[:, :-1, :-1], u, u, optimize=True)
        size = ((K - 1) * (D + 1)) ** 2
        yield f"joint{name}", Call("joint", Scatter(v.centre), (p, s), (expected,), partial_size=size)
    yield "powers", Call("diagonal", None, (None,), (N, v.Z.sum(axis=0), np.square(v.Z).sum(axis=0)))


def gap_calls(v):
    eta = v.Z @ v.w + 0.3
    for weighted, s in (("", None), ("_weighted", v.weight)):
        for loss, base in ((LOG, None), (HUBER, v.base)):
            a = np.abs(v.dual) if loss is LOG else v.dual
            dual = a * np.where(a * v.sigma > 0.0, 0.8, 0.6)
            t = v.sigma * eta if base is None else base + v.sigma * eta
            mass = np.ones(N) if s is None else s
            excess = mass @ (loss.value(t) + loss.conjugate(dual) - dual * t)
            r, h = mass * v.sigma * loss.gradient(t), mass * v.sigma * dual
            sizes = mass @ np.abs(dual * t), mass @ dual**2
            sums = mass @ loss.value(t), excess, v.Z.T @ r, v.Z.T @ h, r.sum(), h.sum(), *sizes
            for how in ("", "_careful"):
                at = Dual(v.w, 0.3, loss, 0.8, 0.6, how != "")
                yield f"gap{weighted}{how}_{loss.name}", Call("gap", at, (v.sigma, base, s), sums, (a,), (t,))


def squares(r, c, out=None):
    """A kernel that reads, writes and leaves something: Σ c η, and c η²."""
    if out is not None:
        out[:] = r
    first = c @ r
    r *= r * c[:, None]
    return [first, float(len(r))]


def through_calls(v):
    eta = v.Z @ v.W + v.b
    r = v.signed[:, None] * eta**2
    sums = v.signed @ eta, float(N), v.Z.T @ r, r.sum(axis=0)
    at, out = Through(v.W, v.b, squares), np.empty_like(eta)
    yield "through", Call("through", at, (v.signed,), sums, (out,), (eta,), partial_size=v.W.size)
    known = Through(np.empty(0), kernel=squares, known=True)
    yield "through_known", Call("through", known, (eta, v.signed), sums, partial_size=v.W.size)


@cache
def calls(transformation):
    v = world(transformation)
    every = (margins_calls, loss_calls, product_calls, gram_calls, gap_calls, through_calls)
    return {name: call for some in every for name, call in some(v)}


def calls_of(verb, transformation="both"):
    return [call for call in calls(transformation).values() if call.verb == verb]


VERBS = sorted({call.verb for call in calls("plain").values()})
READING = [verb for verb in VERBS if not calls_of(verb)[0].writes]


def run(design, job):
    """What a job returns and writes, and its bytes."""
    found = design.map(job.verb, job.state, reads=job.reads, writes=job.writes, partial_size=job.partial_size)
    return found, bits(found, job)


def bits(found, job):
    # as doubles: long doubles are padded with whatever was in memory
    return [np.asarray(x, dtype=np.float64).tobytes() for x in (*found, *job.writes)]


def assert_close(found, expected):
    assert len(found) == len(expected)
    for got, right in zip(found, expected, strict=True):
        assert np.shape(got) == np.shape(right)
        np.testing.assert_allclose(
            got, right, rtol=1e-11, atol=1e-11 * (1.0 + np.abs(right).max(initial=0.0))
        )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    shrink_blocks(monkeypatch)


def test_every_verb_is_in_the_battery():
    """But moments and triangles, which merge in ways of their own, and kernels of rows, which see no X."""
    storage = {"dot", "tdot", "dense", "weighted_gram", "weighted_squares", "centred_moments"}
    verbs = {name for name in vars(Block) if not name.startswith("_")} - storage - {"n_rows"}
    assert verbs - {"moments", "column_max", "triangle", "rows"} == set(VERBS)


def doubled(t, out):
    out[:] = 2.0 * t
    return [float(out.sum())]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_kernel_of_rows_sees_what_the_jobs_before_it_wrote(backend):
    design = design_of(backend, "plain", 2)
    rows, w = design.rows, np.arange(1.0, D + 1.0)
    t, out = rows.empty(), rows.empty()
    margins = Job("margins", Affine(w), (None, None), (t,))
    _, total, back = design.several(
        margins, Job("rows", doubled, (t,), (out,)), Job("transpose", None, (out,), (), D)
    )
    np.testing.assert_array_equal(rows.gather(out), 2.0 * rows.gather(t))
    assert total[0] == pytest.approx(2.0 * rows.gather(t).sum(), rel=1e-12)
    np.testing.assert_allclose(back[0], design.map("transpose", reads=(out,), partial_size=D)[0], rtol=1e-12)


@pytest.mark.parametrize("transformation", ["plain", "both"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("verb", VERBS)
def test_verbs_equal_numpy_on_any_thread(verb, backend, transformation):
    designs = [design_of(backend, transformation, n_jobs) for n_jobs in (1, 2)]
    for call in calls_of(verb, transformation):
        seen = []
        for design in designs:
            job = call.job()
            found, raw = run(design, job)
            assert_close(found, call.expected)
            assert_close(job.writes, call.written)
            seen.append(raw)
        assert seen[0] == seen[1]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_triangle_is_that_of_all_rows(monkeypatch, backend, weighted):
    """RᵀR = (1, X, y)ᵀ diag(s) (1, X, y), in whatever pieces the rows are read."""
    monkeypatch.setattr("gdnp.design.block.TRIANGLE_FLOATS", 100)
    v = world("both")
    index, s, y = np.array([4, 0, 2]), v.weight if weighted else None, v.base
    frame = Framed(index, v.centre[index], np.array([1.0, 0.5, 2.0]))
    rows = np.column_stack((np.ones(N), (v.Z[:, index] - frame.centre) * frame.scale, y))
    right = rows.T @ (rows if s is None else s[:, None] * rows)
    seen = []
    for n_jobs in (1, 2):
        design = design_of(backend, "both", n_jobs)
        stacked = design.map("triangle", frame, reads=(s, y), merge=lambda a, b: [np.vstack((a[0], b[0]))])[0]
        assert len(stacked) <= 5 * len(design.bounds)
        np.testing.assert_allclose(stacked.T @ stacked, right, rtol=1e-11, atol=1e-11 * np.abs(right).max())
        seen.append(stacked.tobytes())
    assert seen[0] == seen[1]


def moments_of(X, y, s):
    p = np.full(len(X), 1.0 / len(X)) if s is None else s / s.sum()
    y = np.empty((len(X), 0)) if y is None else y.reshape(len(X), -1)
    A, B = X - p @ X, y - p @ y
    total = len(X) if s is None else s.sum()
    return Moments(total, p @ X, A.T @ (p[:, None] * A), A.T @ (p[:, None] * B), p @ y, p @ B**2, None)._parts


@pytest.mark.parametrize("transformation", ["plain", "both"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("targets", ["none", "one", "many"])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_equal_numpy_on_any_thread(backend, transformation, targets, weighted):
    v = world(transformation)
    y, s = {"none": None, "one": v.signed, "many": v.many}[targets], v.weight if weighted else None
    expected = moments_of(v.Z, y, s)
    scale = np.array([1.0, 2.0, 0.5, 4.0, 1.0, 1.0])
    for spread in (Spread(None, "full"), Spread(None, "diagonal"), Spread(scale, "full")):
        seen = []
        for n_jobs in (1, 2):
            design = design_of(backend, transformation, n_jobs)
            found = design.map("moments", spread, reads=(y, s), merge=_merge, partial_size=2 * D)
            seen.append([np.asarray(part).tobytes() for part in found])
        assert seen[0] == seen[1]
        weight, mean, S, U, mean_y, var_y = found
        if spread.scale is not None:
            mean, S, U = mean / scale, S / np.outer(scale, scale), U / scale[:, None]
        second = expected[2] if spread.second == "full" else np.diagonal(expected[2])
        assert_close((weight, mean, S, U, mean_y, var_y), (*expected[:2], second, *expected[3:]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rows", [slice(0, 200), slice(300, 500), slice(500, N)])
def test_blocks_without_weight_count_for_nothing_in_moments(backend, rows):
    v = world("both")
    s = v.weight.copy()
    s[rows] = 0.0
    found = design_of(backend, "both").map(
        "moments", Spread(None, "full"), reads=(v.many, s), merge=_merge, partial_size=2 * D
    )
    assert_close(found, moments_of(v.Z, v.many, s))


@pytest.mark.parametrize("transformation", TRANSFORMED)
@pytest.mark.parametrize("backend", BACKENDS)
def test_largest_entries_of_columns(backend, transformation):
    found = design_of(backend, transformation, 2).map("column_max", merge=np.maximum)
    np.testing.assert_allclose(found, np.abs(world(transformation).Z).max(axis=0), rtol=1e-15)


@pytest.mark.parametrize("transformation", TRANSFORMED)
@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_a_block_as_an_array(backend, transformation):
    design, Z = design_of(backend, transformation), world(transformation).Z
    assert [low for low, _ in design.bounds[1:]] == [high for _, high in design.bounds[:-1]]
    assert (design.bounds[0][0], design.bounds[-1][1]) == (0, N)
    for k, (low, high) in enumerate(design.bounds):
        assert design.block(k).n_rows == high - low
        np.testing.assert_allclose(design.block(k).dense(1, high - low), Z[low + 1 : high], rtol=1e-15)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_several_verbs_take_one_reading(backend, n_jobs, monkeypatch):
    """And what they sum up to is what each alone does, bit for bit where it reads the same blocks."""
    monkeypatch.setattr(compiled, "core", None)  # which reads lanes where it does all that is asked
    design, some = design_of(backend, "both", n_jobs), calls("both")
    alone = [run(design, call.job())[1] for call in some.values()]
    jobs, read = [call.job() for call in some.values()], []
    make = type(design).block
    monkeypatch.setattr(type(design), "block", lambda self, k: read.append(k) or make(self, k))
    together = design.several(*jobs)
    assert sorted(read) == list(range(len(design.bounds)))
    assert len(read) > 4
    for one, job, found in zip(alone, jobs, together, strict=True):
        assert bits(found, job) == one


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("verb", READING)
def test_sums_over_chosen_rows_are_those_of_the_gathered(verb, backend):
    index = np.sort(np.random.default_rng(2).integers(0, N, 320))  # some of them twice
    choice = Choice(index, len(index))
    designs = [design_of(backend, "both", n_jobs) for n_jobs in (1, 2)]
    few = designs[0].gather(choice)
    assert (few.n_samples, few.n_features) == (320, D)
    np.testing.assert_allclose(few.block(0).dense(0, 5), world("both").Z[index[:5]], rtol=1e-15)
    for call in calls_of(verb):
        seen = [
            design.map(call.verb, call.state, reads=call.reads, partial_size=D, chosen=choice)
            for design in designs
        ]
        reads = tuple(None if v is None else v[index] for v in call.reads)
        assert_close(seen[0], few.map(call.verb, call.state, reads=reads, partial_size=D))
        assert [np.asarray(x).tobytes() for x in seen[0]] == [np.asarray(x).tobytes() for x in seen[1]]


@pytest.mark.parametrize("backend", ["c_order", "csr"])
@pytest.mark.parametrize("verb", VERBS)
def test_jobs_can_be_pickled(verb, backend):
    """A job may be run elsewhere: the same bits come out."""
    design = design_of(backend, "both")
    for call in calls_of(verb):
        job = call.job()
        again = pickle.loads(pickle.dumps(job))
        assert (again.verb, again.partial_size) == (job.verb, job.partial_size)
        assert run(design, again)[1] == run(design, job)[1]


def test_moments_of_chosen_rows_merge_as_those_of_all():
    """How partial results are added up is the verb's own affair, whichever rows are read."""
    v, index = world("plain"), np.arange(0, N, 2)
    found = design_of("c_order").map(
        "moments", Spread(None, "full"), reads=(v.many, None), merge=_merge, chosen=Choice(index, len(index))
    )
    assert_close(found, moments_of(v.Z[index], v.many[index], None))
