"""What is said of a fit: the worst of its certificates, and a table for people."""

import math
from types import SimpleNamespace

import pytest

from gdnp.cli.fit_summary import in_words, worst_certificate
from gdnp.solvers import Certificate
from gdnp.solvers.state import Status

SUMMARY = {
    "data": "d.csv",
    "rows": 10,
    "columns": 2,
    "task": "classification",
    "classes": ["a", "b"],
    "parameters": {"loss": "log_loss", "alpha": 1e-4},
    "status": "CONVERGED",
    "message": "met its tolerance",
    "objective": 0.125,
    "certificate": {"kind": "duality_gap", "proved": True, "gap": 1.24e-9},
    "certificates": [{}],
    "iterations": 7,
    "score": {"name": "accuracy", "value": 0.9},
    "seconds": 0.01234,
    "model": "m.skops",
}


def certificate(gap, status=Status.CONVERGED):
    names = Certificate.__dataclass_fields__
    known = {"kind": "duality_gap", "gap": gap, "status": status, "objective": 1.0}
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


def shown(**changes):
    lines = in_words({**SUMMARY, **changes}).splitlines()
    return lines[0], dict(line.split(maxsplit=1) for line in lines[1:])


def test_a_table_for_people():
    head, rows = shown()
    assert head == "GDNPClassifier on d.csv: 10 rows, 2 columns, classes a, b"
    assert rows == {
        "loss": "log_loss, alpha 0.0001",
        "status": "CONVERGED: met its tolerance",
        "objective": "0.125",
        "gap": "1.2e-09 relative, proved by a duality gap",
        "iterations": "7",
        "accuracy": "0.9000 on the training rows",
        "seconds": "0.0123",
        "model": "m.skops",
    }


def test_many_classes_are_summed_and_shortened():
    head, rows = shown(classes=list(range(9)), certificates=[{}] * 9)
    assert head.endswith("classes 0, 1, 2, 3, 4, 5, 6, 7, ...")
    assert rows["objective"] == "0.125, the sum over 9 classes"
    assert rows["gap"].endswith(", of the worst class")
    assert rows["iterations"] == "7, of the slowest class"


def test_what_is_not_known_is_said_to_be():
    kind = {"kind": "gradient_norm", "proved": False, "gap": None}
    head, rows = shown(
        task="regression", classes=None, objective=None, certificate=kind, score=None, model=None
    )
    assert head == "GDNPRegressor on d.csv: 10 rows, 2 columns"
    assert rows["objective"] == "unknown"
    assert rows["gap"] == "unknown, estimated from the gradient"
    assert "accuracy" not in rows
    assert rows["model"] == "not saved; --out MODEL.skops saves it"


@pytest.mark.parametrize(("kind", "words"), [("newton_decrement", "estimated by the Newton decrement")])
def test_every_kind_of_certificate_has_words(kind, words):
    gap = {"kind": kind, "proved": False, "gap": 1.0}
    assert shown(certificate=gap)[1]["gap"] == f"1 relative, {words}"
