"""What is said of a model: the certificate in words, coefficients in their units, tables for people."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.cli.report import certificate_in_words, document_of, print_report, worst_certificate
from gdnp.cli.terminal import console_of
from gdnp.solvers import Certificate
from gdnp.solvers.state import Status


def certificate(gap, status=Status.CONVERGED, kind="duality_gap"):
    names = Certificate.__dataclass_fields__
    known = {"kind": kind, "gap": gap, "status": status, "objective": 1.0}
    return Certificate(**{name: known.get(name, 0.0) for name in names})


def worst(*certificates):
    return worst_certificate(SimpleNamespace(certificate_=certificates))


def test_the_worst_certificate():
    small, large = certificate(1e-9), certificate(1e-3)
    failed = certificate(1e-6, Status.MAX_ITER)
    assert worst_certificate(SimpleNamespace(certificate_=small)) is small
    assert worst(small, large) is large
    assert worst(small, large, failed) is failed  # whatever its gap, it did not converge
    assert math.isnan(worst(failed, certificate(math.nan, Status.STALLED)).gap)  # nothing is known of it


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            certificate(3.2e-9),
            "found: no coefficients bring the objective lower by more than 3e-09 of itself",
        ),
        (certificate(3.2e-9), "(a duality gap proves it)"),
        (certificate(1e-3, Status.MAX_ITER), f"not found: {Status.MAX_ITER.message}; the"),
        (certificate(math.nan, Status.STALLED, "gradient_norm"), "an unknown part of itself too high"),
        (certificate(1e-9, kind="newton_decrement"), "(by the Newton decrement, an estimate)"),
    ],
)
def test_the_certificate_in_words(one, words):
    assert words in certificate_in_words(one)


def fitted(rng, classes=2):
    X = rng.standard_normal((90, 3)) * [1.0, 100.0, 1.0]
    y = np.array(["no", "yes", "perhaps"])[(np.argsort(np.argsort(X[:, 1])) * classes) // 90]
    flip = rng.random(90) < 0.2
    y[flip] = rng.permutation(y[flip])
    model = GDNPClassifier(alpha=0.01).fit(X, y)
    model.sd_ = X.std(axis=0)
    return model


def test_coefficients_have_two_units(rng):
    model = fitted(rng)
    found = document_of(model, {})["coefficients"]
    assert [one["column"] for one in found] == ["column 1", "column 2", "column 3"]
    assert [one["coefficient"] for one in found] == model.coef_[0].tolist()
    assert [one["per_sd"] for one in found] == pytest.approx(model.coef_[0] * model.sd_)
    many = document_of(fitted(rng, 3), {})["coefficients"]
    assert {one["class"] for one in many} == {"no", "perhaps", "yes"}
    assert len(many) == 9


def shown(capsys, model, about):
    print_report(console_of(), document_of(model, about))
    return capsys.readouterr().out


def test_a_report_for_people(capsys, rng):
    model = fitted(rng)
    score = {"method": "5-fold cross-validation", "values": {"auc": 0.875}, "spread": {"auc": 0.01}}
    score |= {"baseline": {"auc": 0.5}, "note": "The baseline says 'no' for every row."}
    table = [
        {"name": "age", "kind": "number", "gaps": 3, "makes": 2, "note": "", "format": ""},
        {"name": "mail", "kind": "id", "gaps": 0, "makes": 0, "note": "90 different texts", "format": ""},
    ]
    about = {
        "data": "d.csv",
        "target": "y",
        "rows": 90,
        "columns": 4,
        "made": 3,
        "table": table,
        "score": score,
    }
    about |= {"task": "classification", "why": "'y' holds words", "seconds": 0.01, "model": "m.skops"}
    out = shown(capsys, model, about)
    for words in (
        "GDNPClassifier of 'y' on d.csv: 90 rows, 4 columns as 3 numbers",
        "classification, since 'y' holds words (guessed; --task says another)",
        "no, yes; coefficients above 0 speak for yes",
        "found: no coefficients bring",
        "left out: id",
        "90 different texts",
        "Score: 5-fold cross-validation",
        "0.875 ± 0.01",
        "Strongest of 3 coefficients, in log odds",
        "Model: m.skops",
    ):
        assert words in out
    assert out.index("column 2") < out.index("column 1")  # the strongest first, whatever its unit


def test_what_is_not_known_is_left_out(capsys, rng):
    X = rng.standard_normal((30, 2))
    out = shown(capsys, GDNPRegressor().fit(X, X @ [1.0, 2.0] + rng.standard_normal(30)), {})
    assert "GDNPRegressor on unknown data\n" in out
    assert "No score" in out
    assert "not saved; --out" not in out
    assert "per sd" not in out


def test_the_document_is_json(rng):
    json.dumps(document_of(fitted(rng), {}), allow_nan=False)
