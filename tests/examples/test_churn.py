"""The example of a table: made from a seed, and raced on a few of its rows."""

import importlib.util
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("churn", ROOT / "examples" / "churn.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_as_such_tables_are(example):
    frame = example.table(2000)
    pandas.testing.assert_frame_equal(frame, example.table(2000))
    columns = example.TableColumns()
    columns.fit(frame.drop(columns="churned"))
    kinds = {column["name"]: column["kind"] for column in columns.columns_}
    assert set(kinds.values()) == {"id", "date", "category", "number", "constant"}
    assert {c["name"] for c in columns.columns_ if c["gaps"]} == {*example.GAPS}
    assert 0.25 < (frame["churned"] == "yes").mean() < 0.45


def test_gdnp_is_as_good_unscaled_as_others_scaled(example, capsys, monkeypatch):
    few = ("GDNPClassifier()", "StandardScaler + LogisticRegression()")
    monkeypatch.setattr(example, "MODELS", {name: example.MODELS[name] for name in few})
    found = example.main([], 2000)
    ours, theirs = (found[name] for name in few)
    assert ours.auc == pytest.approx(theirs.auc, abs=1e-3)
    assert ours.auc > 0.7
    assert ours.warned == 0
    assert "| `GDNPClassifier()` | 0.7" in capsys.readouterr().out


def test_the_picture_shows_what_was_found_on_light_and_dark_pages(example, tmp_path, monkeypatch, capsys):
    image = pytest.importorskip("matplotlib.image")
    few = ("GDNPClassifier()", "LogisticRegression()")
    monkeypatch.setattr(example, "MODELS", {name: example.MODELS[name] for name in few})
    drawn, annotated = [], []
    monkeypatch.setattr(example, "draw", lambda *a, draw=example.draw: drawn.append(a[0]) or draw(*a))
    from matplotlib.axes import Axes

    def annotate(self, text, *a, plain=Axes.annotate, **k):
        annotated.append(text)
        return plain(self, text, *a, **k)

    monkeypatch.setattr(Axes, "annotate", annotate)
    found = example.main([str(tmp_path / "churn.png")], 2000)
    assert drawn == [found]
    for one in found.values():
        for shown in (f"{one.auc:.3f}", f"{one.seconds:.2f}", str(one.warned)):
            assert annotated.count(shown) >= 2  # once on each page
    light, dark = (image.imread(tmp_path / name)[..., :3] for name in ("churn.png", "churn-dark.png"))
    assert light.shape == dark.shape
    assert light[0, 0].min() > 0.9 > 0.1 > dark[0, 0].max()
    assert "churn-dark.png" in capsys.readouterr().out


def test_the_picture_stands_on_top_of_the_readme_with_its_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    top = readme.partition("\n## ")[0]
    for picture in ("churn.png", "churn-dark.png"):
        assert f"docs/gallery/{picture}" in top
        assert (ROOT / "docs" / "gallery" / picture).stat().st_size > 10_000
    assert "python examples/churn.py docs/gallery/churn.png" in top


def test_the_table_is_written(example, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert example.main([str(tmp_path / "churn.csv")], 50) == {}
    assert len(pandas.read_csv(tmp_path / "churn.csv")) == 50


def test_the_page_has_the_models_of_the_script(example):
    page = (ROOT / "docs" / "gallery" / "churn.md").read_text(encoding="utf-8")
    for name in example.MODELS:
        assert name.rpartition(" + ")[2] in page
