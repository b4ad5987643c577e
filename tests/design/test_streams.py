"""Rows from files, parts and tables: those that were written, and a sentence for what is not."""

import os

import numpy as np
import pytest

from gdnp.design.streams import Changed, PartStream, RawStream, write_parquet
from gdnp.design.streams import pyarrow as arrow

N, D = 1003, 5


@pytest.fixture
def X(rng):
    return rng.standard_normal((N, D))


class Parts:
    def __init__(self, *parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)


@pytest.fixture(params=["raw", "parts", "parquet", "ipc"])
def stream(request, X, tmp_path):
    from gdnp.design.streams import ArrowStream

    if request.param == "raw":
        path = tmp_path / "X.bin"
        path.write_bytes(b"head" + X.tobytes())
        return RawStream(path, X.shape, X.dtype, 4)
    if request.param == "parts":
        return PartStream(Parts((X[:300], 0), (X[300:301], 0), (X[301:], 0)))
    pa, ds = arrow(), arrow("pyarrow.dataset")
    table = pa.table({f"c{j}": X[:, j] for j in range(D)})
    if request.param == "parquet":
        arrow("pyarrow.parquet").write_table(table, tmp_path / "X.parquet", row_group_size=170)
    else:
        arrow("pyarrow.feather").write_feather(table, tmp_path / "X.feather", chunksize=170)
    kind = "parquet" if request.param == "parquet" else "ipc"
    return ArrowStream(ds.dataset(tmp_path, format=kind), None, "it")


def read(stream, edges):
    buffers = (np.full((N, stream.shape[1]), np.nan) for _ in edges)
    return [rows.copy() for rows, _ in stream.filled(edges, buffers)]


@pytest.mark.parametrize("edges", [[(0, N)], [(0, 1), (1, 400), (400, N)], [(250, 260), (700, 900)]])
def test_rows_are_those_written(stream, X, edges):
    for _ in range(2):
        for rows, (low, high) in zip(read(stream, edges), edges, strict=True):
            np.testing.assert_array_equal(rows, X[low:high])


def test_columns_are_chosen_and_chosen_from(stream, X):
    few = stream.columns(np.array([4, 1, 2])).columns(np.array([2, 0]))
    assert few.shape == (N, 2)
    np.testing.assert_array_equal(read(few, [(0, N)])[0], X[:, [2, 4]])


@pytest.mark.parametrize("index", [[0], [1002, 3, 3, 500], list(range(0, N, 3))])
def test_rows_are_taken_in_any_order(stream, X, index):
    rows, size = stream.take(np.array(index))
    np.testing.assert_array_equal(rows, X[index])
    assert 0 < size <= stream.nbytes


def test_a_raw_file_that_is_too_short_or_changes(tmp_path, X):
    path = tmp_path / "X.bin"
    path.write_bytes(X.tobytes())
    with pytest.raises(ValueError, match=r"must hold 1004 rows of 5 float64, 40160 bytes. Got 40120"):
        RawStream(path, (N + 1, D), np.float64)
    stream = RawStream(path, X.shape, X.dtype)
    path.write_bytes(X[::-1].tobytes())
    os.utime(path, ns=(1, 1))
    with pytest.raises(Changed, match=r"X.bin must stay as it is while it is read. Got another file there"):
        read(stream, [(0, N)])
    path.unlink()
    with pytest.raises(Changed, match=r"Got No such file"):
        stream.take(np.array([1]))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "must give parts"),
        ([(np.ones((2, 2)), 0), (np.ones((2, 3)), 0)], r"part 1 must have rows, and columns"),
        ([(np.ones((2, 2)), 0), (np.ones((2, 2), np.float32), 0)], r"part 1 .* float32"),
        ([(np.ones((2, 2)), 0), (np.ones((0, 2)), 0)], r"part 1 .* \(0, 2\)"),
        ([(np.ones((2, 2)), 0), (np.ones((2, 2)),)], r"part 1 .* 1 in all"),
        ([np.ones((2, 2))], r"part 0 must be \(X, y\)"),
        ([(np.full((2, 2), "a"), 0)], "must hold real numbers"),
    ],
)
def test_parts_that_do_not_go_together(parts, message):
    with pytest.raises(ValueError, match=message):
        PartStream(Parts(*parts))


def test_parts_that_change(X):
    source = Parts((X[:300], 0), (X[300:], 0))
    stream = PartStream(source)
    source.parts = ((X[:300], 0), (X[300:-1], 0))
    with pytest.raises(Changed, match="Got 702 rows in part 1"):
        read(stream, [(0, N)])
    source.parts = ((X[:300], 0),)
    with pytest.raises(Changed, match="Got fewer rows"):
        read(stream, [(0, N)])
    source.parts = ((X[:300], 0), (X[300:], 0), (X[:2], 0))
    with pytest.raises(Changed, match="Got 2 rows in part 2"):
        read(stream, [(0, N)])


