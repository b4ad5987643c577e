"""``gdnp claim``: one claim with its evidence, all of them, or the nearest name of one that is not there."""

import json

import pytest

from gdnp.cli import main
from gdnp.paper.claims import CLAIMS
from paper_problems import RECORDED


def test_one_claim_has_its_evidence(capsys):
    assert main(["claim", "eq-15"]) == 0
    printed = capsys.readouterr().out
    for part in (CLAIMS["eq-15"].statement, "Eq. 15", "HOLDS", RECORDED["eq-15"].evidence):
        assert part in printed
    assert "gdnp claim eq-15 --measure" in printed


def test_it_can_be_measured_afresh(capsys):
    assert main(["claim", "eq-9", "--measure", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "HOLDS"
    assert 0.0 < found["measured"] <= found["bound"]


def test_the_list_has_every_claim_and_what_is_drawn(capsys):
    assert main(["claim", "--list"]) == 0
    printed = capsys.readouterr().out
    assert [
        name for name in (*CLAIMS, "figure-1", "figure-2", "figure-3", "table-1") if name not in printed
    ] == []


def test_a_figure_stands_for_the_claims_about_it(capsys):
    assert main(["claim", "figure-1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "gdnp-seq" in [entry["id"] for entry in found]
    assert all("Figure 1" in entry["source"] for entry in found)


@pytest.mark.parametrize("name", ["figure-1", "figure-2", "figure-3", "table-1"])
def test_everything_drawn_has_a_claim(name, capsys):
    assert main(["claim", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["claim", "eq-91"], "did you mean eq-9?"),
        (["claim", "figure3"], "did you mean figure-3?"),
        (["claim", "nothing of the kind"], "must be one of"),
        (["claim"], "takes one ID, or --list"),
        (["claim", "eq-9", "--list"], "takes one ID, or --list"),
        (["reproduce", "figur2"], "did you mean figure2?"),
        (["claim", "--lst"], "--list"),
    ],
)
def test_what_is_not_known_is_named_with_what_is_near(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
