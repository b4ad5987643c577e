"""The recipe for Spark: its functions, as they stand in the page, on plain processes."""

import importlib
import io
import multiprocessing
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest

from gdnp import GDNPRegressor
from gdnp.design import as_design
from gdnp.moments import SUMS, Moments

pa = pytest.importorskip("pyarrow")

PAGE = Path(__file__).parents[1] / "docs" / "spark.md"
WORKER = """
import pyarrow as pa
import recipe_of_spark


def moments_of(X, y):
    names = [f"c{j}" for j in range(X.shape[1])]
    table = pa.table([*map(pa.array, X.T.copy()), pa.array(y)], names=[*names, "y"])
    (batch,) = recipe_of_spark.partial_sums(iter(table.to_batches(max_chunksize=70)))
    return batch.column(0)[0].as_py()
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "recipe_of_spark.py").write_text(code, encoding="utf-8")
    (tmp_path / "worker_of_spark.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(filter(None, sys.path))}")
    yield importlib.import_module("recipe_of_spark"), importlib.import_module("worker_of_spark")
    for name in ("recipe_of_spark", "worker_of_spark"):
        sys.modules.pop(name)


def test_partitions_in_processes_make_the_fit_of_all_rows(recipe, rng):
    _, worker = recipe
    X = rng.standard_normal((500, 4)) * [1.0, 1e-2, 1e2, 1.0] + [0.0, 5.0, 0.0, 1.0]
    y = X @ [1.0, 30.0, 0.02, -1.0] + rng.standard_normal(500)
    parts = np.split(np.arange(500), [200, 330])
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(worker.moments_of, [X[part] for part in parts], [y[part] for part in parts]))
    moments = [Moments.load(io.BytesIO(data)) for data in found]
    whole, expected = reduce(add, moments), Moments.of(as_design(X), y)
    for name in (*SUMS, "scale"):
        np.testing.assert_allclose(getattr(whole, name), getattr(expected, name), rtol=1e-10, atol=1e-12)
    for alpha in (0.0, 1e-2):
        w, b = whole.least_squares(alpha)
        model = GDNPRegressor(alpha=alpha, tol=1e-14).fit(X, y)
        np.testing.assert_allclose(w, model.coef_, rtol=1e-7)
        assert b == pytest.approx(model.intercept_, rel=1e-7)
    forgotten = whole - moments[1]
    np.testing.assert_allclose(forgotten.S, (moments[0] + moments[2]).S, rtol=1e-9, atol=1e-10)
    assert max(map(len, found)) <= 8 * (4 * 4 + 3 * 4) + 2500


def test_an_empty_partition_gives_nothing(recipe):
    empty = pa.table({"a": [1.0], "y": [1.0]}).slice(0, 0)
    assert list(recipe[0].partial_sums(iter(empty.to_batches()))) == []
