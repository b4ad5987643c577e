"""The claim on Figure 3 at size is judged by curves that are kept, at two sizes."""

import json

import pytest

from gdnp.paper.claims import CLAIMS, Verdict
from gdnp.paper.claims import figure3 as module
from gdnp.store import plain
from paper_problems import FIGURE3, is_the_recorded_one, saved


def test_verdict_is_the_recorded_one():
    assert is_the_recorded_one("figure-3-downstream")


def test_kept_curves_are_small_and_of_both_sizes():
    for path in module.KEPT.values():
        assert path.stat().st_size < 1_000_000
    sizes = [module.kept_summary(path)["data"]["n"] for path in module.KEPT.values()]
    assert sizes == [10_000, 2000, 10_000]


def test_what_is_said_of_kept_curves_is_what_was_said_of_the_run(figure3, tmp_path):
    settings, results = saved(FIGURE3, figure3)
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"settings": settings, "results": results}), encoding="utf-8")
    assert plain(module.kept_summary(path)) == figure3.summary


@pytest.mark.parametrize(
    ("many", "few", "verdict"),
    [
        ((0.1, 1.0), (0.1, 1.0), Verdict.HOLDS),
        ((2.0, 1.0), (0.1, 0.1), Verdict.DEPENDS_ON_A_CHOICE),
        ((2.0, 1.0), (2.0, 1.0), Verdict.FAILS),
        ((2.0, 0.1), (2.0, 0.1), Verdict.FAILS),
        ((0.1, 1.0), (0.1, 0.1), Verdict.FAILS),
    ],
)
def test_verdict_follows_from_both_halves_at_both_sizes(figure3, monkeypatch, tmp_path, many, few, verdict):
    """Every block of a later measurement is a multiple of what it was at the start, for BN and for GD."""
    kept = {}
    for name, factors in (("curves", many), ("fewer", few)):
        settings, results = saved(FIGURE3, figure3)
        for part, found in results.items():
            for record in found.get("records", ()):
                factor = dict(zip(("bn", "gd"), factors, strict=True))[part.split("/")[0]]
                factor = factor if record["iteration"] else 1.0
                record["norm"] = [factor * (k + 1.0) for k in range(len(record["norm"]))]
        kept[name] = tmp_path / f"{name}.json"
        kept[name].write_text(json.dumps({"settings": settings, "results": results}), encoding="utf-8")
    monkeypatch.setattr(module, "KEPT", kept)
    assert CLAIMS["figure-3-downstream"].check().verdict is verdict
