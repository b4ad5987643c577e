"""The experiments of the paper as commands: each computes, writes data files, summarises and draws.

``EXPERIMENTS`` is the registry behind ``gdnp reproduce``.
"""

from gdnp.paper.claims.experiment import Theorems
from gdnp.paper.figure1.experiment import Figure1
from gdnp.paper.figure2 import Figure2
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.runner.experiment import (
    Experiment,
    OptionError,
    Options,
    Outcome,
    Table,
    Unavailable,
    redraw,
    reproduce,
)
from gdnp.paper.table1 import Table1
from gdnp.parts import Stopped
from gdnp.store import Part, Store, StoreError

__all__ = [
    "ALIASES",
    "EXPERIMENTS",
    "Experiment",
    "OptionError",
    "Options",
    "Outcome",
    "Part",
    "Stopped",
    "Store",
    "StoreError",
    "Table",
    "Unavailable",
    "redraw",
    "reproduce",
]

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment for experiment in (Figure1(), Figure2(), Table1(), Figure3(), Theorems())
}
ALIASES = {"section44": "figure2"}
"""Other names of the same: Figure 2 is drawn from the runs of section 4.4."""
