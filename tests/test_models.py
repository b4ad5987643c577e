"""Saved models: what comes back is what was saved, and nothing else is let in."""

from __future__ import annotations

import io
import json
import re
import sys
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold

from gdnp import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV
from gdnp.losses import LogLoss, PseudoHuber
from gdnp.models import load_model, read_rows, save_model

pandas = pytest.importorskip("pandas")
skops = pytest.importorskip("skops.io")
pytest.importorskip("pyarrow")


class Foreign(LogLoss):
    """A loss of somebody else's."""


def _two_classes():
    X, y = load_breast_cancer(return_X_y=True)
    return GDNPClassifier().fit(X, y), X


def _three_classes():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return GDNPClassifier(class_weight="balanced").fit(X, np.array(["a", "bee", "c"])[y]), X


def _objects():
    X, y = load_iris(return_X_y=True)
    return GDNPClassifier("sigmoid").fit(X, np.array(["a", "bee", "c"], dtype=object)[y]), X


def _numbers():
    X = load_breast_cancer().data
    return GDNPRegressor(PseudoHuber(2.0)).fit(X[:, 1:], X[:, 0]), X[:, 1:]


def _float32():
    X, y = load_iris(return_X_y=True)
    return GDNPRegressor().fit(sparse.csr_matrix(X.astype(np.float32)), y), sparse.csr_matrix(X)


def _unmet():
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="was not met"):
        return GDNPClassifier(solver="gd", max_iter=2).fit(X, y), X


def _targets():
    X, y = load_iris(return_X_y=True)
    return GDNPRegressor().fit(X, np.column_stack([y, X[:, 0]])), X


def _targets_without_intercept():
    X, y = load_iris(return_X_y=True)
    return GDNPRegressor(fit_intercept=False).fit(X, y[:, None]), X


MODELS = [_two_classes, _three_classes, _objects, _numbers, _float32, _unmet]
MODELS += [_targets, _targets_without_intercept]


@pytest.fixture
def model():
    return _two_classes()[0]


@pytest.mark.parametrize("make", MODELS)
def test_round_trip_is_exact(make, tmp_path):
    model, X = make()
    loaded = load_model(save_model(model, tmp_path / "model.skops"))
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    assert vars(loaded).keys() == vars(model).keys()
    assert loaded.certificate_ == model.certificate_
    for name in ("coef_", "intercept_", "direction_", "length_"):
        assert_array_equal(getattr(loaded, name), getattr(model, name), strict=True)
    for name, column in model.history_.items():
        assert_array_equal(loaded.history_[name], column)
    assert_array_equal(loaded.predict(X), model.predict(X), strict=True)
    if hasattr(model, "classes_"):
        assert_array_equal(loaded.predict_proba(X), model.predict_proba(X), strict=True)


def test_saving_leaves_the_model_alone(model, tmp_path):
    before = model.certificate_
    save_model(model, tmp_path / "model.skops")
    assert model.certificate_ is before
    assert [path.name for path in tmp_path.iterdir()] == ["model.skops"]


def test_nothing_is_overwritten_unless_allowed(model, tmp_path):
    file = tmp_path / "model.skops"
    file.write_text("mine")
    with pytest.raises(FileExistsError, match="already there"):
        save_model(model, file)
    assert file.read_text() == "mine"
    save_model(model, file, overwrite=True)
    assert load_model(file).n_features_in_ == 30


