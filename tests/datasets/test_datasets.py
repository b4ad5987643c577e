"""Data sets by their names and files by their paths."""

import numpy as np
import pytest

from downloads import here
from gdnp import datasets


@pytest.mark.parametrize(
    ("name", "shape", "nnz", "positives"),
    [
        ("a9a", (32561, 123), 451592, 7841),
        ("a9a.t", (16281, 123), 225731, 3846),
        ("mushrooms", (8124, 112), 170604, 4208),
    ],
)
def test_published_set(name, shape, nnz, positives):
    here("a9a/a9a", "a9a/a9a.t", "mushrooms/mushrooms")
    data = datasets.load(name)
    assert data.name == name
    assert data.X.shape == shape
    assert data.X.nnz == nnz
    assert data.X.format == "csr"
    assert data.X.dtype == np.float64
    assert data.X.indices.dtype == np.int32
    assert set(data.y) == {-1.0, 1.0}
    assert data.y.dtype == np.float64
    assert np.count_nonzero(data.y == 1.0) == positives


def test_files_of_every_registered_set():
    assert datasets.files_of("gaussian") == datasets.files_of("digits") == {}
    assert list(datasets.files_of("a9a.t")) == ["a9a/a9a.t"]
    assert list(datasets.files_of("cifar10.t")) == ["cifar-10-batches-py/test_batch"]
    assert len(datasets.files_of("cifar10")) == 5
    assert list(datasets.files_of("mnist")) == [
        f"mnist/train-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")
    ]
    for name in datasets.DATASETS:
        for checksum in datasets.files_of(name).values():
            algorithm, _, digest = checksum.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]


def test_breast_cancer():
    data = datasets.load("breast_cancer")
    assert data.X.shape == (569, 30)
    assert data.X.dtype == np.float64
    assert len(data.feature_names) == 30
    assert np.count_nonzero(data.y == 1.0) == 357
    assert np.count_nonzero(data.y == -1.0) == 212


def test_gaussian_by_name():
    data = datasets.load("gaussian")
    assert data.X.shape == (20_000, 20)
    assert set(data.y) == {-1.0, 1.0}


def test_load_takes_a_path(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("label,a\n0,1\n1,2\n")
    np.testing.assert_array_equal(datasets.load(path, target="label").y, [0.0, 1.0])


def test_load_refuses_neither_name_nor_path_and_misplaced_options():
    with pytest.raises(FileNotFoundError, match=r"a file: did you mean a9a[?] Got 'a9b'"):
        datasets.load("a9b")
    with pytest.raises(ValueError, match=r"are for files. Got them for the data set 'gaussian'"):
        datasets.load("gaussian", n_features=3)
