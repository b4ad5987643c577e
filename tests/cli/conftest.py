"""Every command runs in an empty folder."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file, load_iris

from downloads import REFUSED
from gdnp.datasets import fetch

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GDNP_DEBUG", raising=False)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path / "nothing"))
    for key, remote in fetch.FILES.items():
        monkeypatch.setitem(fetch.FILES, key, replace(remote, mirrors=(f"{REFUSED}/{key}",)))


@pytest.fixture
def iris():
    """iris.csv and iris.parquet with names of species, iris.svm with numbers."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    X, y = load_iris(return_X_y=True)
    frame = pandas.DataFrame(X, columns=NAMES)
    frame["species"] = np.array(["setosa", "versicolor", "virginica"])[y]
    frame.to_csv("iris.csv", index=False)
    frame.to_parquet("iris.parquet")
    dump_svmlight_file(X, y, "iris.svm", zero_based=False)
    return frame