@pytest.mark.parametrize("there", [False, True])
def test_a_failing_write_leaves_no_half_file(model, tmp_path, monkeypatch, there):
    file = tmp_path / "model.skops"
    if there:
        file.write_text("mine")

    def half(self, contents):
        with self.open("wb") as opened:
            opened.write(contents[:100])
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        save_model(model, file, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.skops"] * there
    assert not there or file.read_text() == "mine"


def test_not_fitted(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted"):
        save_model(GDNPClassifier(), tmp_path / "model.skops")


def test_a_loss_of_somebody_elses_is_not_saved(tmp_path):
    X, y = load_breast_cancer(return_X_y=True)
    model = GDNPClassifier(Foreign()).fit(X, y)
    with pytest.raises(ValueError, match=r"only hold types of gdnp.*Foreign"):
        save_model(model, tmp_path / "model.skops")
    assert not list(tmp_path.iterdir())


def test_without_skops(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops", None)
    with pytest.raises(ImportError, match=re.escape('pip install "gdnp[cli]"')):
        save_model(model, tmp_path / "model.skops")


# --- what is not let in


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="A model was expected"):
        load_model(tmp_path / "model.skops")


@pytest.mark.parametrize("contents", [b"", b"+1 1:2\n", b"\x80\x04N."])
def test_not_a_model(tmp_path, contents):
    file = tmp_path / "model.skops"
    file.write_bytes(contents)
    with pytest.raises(ValueError, match="file of another kind"):
        load_model(file)


@pytest.mark.parametrize("schema", [None, "nonsense", "[]", '{"__module__": "builtins"}'])
def test_another_archive(tmp_path, schema):
    file = tmp_path / "model.skops"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("other.txt", "text")
        if schema is not None:
            archive.writestr("schema.json", schema)
    with pytest.raises(ValueError, match="another kind of archive"):
        load_model(file)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated(model, tmp_path, kept):
    file = save_model(model, tmp_path / "model.skops")
    contents = file.read_bytes()
    file.write_bytes(contents[: int(kept * len(contents))])
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_model(file)


def test_flipped_byte(model, tmp_path):
    file = save_model(model, tmp_path / "model.skops")
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 3] ^= 0xFF
    file.write_bytes(contents)
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_model(file)


def test_an_untrusted_type_is_refused_and_never_made(model, tmp_path, monkeypatch):
    """A model whose loss is a class of another module, as somebody with ill intent would write it."""
    made = []
    monkeypatch.setattr(Foreign, "__new__", lambda cls: made.append(cls) or object.__new__(cls))
    file = tmp_path / "model.skops"
    model.set_params(loss=Foreign())
    made.clear()
    del model.certificate_
    file.write_bytes(skops.dumps(model))
    with pytest.raises(ValueError, match=r"Got \['\S*Foreign'\]: it is not loaded"):
        load_model(file)
    assert not made


def test_a_function_is_refused(model, tmp_path):
    model.set_params(random_state=zipfile.is_zipfile)
    del model.certificate_
    file = tmp_path / "model.skops"
    file.write_bytes(skops.dumps(model))
    with pytest.raises(ValueError, match=r"zipfile.is_zipfile'\]: it is not loaded"):
        load_model(file)


def test_another_estimator_is_refused(tmp_path):
    file = tmp_path / "model.skops"
    file.write_bytes(skops.dumps(LogisticRegression()))
    with pytest.raises(ValueError, match=r"GDNPClassifier or a GDNPRegressor[.] Got sklearn"):
        load_model(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coef_", np.ones((1, 29))),
        ("coef_", np.full((1, 30), np.nan)),
        ("coef_", "text"),
        ("intercept_", np.zeros(2)),
        ("feature_names_in_", np.array(["a"], dtype=object)),
        ("n_features_in_", 31),
        ("certificate_", {"status": "SPLENDID"}),
    ],
)
def test_parts_that_do_not_fit_together(model, tmp_path, name, value):
    del model.certificate_
    setattr(model, name, value)
    file = tmp_path / "model.skops"
    file.write_bytes(skops.dumps(model))
    with pytest.raises(ValueError, match="damaged, or from an incompatible version"):
        load_model(file)


def test_the_schema_is_text(model, tmp_path):
    """The file names the class, so that a reader can see what it is without gdnp."""
    archive = zipfile.ZipFile(io.BytesIO(save_model(model, tmp_path / "model.skops").read_bytes()))
    assert json.loads(archive.read("schema.json"))["__class__"] == "GDNPClassifier"


# --- rows


@pytest.fixture
def named():
    X = pandas.DataFrame({"a": [0.0, 1.0, 2.0, 3.5], "b": [1.0, -1.0, 0.5, 0.0]})
    return GDNPClassifier().fit(X, ["no", "yes", "no", "yes"])


