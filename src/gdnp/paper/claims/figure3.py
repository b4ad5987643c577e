"""Section 5.3 at the size of the paper, judged by the curves of runs that are kept, at two sizes."""

import json
from pathlib import Path
from typing import Any

from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.figure3 import experiment

KEPT = {name: Path(experiment.__file__).with_name(f"{name}.json") for name in ("curves", "fewer", "equal")}
"""10 000 images, 2000 images, and one seed of 10 000 with one step for both networks: settings and results,
as ``benchmarks/figure3.py`` writes them."""
HALVES = {"decay": "decay under BN to less than half", "elevated": "stay above half without BN"}


def kept_summary(path: Path) -> dict[str, Any]:
    """What came out of a run whose curves are kept."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return experiment.Figure3().summarise(document["settings"], document["results"])


@check("figure-3-downstream")
def figure_3_downstream() -> Seen:
    """In how many runs each half of the sentence fails, within the first 1000 iterations."""
    shares: dict[str, list[float]] = {half: [] for half in HALVES}
    shown, failed = [], 0
    for size in ("curves", "fewer"):
        found = kept_summary(KEPT[size])
        told = []
        for entry in found["verdicts"]:
            basis = entry["basis"], entry["measure"], entry["expected"]
            if basis == ("iterations", "raw", True) and entry["id"] in HALVES:
                shares[entry["id"]].append(entry["holds"] / entry["of"])
                failed += entry["of"] - entry["holds"]
                told.append(
                    f"{HALVES[entry['id']]} in {entry['holds']} of {entry['of']} seeds (ratio "
                    f"{entry['value']:.2g})"
                )
        steps = ", ".join(f"{name} {entry['step']:g}" for name, entry in found["networks"].items())
        shown.append(f"{found['data']['label']} (steps {steps}): {'; '.join(told)}")
    both_ways = all(sorted(share) == [0.0, 1.0] for share in shares.values())
    return seen(failed, instead=both_ways, shown=". ".join(shown))
