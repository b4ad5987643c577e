"""Experiments of the paper so small that the command line around them is what a test waits for."""

import json
from pathlib import Path

from gdnp.paper.figure2 import Figure2
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.runner.cells import RACERS

FIGURE2 = Figure2(
    {
        **{"populations": (), "samples": ((4.0, 0.5),), "rows": 100, "data": (), "methods": RACERS},
        **{"grid": (1.0, 2.0), "tuning_starts": 1, "starts": 2, "iterations": 6},
    }
)
FIGURE3 = Figure3(
    {
        **{"rows": 30, "seeds": 1, "iterations": 2, "every": 1, "probes": 1, "segment": 2, "pilot": 1},
        **{"steps": (0.1,), "depth": 2, "width": 3},
    }
)


class Undrawn(Figure2):
    """Figure 2 with a file of what would be drawn: drawing takes far longer than all the rest."""

    def draw(self, settings, results, directory):
        path = Path(directory) / "figure2.png"
        path.write_text(json.dumps([settings, results], sort_keys=True), encoding="utf-8")
        return [path]


UNDRAWN = Undrawn(quick=FIGURE2.quick)
EXPERIMENTS = {"figure2": UNDRAWN, "figure3": FIGURE3}