@pytest.fixture
def unnamed(named):
    return GDNPClassifier().fit(np.array([[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [3.5, 0.0]]), [0, 1, 0, 1])


def _write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "y"),
    [
        ("a,b,y\n1,2,no\n3,4,yes\n", ["no", "yes"]),
        ("id,b,a,y\nx,2,1,no\nz,4,3,yes\n", ["no", "yes"]),
        ("b,a\n2,1\n4,3\n", None),
        ("y,a,b\nno,1,2\nyes,3,4\n", None),
        ("a,b,y\n1,2,\n3,4,yes\n", ["", "yes"]),
    ],
)
def test_columns_are_matched_by_name(named, tmp_path, text, y):
    rows = read_rows(named, _write(tmp_path / "new.csv", text))
    assert_array_equal(rows.X, [[1.0, 2.0], [3.0, 4.0]])
    assert rows.y is None if y is None else rows.y.tolist() == y


def test_target_by_name(named, tmp_path):
    file = _write(tmp_path / "new.csv", "y,a,b\nno,1,2\n")
    assert read_rows(named, file, target="y").y.tolist() == ["no"]
    with pytest.raises(
        ValueError, match=r"--target must name a column, one of y, a, b, or count it\. Got 'absent'"
    ):
        read_rows(named, file, target="absent")


def test_columns_by_position(unnamed, tmp_path):
    file = _write(tmp_path / "new.tsv", "u\tv\ty\n1\t2\t0\n")
    rows = read_rows(unnamed, file)
    assert_array_equal(rows.X, [[1.0, 2.0]])
    assert rows.y.tolist() == ["0"]
    assert_array_equal(read_rows(unnamed, file, target="u").X, [[2.0, 0.0]])
    assert read_rows(unnamed, _write(tmp_path / "two.csv", "u,v\n1,2\n")).y is None


def test_parquet_with_gaps_of_pandas_own_types(named, tmp_path):
    frame = pandas.DataFrame({"b": pandas.array([1, None], dtype="Int64"), "a": [True, False]})
    frame.to_parquet(tmp_path / "new.parquet")
    with pytest.raises(ValueError, match=r"Got '<NA>' in row 2"):
        read_rows(named, tmp_path / "new.parquet")
    frame.fillna(7).to_parquet(tmp_path / "new.parquet")
    assert_array_equal(read_rows(named, tmp_path / "new.parquet").X, [[1.0, 1.0], [0.0, 7.0]])


def test_libsvm_is_as_wide_as_the_model(unnamed, tmp_path):
    rows = read_rows(unnamed, _write(tmp_path / "new.svm", "1 1:2\n"))
    assert rows.X.shape == (1, 2)
    assert_array_equal(rows.X.toarray(), [[2.0, 0.0]])


def test_registered_names(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = read_rows(model, "breast_cancer")
    assert rows.X.shape == (569, 30)
    with pytest.raises(ValueError, match=r"should have the 30 columns of the model[.] Got 20"):
        read_rows(model, "gaussian")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("new.csv", "a,c,y\n1,2,3\n", r"Missing: 'b'\."),
        ("new.csv", "a,b\n1,x\n", r"'b' of .* must be finite numbers.* Got 'x' in row 1"),
        ("new.csv", "a,b\n1,\n", "Got '' in row 1: fit a table with gaps, or fill it"),
        ("new.csv", "a,b\n", "Got a header and no rows"),
        ("new.csv", "1,2\n3,4\n", "Missing: 'a', 'b'"),
        ("new.csv", "a,b\n1,2,3\n", "one name a column"),
        ("new.csv", "", "empty file"),
        ("new.pq", "text", "should be a Parquet or Arrow file"),
        ("new.svm", "1 1:2 3:1\n", "should have the 2 columns of the model. Got 3"),
        ("new.svm", "1 0:2\n", "should be a LIBSVM file"),
        ("new.svm", "1 1:nan\n", "finite"),
        ("new.svm", "#\n", "at least one row"),
        ("new.xyz", "hello\n", "should be a LIBSVM file"),
    ],
)
def test_rows_that_do_not_fit(named, tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        read_rows(named, _write(tmp_path / name, text))


def test_wrong_number_of_columns_without_names(unnamed, tmp_path):
    with pytest.raises(ValueError, match=r"should have the 2 columns of the model[.] Got 4"):
        read_rows(unnamed, _write(tmp_path / "new.csv", "a,b,c,d\n1,2,3,4\n"))
    rows = read_rows(unnamed, _write(tmp_path / "new.csv", "7,9\n1,2\n"))  # no names on top: all are rows
    assert_array_equal(rows.X, [[7.0, 9.0], [1.0, 2.0]])


def test_data_that_is_not_there(named):
    with pytest.raises(FileNotFoundError, match="Data must be a file or one of"):
        read_rows(named, "absent.csv")


def test_target_is_for_columns_with_names(named, tmp_path):
    with pytest.raises(ValueError, match="target names a column"):
        read_rows(named, _write(tmp_path / "new.svm", "1 1:2\n"), target="y")


# Archives that are not what they seem


BOMB = 3 << 25


def _bomb(file, size, name="coef.npy", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(file, "a", compression) as archive, archive.open(name, "w") as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))


