"""The experiments of the paper as commands: each computes, writes data files, summarises and draws.

``EXPERIMENTS`` is the registry behind ``gdnp reproduce``.
"""

from __future__ import annotations

from gdnp.paper.experiment import (
    Experiment,
    OptionError,
    Options,
    Outcome,
    Stopped,
    Table,
    Unavailable,
    redraw,
    reproduce,
)
from gdnp.paper.figure1 import Figure1
from gdnp.paper.figure2 import Figure2
from gdnp.paper.figure3 import Figure3
from gdnp.paper.store import Part, Store, StoreError
from gdnp.paper.table1 import Table1
from gdnp.paper.theorems import Theorems

__all__ = [
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
