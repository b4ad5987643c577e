"""Readers of LIBSVM files and of tables: what they read, and what they refuse in one sentence."""

import bz2
import gzip
import os
import stat
import sys

import numpy as np
import pytest
from scipy.sparse import issparse

from downloads import SMALL
from gdnp import _files, datasets
from gdnp.tables import Reading


@pytest.mark.parametrize(
    ("name", "pack"),
    [("s", bytes), ("s.svm", bytes), ("s.t", bytes), ("s.svm.gz", gzip.compress), ("s.bz2", bz2.compress)],
)
def test_libsvm(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(SMALL))
    data = datasets.load(path)
    assert data.name == name
    assert issparse(data.X)
    np.testing.assert_array_equal(data.X.toarray(), [[0.5, 0, 2], [0, 1, 0], [0, 0, 1.5]])
    np.testing.assert_array_equal(data.y, [1.0, -1.0, 1.0])
    assert data.feature_names is None


def test_libsvm_columns_and_base(tmp_path):
    path = tmp_path / "s"
    path.write_bytes(SMALL)
    assert datasets.load(path, n_features=5).X.shape == (3, 5)
    shifted = datasets.load_libsvm(path, zero_based=True).X
    np.testing.assert_array_equal(shifted.toarray()[:, 1:], datasets.load_libsvm(path).X.toarray())
    assert shifted.shape == (3, 4)


@pytest.mark.parametrize(
    ("name", "separator", "pack"),
    [("t.csv", ",", bytes), ("t.TSV", "\t", bytes), ("t.csv.gz", ",", gzip.compress)],
)
def test_csv(tmp_path, name, separator, pack):
    text = "a,kind,b\n1,yes,2.5\n-3,no,1e-3\n".replace(",", separator)
    (tmp_path / name).write_bytes(pack(text.encode()))
    data = datasets.load(tmp_path / name, target="kind")
    np.testing.assert_array_equal(data.X, [[1.0, 2.5], [-3.0, 1e-3]])
    assert data.X.flags.c_contiguous
    assert data.X.dtype == np.float64
    assert data.y.tolist() == ["yes", "no"]
    assert data.feature_names == ("a", "b")
    np.testing.assert_array_equal(data.signs(), [1.0, -1.0])