def _peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_is_refused_before_it_takes_memory(model, tmp_path):
    file = save_model(model, tmp_path / "model.skops")
    _bomb(file, BOMB)
    assert file.stat().st_size < 1 << 20

    def load():
        with pytest.raises(
            ValueError, match=r"should unpack to at most \d+ MiB.* Got more: it is not loaded"
        ):
            load_model(file)

    assert _peak(load) < 1 << 23


def test_a_bomb_that_lies_about_its_size_is_refused(model, tmp_path):
    """In the directory and before the member: what is read is what counts."""
    file = save_model(model, tmp_path / "model.skops")
    _bomb(file, BOMB)
    contents = file.read_bytes().replace(BOMB.to_bytes(4, "little"), (100).to_bytes(4, "little"))
    file.write_bytes(contents)

    def load():
        with pytest.raises(ValueError, match="truncated or damaged"):
            load_model(file)

    assert _peak(load) < 1 << 23


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs_of_other_compressions_are_refused(model, tmp_path, compression):
    file = save_model(model, tmp_path / "model.skops")
    _bomb(file, 1 << 25, compression=compression)
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_model(file)


def test_a_bomb_in_an_archive_within_is_refused(model, tmp_path):
    """As sparse matrices are stored."""
    file = save_model(model, tmp_path / "model.skops")
    inner = io.BytesIO()
    _bomb(inner, BOMB)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("matrix.npz", inner.getvalue())

    def load():
        with pytest.raises(ValueError, match="Got more: it is not loaded"):
            load_model(file)

    assert _peak(load) < 1 << 23


def test_an_archive_with_two_members_of_one_name_is_refused(model, tmp_path):
    file = save_model(model, tmp_path / "model.skops")
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("schema.json", "{}")
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_model(file)


def test_a_compressed_model_and_one_with_sparse_coefficients_come_back(tmp_path):
    model, X = _three_classes()
    model.sparsify()
    file = save_model(model, tmp_path / "model.skops")
    for _ in range(2):
        loaded = load_model(file)
        assert sparse.issparse(loaded.coef_)
        assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
        with zipfile.ZipFile(file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, contents in members.items():
                archive.writestr(name, contents)


@pytest.mark.parametrize("kind", [GDNPClassifierCV, GDNPRegressorCV])
@pytest.mark.parametrize("refit", [True, False])
def test_a_model_that_has_chosen_its_ridge_keeps_its_scores_and_certificates(tmp_path, rng, kind, refit):
    X, y = rng.standard_normal((30, 3)), np.tile([-1.0, 1.0], 15)
    model = kind(alphas=[1.0, 0.1], cv=3, refit=refit).fit(X, y)
    again = load_model(save_model(model, tmp_path / "chosen.skops"))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.scores_, model.scores_)
    assert again.certificates_.shape == model.certificates_.shape
    assert (again.certificates_ == model.certificates_).all()
    assert again.alpha_ == model.alpha_


@pytest.mark.parametrize(
    "cv", [StratifiedKFold(3), GroupKFold(3), [(np.arange(30), np.arange(30, 60))]], ids=str
)
def test_a_model_that_has_chosen_its_ridge_keeps_its_folds(tmp_path, cv):
    rng = np.random.default_rng(0)
    X, groups = rng.standard_normal((60, 3)), np.arange(60) // 6
    y = (X[:, 0] + rng.standard_normal(60) > 0.0).astype(int)
    model = GDNPClassifierCV(alphas=3, cv=cv).fit(X, y, groups=groups if isinstance(cv, GroupKFold) else None)
    found = load_model(save_model(model, tmp_path / "m.skops"))
    assert found.alpha_ == model.alpha_
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
