"""``gdnp show``: a saved model says again what its fit said."""

import json

import pytest

from command import one_sentence
from gdnp import GDNPClassifier
from gdnp.cli import main
from gdnp.models import load_model, save_model

pytest.importorskip("skops")


@pytest.mark.parametrize("data", ["iris.csv", "breast_cancer", "iris.svm"])
def test_show_says_it_again(capsys, iris, data):
    assert main(["fit", data, "--out", "m.skops", "--alpha", "1e-4"]) == 0
    said = capsys.readouterr().out
    assert main(["show", "m.skops"]) == 0
    assert capsys.readouterr().out == said
    assert main(["show", "m.skops", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    coef = load_model("m.skops")
    coef = (coef[-1] if data == "iris.csv" else coef).coef_
    assert [one["coefficient"] for one in found["coefficients"]] == coef.ravel().tolist()
    assert found["score"]["values"]["accuracy"] > 0.9


def test_a_model_that_python_saved(capsys, rng):
    X = rng.standard_normal((50, 2))
    save_model(GDNPClassifier().fit(X, X[:, 0] + rng.standard_normal(50) > 0.0), "m.skops")
    assert main(["show", "m.skops"]) == 0
    out = capsys.readouterr().out
    assert "GDNPClassifier on unknown data\n" in out
    assert "False, True; coefficients above 0 speak for True" in out


def test_what_is_no_model(capsys):
    assert main(["show", "absent"]) == 3
    assert "A model was expected at absent" in one_sentence(capsys)