def test_labels_that_turn_to_text_late(tmp_path):
    numbers = 300_000  # more than pandas guesses the type of a column from
    (tmp_path / "t.csv").write_text("a,y\n" + "1,1\n2,1\n" * (numbers // 2) + "1,x\n")
    y = datasets.load_table(tmp_path / "t.csv").y
    assert set(y.tolist()) == {"1", "x"}


def test_labels_are_numbers_where_that_loses_nothing(tmp_path):
    for labels, kind in ((("1", "2"), "f"), (("01", "1"), "U"), (("1" * 18, "1" * 17 + "2"), "U")):
        (tmp_path / "t.csv").write_text(f"a,y\n1,{labels[0]}\n2,{labels[1]}\n")
        assert datasets.load_table(tmp_path / "t.csv").y.dtype.kind == kind


def test_a_table_becomes_numbers(tmp_path):
    (tmp_path / "t.txt").write_text("a;kind;when;y\n1,5;u;2020-01-01;0\n;v;2020-01-02;1\n3;u;2020-01-03;1\n")
    data = datasets.load(tmp_path / "t.txt")
    np.testing.assert_array_equal(data.X[:, :2], [[1.5, 0.0], [2.25, 1.0], [3.0, 0.0]])
    assert data.feature_names[:3] == ("a", "a: gap", "when: days since 1970")
    assert data.feature_names[-1] == "kind = v"
    reading = Reading(header=False)
    assert datasets.load_table(tmp_path / "t.txt", "column 1", reading).y.tolist() == ["a", "1.5", "3"]


@pytest.mark.parametrize(
    ("labels", "dtype", "kind"),
    [
        ([2, 1, 2], "int64", "f"),
        ([0.5, 1.5, 2.5], "float32", "f"),
        ([True, False, True], "bool", "b"),
        ([True, False, True], "boolean", "b"),
        (["x", "y", "x"], "str", "U"),
        (["x", "y", "x"], "category", "U"),
        ([7, 8, 7], "category", "f"),
    ],
)
def test_parquet_targets(tmp_path, labels, dtype, kind):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {"a": [1, 2, 3], "b": [True, False, True], "y": pandas.Series(labels, dtype=dtype)}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    data = datasets.load(tmp_path / "t.parquet")
    assert data.y.dtype.kind == kind
    assert data.y.tolist() == labels
    np.testing.assert_array_equal(data.X, [[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
    assert data.feature_names == ("a", "b")


# --- what they refuse


BAD = {  # name of the case: (file, contents, what the error says)
    "empty": ("f.svm", b"", "should hold data. Got an empty file"),
    "blank": ("f.svm", b"\n# nothing\n", "Got 0 rows, all empty"),
    "no features": ("f.svm", b"1\n-1\n", "Got 2 rows, all empty"),
    "one row": ("f.svm", b"1 1:2\n", "at least two rows. Got 1"),
    "prose": ("f.txt", b"hello world\n", "should be a LIBSVM file.* Got: could not convert"),
    "binary": ("f", bytes(range(256)), "Got a binary file of another kind"),
    "cut off": ("f", b"1 1:1\n-1 2:", "should be a LIBSVM file"),
    "huge index": ("f", b"1 1:1\n-1 4000000000:1\n", "should be a LIBSVM file.* Got: value too large"),
    "index 0": ("f", b"1 0:1 2:3\n-1 1:2\n", "Invalid index 0 .*pass zero_based=True"),
    "index -1": ("f", b"1 -1:1 2:3\n-1 1:2\n", "Invalid index -1 in .* file.$"),
    "unsorted": ("f", b"1 2:1 1:3\n-1 1:2\n", "should be sorted and unique.$"),
    "NaN": ("f", b"1 1:nan\n-1 1:2\n", "Got 1 NaN or infinite in X"),
    "infinite label": ("f", b"inf 1:1\n-1 1:2\n", "Got 1 NaN or infinite in y"),
    "not gzip": ("f.gz", SMALL, "should be a LIBSVM file.* Got: Not a gzipped file"),
    "gzip cut off": (
        "f.gz",
        gzip.compress(SMALL * 99)[:30],
        "should be a LIBSVM file.* Got: Compressed file",
    ),
    "gzip corrupt": ("f.gz", gzip.compress(SMALL * 99)[:12] + b"\xff" * 40, "should be a LIBSVM file"),
    "bzip2 cut off": ("f.bz2", bz2.compress(SMALL * 99)[:30], "should be a LIBSVM file"),
    "header only": ("f.csv", b"a,b\n", "Got a header and no rows"),
    "csv one row": ("f.csv", b"a,b\n1,2\n", "at least two rows. Got 1"),
    "one column": ("f.csv", b"a\n1\n2\n", "at least one feature. Got 1 column"),
    "csv of libsvm": ("f.csv", SMALL, "f.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file(tmp_path, case):
    name, contents, message = BAD[case]
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.load(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".csv", ".parquet"])
def test_bad_place(tmp_path, suffix):
    missing, folder = tmp_path / f"missing{suffix}", tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"Data must be a file.*missing"):
        datasets.load(missing)
    with pytest.raises(FileNotFoundError, match="Got nothing there: check the path"):
        datasets.load_table(missing)
    with pytest.raises(ValueError, match="Got a folder or device"):
        datasets.load(folder)


@pytest.mark.skipif(
    os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="every file can be read here"
)
def test_unreadable_file_is_a_permission_error(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("a,y\n1,2\n3,4\n")
    path.chmod(stat.S_IWUSR)
    with pytest.raises(PermissionError, match=r"f.csv"):
        datasets.load(path)


def test_libsvm_index_beyond_n_features(tmp_path):
    (tmp_path / "f").write_bytes(SMALL)
    with pytest.raises(ValueError, match=r"at most n_features = 2 columns. Got 3: raise it"):
        datasets.load(tmp_path / "f", n_features=2)


def test_options_of_another_format(tmp_path):
    (tmp_path / "f.svm").write_bytes(SMALL)
    (tmp_path / "f.csv").write_text("a,y\n1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"target names a column of a table. Got 'y' for .*, a LIBSVM file"):
        datasets.load(tmp_path / "f.svm", target="y")
    with pytest.raises(ValueError, match="n_features is for LIBSVM files"):
        datasets.load(tmp_path / "f.csv", n_features=3)


def test_unknown_target(tmp_path):
    (tmp_path / "f.csv").write_text("a,y\n1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"name a column of .*, one of a, y, or count it\. Got 'z'"):
        datasets.load_table(tmp_path / "f.csv", target="z")


@pytest.mark.parametrize(
    ("module", "contents", "message"),
    [
        ("pandas", b"a,y\n1,2\n3,4\n", "^Reading a table needs pandas: pip install"),
        ("pandas", b"PAR1", "^Reading a table needs pandas: pip install"),
        ("pyarrow", b"PAR1", "^Reading a Parquet or Arrow file needs pyarrow: pip install"),
    ],
)
def test_missing_extra(monkeypatch, tmp_path, module, contents, message):
    pytest.importorskip("pandas")
    (tmp_path / "f.csv").write_bytes(contents)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        datasets.load(tmp_path / "f.csv")


def test_broken_extra_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "broken_extra.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'a_module_that_is_not_there'"):
        _files.require("broken_extra", "Testing")
