"""The front door: whatever holds rows gives the same ones, and everything else one sentence."""

import os

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp.design import DenseDesign, SparseDesign, StreamDesign, source
from gdnp.design.rows import ScratchRows
from gdnp.design.source import bytes_of, is_remote

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ds = pytest.importorskip("pyarrow.dataset")
pd = pytest.importorskip("pandas")

N, D = 400, 4
NAMES = [f"c{j}" for j in range(D)]


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, D)), rng.integers(0, 3, N).astype(float), rng.random(N)


@pytest.fixture
def table(data):
    X, y, s = data
    return pa.table({**dict(zip(NAMES, X.T, strict=True)), "y": y, "s": s})


class Stream:
    """What can be read once, as a relation of a database can."""

    def __init__(self, table):
        self.table, self.reads = table, 0

    def __arrow_c_stream__(self, requested_schema=None):
        self.reads += 1
        return self.table.__arrow_c_stream__(requested_schema)


class Lazy:
    """A lazy frame: it writes itself, and nothing else is asked of it."""

    def __init__(self, table):
        self.table = table

    def sink_parquet(self, path):
        pq.write_table(self.table, path)

    def collect(self):
        raise AssertionError("pulled whole")


class Chunked:
    """A remote array."""

    chunks = ((100,) * 4, (D,))

    def __init__(self, X):
        self.shape = X.shape

    def __array__(self, *_, **__):
        raise AssertionError("pulled whole")


class Parts:
    def __init__(self, *parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)


def read(found):
    parts = [np.concatenate(list(found.blocks()))]
    return [*parts, *(None if v is None else np.concatenate(list(v())) for v in (found.target, found.weight))]


def as_file(table, tmp_path, kind):
    if kind == "parquet":
        pq.write_table(table, tmp_path / "t.parquet", row_group_size=90)
        return tmp_path / "t.parquet"
    if kind == "feather":
        pytest.importorskip("pyarrow.feather").write_feather(table, tmp_path / "t.feather")
        return str(tmp_path / "t.feather")
    for k in range(3):
        pq.write_table(table.slice(150 * k, 150), tmp_path / f"part-{k}.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "part-9.parquet")  # as Spark writes them
    (tmp_path / "_SUCCESS").touch()
    return tmp_path


TABLES = {
    "a file": lambda table, tmp_path: as_file(table, tmp_path, "parquet"),
    "feather": lambda table, tmp_path: as_file(table, tmp_path, "feather"),
    "a folder": lambda table, tmp_path: as_file(table, tmp_path, "folder"),
    "a dataset": lambda table, tmp_path: ds.dataset(
        as_file(table, tmp_path, "folder"), format="parquet", exclude_invalid_files=True
    ),
    "a table": lambda table, tmp_path: table,
    "pandas": lambda table, tmp_path: table.to_pandas(),
    "a stream": lambda table, tmp_path: Stream(table),
    "lazy": lambda table, tmp_path: Lazy(table),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind, table, data, tmp_path):
    obj = TABLES[kind](table, tmp_path)
    for _ in range(2):
        found = source(obj, y="y", weight="s", scratch=tmp_path)
        assert isinstance(found.design, StreamDesign)
        assert found.names == NAMES
        for wanted, got in zip(data, read(found), strict=True):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(read(found)[0], data[0])  # again
    few = source(obj, columns=["c2", "c0"])
    np.testing.assert_array_equal(read(few)[0], data[0][:, [2, 0]])


def test_a_stream_is_written_to_scratch_once_and_goes_with_the_source(table, tmp_path):
    obj = Stream(table)
    found = source(obj, y="y", scratch=tmp_path)
    read(found)
    read(found)
    assert obj.reads == 1
    assert len(list(tmp_path.iterdir())) == 1
    del found
    assert list(tmp_path.iterdir()) == []


def test_folders_that_name_a_column(table, data, tmp_path):
    for label in (0, 1, 2):
        rows = table.filter(pa.compute.equal(table["y"], label)).drop_columns("y")
        (tmp_path / f"year={label}").mkdir()
        pq.write_table(rows, tmp_path / f"year={label}" / "x.parquet")
    found = source(tmp_path, y="s")
    assert sorted(found.names) == [*NAMES, "year"]
    order = np.argsort(data[1], kind="stable")
    X = read(found)[0]
    np.testing.assert_array_equal(X[:, found.names.index("year")], data[1][order])
    np.testing.assert_array_equal(X[:, [found.names.index(name) for name in NAMES]], data[0][order])
    np.testing.assert_array_equal(read(source(tmp_path, y="year"))[1], data[1][order])


def test_arrays(data, tmp_path):
    X, y, s = data
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "F.npy", np.asfortranarray(X))
    X.astype(np.float32).tofile(tmp_path / "X.bin")
    raw = {"dtype": "f4", "shape": (N, D)}
    for obj, options, kind in (
        (tmp_path / "X.npy", {}, StreamDesign),
        (str(tmp_path / "F.npy"), {}, DenseDesign),
        (tmp_path / "X.bin", raw, StreamDesign),
        (np.load(tmp_path / "X.npy", mmap_mode="r"), {}, DenseDesign),
        (X, {}, DenseDesign),
    ):
        found = source(obj, y=tmp_path / "y.npy", weight=s, **options)
        assert type(found.design) is kind
        for wanted, got in zip(data, read(found), strict=True):
            np.testing.assert_array_equal(got, wanted.astype("f4") if options and got.ndim == 2 else wanted)
    assert isinstance(source(sp.csr_array(X)).design, SparseDesign)


