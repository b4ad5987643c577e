"""The claim on Figure 3 at size is judged by curves that are kept, and is not there without them."""

import json

import pytest

from gdnp.paper.claims import CLAIMS, Verdict
from gdnp.paper.claims import figure3 as module
from gdnp.paper.figure3.kept import CURVES
from paper_problems import FIGURE3, is_the_recorded_one, saved


def test_the_claim_is_there_where_the_curves_are():
    assert ("figure-3-downstream" in CLAIMS) == CURVES.is_file()
    if CURVES.is_file():
        assert is_the_recorded_one("figure-3-downstream")


@pytest.mark.parametrize(
    ("bn", "gd", "verdict"),
    [
        (0.1, 1.0, Verdict.HOLDS),
        (2.0, 1.0, Verdict.DEPENDS_ON_A_CHOICE),
        (0.1, 0.1, Verdict.DEPENDS_ON_A_CHOICE),
        (2.0, 0.1, Verdict.FAILS),
    ],
)
def test_verdict_follows_from_both_halves(figure3, monkeypatch, tmp_path, bn, gd, verdict):
    """Every block of a later measurement is a multiple of what it was at the start."""
    settings, results = saved(FIGURE3, figure3)
    for name, found in results.items():
        for record in found.get("records", ()):
            factor = {"bn": bn, "gd": gd}[name.split("/")[0]] if record["iteration"] else 1.0
            record["norm"] = [factor * (k + 1.0) for k in range(len(record["norm"]))]
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"settings": settings, "results": results}), encoding="utf-8")
    monkeypatch.setattr(module, "CURVES", path)
    assert module.figure_3_downstream().verdict is verdict
