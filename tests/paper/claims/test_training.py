"""The claims of sections 5.3 and 6, measured afresh or judged by curves that are kept."""

import json

import pytest

from gdnp.paper.claims import CLAIMS, Verdict
from gdnp.paper.claims import training as module
from gdnp.paper.claims.training import _loss
from gdnp.store import plain
from paper_problems import FIGURE3, claims_of, is_the_recorded_one, saved


@pytest.mark.parametrize("name", claims_of("training"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_each_rate_is_that_of_its_parameters(name):
    """A rate of zero stops its group alone: all three together stop everything."""
    pytest.importorskip("torch")
    still = _loss(name, (0.0, 0.0, 0.0), (0,))
    ends = [_loss(name, rates, (0,)) for rates in ((0.01, 0.0, 0.0), (0.0, 0.01, 0.0), (0.0, 0.0, 0.01))]
    assert max(ends) < still
    assert len(set(ends)) == 3


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