def test_a_target_among_the_columns_of_a_matrix(data, tmp_path):
    X, y, s = data
    whole = np.column_stack((y, X, s))
    np.save(tmp_path / "X.npy", whole)
    for obj in (tmp_path / "X.npy", whole):
        found = read(source(obj, y=0, weight=-1))
        for wanted, got in zip(data, found, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_parts(data):
    X, y, s = data
    found = source(Parts((X[:100], y[:100], s[:100]), (X[100:], y[100:], s[100:])))
    for wanted, got in zip(data, read(found), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert source(Parts((X,))).target is None


def test_memory_decides_where_row_vectors_live_and_what_a_reading_costs(data, tmp_path):
    np.save(tmp_path / "X.npy", data[0])
    for memory, kind, cost in (
        (None, False, 1.0),
        ("1GB", False, 1.0),
        (20_000, True, 1.0),
        ("2 KB", True, 10.0),
    ):
        design = source(tmp_path / "X.npy", memory=memory, scratch=tmp_path).design
        assert isinstance(design.rows, ScratchRows) is kind
        assert design.read_cost == cost
    assert source(pa.table({"a": [1.0]})).design.read_cost == 1.0


def test_sizes_of_memory():
    assert [bytes_of(size) for size in (5, "600MB", "1.5 gb", "2GiB", 2.0)] == [5, 6e8, 1.5e9, 2e9, 2]
    assert bytes_of(None) > 1e8
    for bad in ("", "much", "1.2.3MB", -1, 0, "5XB", float("nan")):
        with pytest.raises(ValueError, match=r'memory must be a number of bytes, or a text like "600MB"'):
            bytes_of(bad)


def test_what_is_read_as_a_source(data, table, tmp_path):
    X = data[0]
    for remote in (
        "x.npy",
        tmp_path,
        table,
        ds.dataset(table),
        Stream(table),
        Lazy(table),
        Chunked(X),
        Parts(),
    ):
        assert is_remote(remote) or isinstance(remote, Stream)
    for local in (X, X.tolist(), sp.csr_array(X), pd.DataFrame(X), None, memoryview(X)):
        assert not is_remote(local)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda d, t: d / "none", {}, "A data file was expected at .*none"),
        (lambda d, t: d, {}, r"must be a folder of Parquet files, or of Arrow files. Got no files"),
        (lambda d, t: d / "a.csv", {}, r"a.csv must be npy, Parquet .* gdnp data convert"),
        (lambda d, t: d / "a.bin", {"dtype": "f8"}, "raw with both dtype and shape"),
        (lambda d, t: d / "a.parquet", {}, "a.parquet must be readable"),
        (lambda d, t: t, {"y": "z"}, r"must have a column 'z'. Got \['c0'"),
        (lambda d, t: t, {"columns": ["z"]}, "must have a column 'z'"),
        (lambda d, t: t.slice(0, 0), {}, "must have at least one row"),
        (lambda d, t: t.select(["y"]), {"y": "y"}, "must have at least one row and one column"),
        (lambda d, t: np.ones((2, 2)), {"y": "y"}, "numbers of columns where these have no names"),
        (lambda d, t: iter([1]), {}, "iterated again and again. Got the list_iterator"),
        (lambda d, t: source(np.ones((2, 2)), y=[0, 1]), {"y": [1, 0]}, "of a Source are its own"),
        (lambda d, t: 3, {}, "must be an array, a path, a table"),
        (lambda d, t: type("DataFrame", (), {"npartitions": 2})(), {}, "write it to Parquet"),
        (lambda d, t: Chunked(np.ones((2, 2))), {}, "give slices of it as parts"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(make, options, message, table, tmp_path):
    obj = make(tmp_path, table)
    if isinstance(obj, os.PathLike) and obj.suffix:
        obj.write_text("a,b\n1,2\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        source(obj, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), "x"])
def test_costs_of_a_reading_are_positive(cost):
    with pytest.raises(ValueError, match="read_cost must be finite and positive"):
        source(pa.table({"a": [1.0]}), read_cost=cost)


@pytest.mark.parametrize("number", [2, -3])
def test_columns_that_are_not_there_are_refused_by_number(number):
    with pytest.raises(ValueError, match="Got 2 columns"):
        source(pa.table({"a": [1.0], "b": [2.0]}), y=number)
