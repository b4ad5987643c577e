"""CSV and LIBSVM to Parquet in small pieces: the same numbers, or one sentence and nothing left behind."""

import gzip

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pandas")

from gdnp.datasets import convert as module  # noqa: E402
from gdnp.datasets.convert import convert  # noqa: E402


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "BYTES", 3000)
    monkeypatch.setattr("gdnp.design.streams.ROW_GROUP_ENTRIES", 900)


@pytest.fixture
def rows(rng):
    X = rng.standard_normal((700, 4)) * (rng.random((700, 4)) < 0.7)
    X[-1, -1] = 1.0
    return X, rng.integers(0, 2, 700) * 2.0 - 1.0


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
def test_csv(suffix, rows, tmp_path):
    separator = "\t" if suffix == ".tsv" else ","
    lines = [separator.join(["a", "b", "c", "d", "word"])]
    lines += [
        separator.join([*map(repr, map(float, x)), "yes" if y > 0 else "no"])
        for x, y in zip(*rows, strict=True)
    ]
    file = tmp_path / f"t{suffix}"
    text = ("\n".join(lines) + "\n").encode()
    file.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    path, n, d = convert(file, tmp_path / "out")
    assert (n, d) == (700, 5)
    table = pq.read_table(path)
    np.testing.assert_array_equal(np.column_stack([table[name] for name in "abcd"]), rows[0])
    np.testing.assert_array_equal(table["word"].to_numpy() == "yes", rows[1] > 0)
    assert pq.read_metadata(path).num_row_groups > 3


def test_libsvm(rows, tmp_path):
    dump_svmlight_file(*rows, str(tmp_path / "t.svm"), zero_based=False)
    path, n, d = convert(tmp_path / "t.svm", tmp_path / "out")
    assert (n, d) == (700, 5)
    table = pq.read_table(path)
    np.testing.assert_allclose(np.column_stack([table[f"x{j}"] for j in range(1, 5)]), rows[0], rtol=1e-15)
    np.testing.assert_array_equal(table["y"], rows[1])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "a,b\n1,2\n1,2,3\n", r"t.csv must be CSV, TSV or LIBSVM. Got: CSV parse error"),
        ("t.csv", "a,b\n" + "1,2\n" * 2000 + "1,x\n", "t.csv must be CSV, TSV or LIBSVM. Got: .*invalid"),
        ("t.csv", "a,b\n", "must have rows"),
        ("t.csv", "", "Got an empty file"),
        ("t.svm", "1 1:2\nwords\n", "t.svm must be CSV, TSV or LIBSVM"),
        ("t.svm", "1 20000:1\n", "at most 10000 columns"),
    ],
)
def test_what_cannot_be_converted(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / name, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_with_something_in_it_stays(rows, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileExistsError, match="must be a new or an empty folder"):
        convert(tmp_path / "t.csv", tmp_path)
    with pytest.raises(FileExistsError):
        convert(tmp_path / "t.csv", tmp_path / "t.csv")
