"""Section 5.3 at the size of the paper, judged by the curves of a run that is kept."""

from __future__ import annotations

from gdnp.paper.claims.registry import Measurement, Verdict, check, judge
from gdnp.paper.figure3.kept import CURVES, kept_summary

HALVES = {"decay": "it decays under BN to less than half", "elevated": "it stays above half without BN"}


def figure_3_downstream() -> Measurement:
    """In how many runs each half of the sentence fails, within the first 1000 iterations."""
    summary = kept_summary(CURVES)
    found = [
        verdict
        for verdict in summary["verdicts"]
        if (verdict["basis"], verdict["measure"]) == ("iterations", "raw") and verdict["expected"]
    ]
    halves = {verdict["id"]: verdict for verdict in found if verdict["id"] in HALVES}
    held = {name: half["holds"] for name, half in halves.items()}
    total = sum(half["of"] for half in halves.values())
    shown = "; ".join(
        f"{HALVES[name]} in {half['holds']} of {half['of']} seeds (ratio {half['value']:.2g})"
        for name, half in halves.items()
    )
    steps = ", ".join(f"{name} {entry['step']:g}" for name, entry in summary["networks"].items())
    return judge(
        total - sum(held.values()),
        0.0,
        f"{summary['data']['label']}, steps {steps}, iteration 1000 against the start: {shown}. Runs in "
        "which a half fails.",
        otherwise=Verdict.DEPENDS_ON_A_CHOICE.where(0 < sum(held.values()) < total),
        counterexample="at 2000 images, which the networks interpolate, the halves come out the other way "
        "round: both decay (docs/figure3.md).",
    )


if CURVES.is_file():
    check("figure-3-downstream")(figure_3_downstream)