class TestTables:
    @pytest.fixture
    def table(self, X):
        return arrow().table({**{f"c{j}": X[:, j] for j in range(D)}, "y": np.arange(N) % 2})

    def opened(self, folder, **options):
        from gdnp.design.streams import ArrowStream

        options = {"names": None, "title": "it", **options}
        return ArrowStream(arrow("pyarrow.dataset").dataset(folder, format="parquet"), **options)

    def test_a_written_file_is_read_and_has_its_checksum(self, table, tmp_path, X):
        path = write_parquet(table.to_batches(100), tmp_path)
        stream = self.opened(tmp_path, without=["y"])
        np.testing.assert_array_equal(read(stream, [(0, N)])[0], X)
        np.testing.assert_array_equal(np.concatenate(list(stream.values("y"))), np.arange(N) % 2)
        assert list(tmp_path.iterdir()) == [path]

    def test_row_groups_have_a_size(self, table, tmp_path, monkeypatch):
        monkeypatch.setattr("gdnp.design.streams.ROW_GROUP_ENTRIES", 600)
        path = write_parquet(table.to_batches(70), tmp_path)
        footer = arrow("pyarrow.parquet").read_metadata(path)
        sizes = {footer.row_group(k).num_rows for k in range(footer.num_row_groups)}
        assert max(sizes) <= 100
        assert footer.num_rows == N

    def test_no_rows_are_not_written(self, table, tmp_path):
        with pytest.raises(ValueError, match="must have rows"):
            write_parquet(table.slice(0, 0).to_batches(), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_any_damaged_byte_is_refused_or_harmless(self, table, tmp_path, X, rng, monkeypatch):
        monkeypatch.setattr("gdnp.design.streams.ROW_GROUP_ENTRIES", 2000)
        path = write_parquet(table.to_batches(), tmp_path)
        sound = path.read_bytes()
        places = np.append(rng.integers(0, len(sound), 40), [0, len(sound) - 1, len(sound) - 6])
        refused = 0
        for place in places:
            damaged = bytearray(sound)
            damaged[place] ^= int(rng.integers(1, 256))
            path.write_bytes(damaged)
            said = None
            try:
                rows = read(self.opened(tmp_path, without=["y"]), [(0, N)])[0]
            except (OSError, ValueError) as error:
                said = str(error)
                refused += 1
            else:
                np.testing.assert_array_equal(rows, X)
            assert said is None or path.name in said
        assert refused >= 40

    def test_a_damaged_row_group_is_named(self, table, tmp_path, monkeypatch):
        monkeypatch.setattr("gdnp.design.streams.ROW_GROUP_ENTRIES", 2000)
        path = write_parquet(table.to_batches(), tmp_path)
        footer = arrow("pyarrow.parquet").read_metadata(path)
        damaged = bytearray(path.read_bytes())
        column = footer.row_group(2).column(1)
        damaged[column.data_page_offset + column.total_compressed_size - 9] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(Changed, match=rf"{path.name}, row group 2, must be readable"):
            read(self.opened(tmp_path, without=["y"]), [(0, N)])

    @pytest.mark.parametrize("keep", [10, 5000])
    def test_a_truncated_file_is_named(self, table, tmp_path, keep):
        path = write_parquet(table.to_batches(), tmp_path)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ValueError, match=path.name):
            self.opened(tmp_path)

    def test_other_columns_in_one_file(self, table, tmp_path):
        parquet = arrow("pyarrow.parquet")
        parquet.write_table(table, tmp_path / "a.parquet")
        for other, message in (
            (table.drop_columns("c3"), r"column 'c3' .* Got no such column in .*b.parquet"),
            (table.append_column("new", table["c1"]), r"column 'new' .* in .*b.parquet"),
            (table.set_column(0, "c0", table["y"]), r"column 'c0' .*double.* Got int64 in .*b.parquet"),
        ):
            parquet.write_table(other, tmp_path / "b.parquet")
            with pytest.raises(ValueError, match=message):
                self.opened(tmp_path)

    def test_text_is_refused_by_name(self, table, tmp_path):
        words = arrow().array(["a"] * N).dictionary_encode()
        write_parquet(table.append_column("word", words).to_batches(), tmp_path)
        with pytest.raises(ValueError, match=r"must be numbers. Got word \(dictionary.*gdnp fit TABLE"):
            self.opened(tmp_path)
        stream = self.opened(tmp_path, without=["word"])
        assert set(np.concatenate(list(stream.values("word")))) == {"a"}

    def test_gaps_in_a_target_and_in_a_feature(self, table, tmp_path):
        gaps = arrow().array([1.0, None] + [2.0] * (N - 2))
        write_parquet(table.append_column("gaps", gaps).to_batches(), tmp_path)
        stream = self.opened(tmp_path)
        with pytest.raises(
            ValueError, match=r"column 'gaps' must have no gaps. Got 1 in .*row group 0; drop"
        ):
            list(stream.values("gaps"))
        assert np.isnan(read(stream, [(0, N)])[0][1, -1])
