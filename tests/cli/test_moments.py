"""``gdnp moments``: of files, of one another, and what follows from them alone."""

import json

import numpy as np
import pytest

from command import one_sentence
from gdnp import GDNPRegressor
from gdnp.cli import main
from gdnp.moments import Moments

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("typer")


@pytest.fixture
def rows(tmp_path, rng):
    """Folders A and B, and X.npy with all of their rows."""
    X = rng.standard_normal((900, 3)) * [1.0, 1e-2, 20.0] + [0.0, 5.0, 0.0]
    y = X @ [1.0, 30.0, 0.02] + rng.standard_normal(900)
    for name, part in (("A", slice(300)), ("B", slice(300, 900))):
        (tmp_path / name).mkdir()
        columns = dict(zip("abc", X[part].T, strict=True)) | {"y": y[part]}
        pq.write_table(pa.table(columns), tmp_path / name / "x.parquet", row_group_size=100)
    np.save(tmp_path / "X.npy", np.column_stack([X, y]))
    return X, y


def test_merged_and_forgotten(rows, capsys):
    for name in "AB":
        assert main(["moments", name, "--target", "y", "--memory", "1MB", "--out", f"{name}.npz"]) == 0
    assert main(["moments", "merge", "A.npz", "B.npz", "--out", "all.npz"]) == 0
    assert "900 rows, 3 columns are in all.npz" in capsys.readouterr().err
    assert main(["moments", "all.npz", "--json", "--alpha", "1e-3"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = GDNPRegressor(alpha=1e-3, tol=1e-14).fit(*rows)
    assert [column["name"] for column in found["columns"]] == ["a", "b", "c"]
    np.testing.assert_allclose([column["coefficient"] for column in found["columns"]], model.coef_, rtol=1e-7)
    assert found["intercept"] == pytest.approx(model.intercept_, rel=1e-7)
    assert found["r_squared"] == pytest.approx(model.score(*rows), rel=1e-9)
    assert main(["moments", "X.npy", "--json", "--alpha", "1e-3", "--target", "4"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert [column["name"] for column in same["columns"]] == ["column 1", "column 2", "column 3"]
    for name in ("coefficient", "direction"):
        of = [[column[name] for column in one["columns"]] for one in (found, same)]
        np.testing.assert_allclose(of[0], of[1], rtol=1e-9)
    assert main(["moments", "merge", "all.npz", "-", "B.npz", "--out", "left.npz"]) == 0
    left, kept = Moments.load("left.npz"), Moments.load("A.npz")
    np.testing.assert_allclose(left.S, kept.S, rtol=1e-9)
    assert left.names == ("a", "b", "c")
    assert main(["moments", "left.npz"]) == 0
    out = capsys.readouterr().out
    assert "R² " in out
    assert ", alpha 0, 300 rows." in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["merge"], 2, "takes DATA, one FILE.npz, or merge"),
        (["merge", "-", "A.npz"], 2, "Got merge - A.npz"),
        (["merge", "A.npz", "-"], 2, "Got merge A.npz -"),
        (["A", "B"], 2, "Got A B"),
        (["none.npz"], 3, "none.npz"),
        (["none"], 3, "A data file was expected at none"),
        (["merge", "A.npz", "X.npy"], 1, "X.npy must hold moments that were saved whole"),
        (["merge", "A.npz", "-", "wide.npz"], 1, "must be positive semidefinite"),
        (["merge", "A.npz", "-", "A.npz"], 1, "must weigh less than the whole, 300"),
        (["A", "--out", "A.npz"], 1, "A.npz is already there"),
        (["A", "--memory", "much"], 2, "--memory must be a number of bytes"),
        (["X.npy", "--target", "y"], 1, "numbers of columns where these have no names"),
    ],
)
def test_what_does_not_work_is_one_sentence(rows, arguments, code, message, capsys):
    assert main(["moments", "A", "--out", "A.npz"]) == 0
    Moments.load("A.npz").save("wide.npz")
    with np.load("A.npz") as stored:
        wide = {name: stored[name] for name in stored.files}
    np.savez("wide.npz", **{**wide, "weight": 200.0, "S": 10.0 * wide["S"]})
    capsys.readouterr()
    assert main(["moments", *arguments]) == code
    assert message in one_sentence(capsys)
