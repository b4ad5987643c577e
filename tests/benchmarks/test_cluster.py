"""``benchmarks/cluster.py`` on something tiny: few rounds and bytes, and workers that are killed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own making

PATH = Path(__file__).parents[2] / "benchmarks" / "cluster.py"


@pytest.fixture(scope="module")
def cluster():
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_cluster", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_can_be_made_again(cluster):
    X, y = cluster.part_of(50, 3, 7)
    again, _ = cluster.part_of(50, 3, 7)
    np.testing.assert_array_equal(X, again)
    assert set(y) == {0.0, 1.0}
    assert cluster.sizes_of(10, 3) == [3, 3, 4]
    assert cluster.bound_on_bytes(10, 16, 20, 3) == 10 * 16 * 8 * 104 + 3 * 16 * 4 * 420


def test_a_report_and_a_kill(cluster, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "LATER", 1)
    assert cluster.killed(20_000, 4, 4, 1)
    out = capsys.readouterr().out
    assert "1 of 1 with the same status and objective to 1e-12" in out
    cluster.report(20_000, 4, 4, False)
    out = capsys.readouterr().out
    assert out.count("rounds <= 12 and bytes <= 1 MB: yes") == 4
    assert "NO" not in out
