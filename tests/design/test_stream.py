"""X as a stream: sums are those of the same X in memory, to the last bit, on any number of threads."""

import threading

import numpy as np
import pytest

from gdnp.design import Choice, DenseDesign, Job, StreamDesign
from gdnp.design.block import Affine, Scatter, Spread, Valued
from gdnp.design.stream import ahead
from gdnp.design.streams import RawStream
from gdnp.losses import LogLoss
from gdnp.moments import Moments


@pytest.fixture(
    params=[(70_003, 7, np.float64), (5000, 3, np.float32), (3000, 4, np.int64), (30_000, 120, float)]
)
def pair(request, rng, tmp_path, monkeypatch):
    """The same rows in memory and in a file, in several pieces a lane."""
    monkeypatch.setattr("gdnp.design.base.PIECE_ENTRIES", 1 << 15)
    monkeypatch.setattr("gdnp.design.stream.SERIAL_WORK", 1e4)
    n, d, kind = request.param
    X = (10.0 * rng.standard_normal((n, d))).astype(kind)
    X.tofile(tmp_path / "X.bin")
    stream = RawStream(tmp_path / "X.bin", X.shape, X.dtype)
    return DenseDesign(X, 2), [StreamDesign(stream, jobs) for jobs in (1, 3)]


def results(design):
    n, d = design.shape
    rows, rng = design.rows, np.random.default_rng(1)
    w, s = rng.standard_normal(d), rows.hold(rng.dirichlet(np.ones(n)))
    sigma, t, c = rows.hold(np.sign(rng.standard_normal(n))), rows.empty(), rows.empty()
    value = Job("value", Valued(w, 0.5, LogLoss()), (sigma, None, s), (t,), d)
    slope = Job("margins", Affine(w, -1.0), (sigma, None), (c,))
    gram = Job("gram", Scatter(np.zeros(d)), (s,), (), d * d)
    found = design.several(value, slope, gram)
    found += [rows.gather(t), rows.gather(c), design.map("column_max", merge=np.maximum)]
    found += Moments.of(design, None, s)._parts + design.map(
        "moments", Spread(None, "diagonal"), reads=(None, s), merge=lambda a, b: a
    )
    few = design.columns(np.array([2, 0])).transformed(np.array([1.0, 2.0]), np.array([0.5, 4.0]))
    found += few.map("diagonal", reads=(None,))
    choice = Choice(np.sort(rng.integers(0, n, 500)), 500, 1.0)
    found += design.map("gram", Scatter(np.zeros(d), 1.0), reads=(None,), chosen=choice, partial_size=d * d)
    found.append(design.gather(choice).block(0).values)
    found.append(design.block(len(design.bounds) - 1).values)
    return [np.asarray(part) for one in found for part in (one if isinstance(one, list) else [one])]


def test_results_are_those_in_memory(pair):
    memory, streams = pair
    expected = results(memory)
    for stream in streams:
        for found, wanted in zip(results(stream), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_readings_and_bytes_are_counted(pair):
    memory, (stream, _) = pair
    stream.map("diagonal", reads=(None,))
    stream.several(Job("diagonal", None, (None,)), Job("column_max"))
    assert stream.meter.readings == 2.0
    assert stream.meter.bytes == 2 * memory._X.nbytes
    stream.columns(np.array([0])).map("diagonal", reads=(None,))  # a raw file cannot leave columns out
    assert stream.meter.readings == 3.0


def test_wanted_rows_are_picked_up_by_the_next_reading(pair, rng):
    memory, (stream, _) = pair
    choice = Choice(rng.integers(0, memory.n_samples, 300), 300)
    stream.want(choice)
    stream.columns(np.array([0])).map("diagonal", reads=(None,))  # not by one of other columns
    stream.transformed(np.ones(memory.n_features), None).map("diagonal", reads=(None,))
    before = stream.meter.readings
    np.testing.assert_array_equal(stream.gather(choice)._X, memory._X[choice.index])
    assert stream.meter.readings == before


def test_a_reading_holds_few_pieces(pair, monkeypatch):
    """Buffers are used again and again: threads + 2 of them, however many pieces there are."""
    _, (_, stream) = pair
    made = []
    empty = np.empty
    monkeypatch.setattr("gdnp.design.stream.np.empty", lambda *a: made.append(a) or empty(*a))
    stream.map("diagonal", reads=(None,))
    assert len(made) <= stream.n_jobs + 2


def test_ahead_keeps_the_order_and_raises_what_is_raised():
    assert list(ahead(range(50), lambda k: k * k, 3)) == [k * k for k in range(50)]
    assert list(ahead(range(3), str, 0)) == ["0", "1", "2"]

    def items():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(ahead(items(), str, 2))
    with pytest.raises(ZeroDivisionError):
        list(ahead([1, 0, 2], lambda k: 1 // k, 2))
    assert not [t for t in threading.enumerate() if t.name.startswith("gdnp-stream")]
