"""Who is first in section 4.4, in every cell of start scale, h, tuning, data and loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from gdnp.interactive import Figure
from gdnp.paper.runner.cells import HS, METHODS, RACERS, RIVALS, SCALES, WITH_H, cells_of, part_name, race
from gdnp.paper.runner.experiment import OptionError, Options, Results, Settings, Table, sized, summary_head
from gdnp.paper.runner.problems import LOSS_LABELS, a9a
from gdnp.paper.section44 import drawing
from gdnp.store import Part

__all__ = ["FULL", "QUICK", "Profile", "Section44"]

WORDS = ("faster", "level", "slower")
DESIGN = {"d": 10, "n": 5000, "seed": 0}


@dataclass(frozen=True)
class Profile:
    """How much is computed.

    Parameters
    ----------
    populations, samples : tuple of (κ, r)
    every : int
        Rows of a9a: one in so many; 0 leaves a9a out.
    methods : tuple of str
    grid : tuple of float
        Multiples of a method's own step; a best at either end extends it.
    tuning_starts, starts, iterations : int
    """

    populations: tuple[tuple[float, float], ...]
    samples: tuple[tuple[float, float], ...]
    every: int
    methods: tuple[str, ...]
    grid: tuple[float, ...]
    tuning_starts: int
    starts: int
    iterations: int


STEPS = tuple(0.5 * 1.3**k for k in range(12))
PLACES = ((1.0, 0.2), (1.0, 0.8), (10.0, 0.5), (10.0, 0.8), (100.0, 0.5))
QUICK = Profile(((1.0, 0.8), (100.0, 0.5)), (), 0, RACERS, STEPS[::4], 2, 4, 100)
FULL = Profile(PLACES, ((1.0, 0.8), (100.0, 0.5)), 1, tuple(METHODS), STEPS, 3, 10, 200)


@dataclass(frozen=True)
class Section44:
    """The race of section 4.4 in every cell; Figure 2 is drawn from the same runs."""

    quick: Profile = QUICK
    full: Profile = FULL
    name: str = "section44"
    title: str = "Section 4.4: who is first, cell by cell"

    draw = staticmethod(drawing.draw)

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and design; says what is missing before anything is computed."""
        if options.data:
            raise OptionError(f"section44 has data of its own. Got --data {', '.join(options.data)}.")
        folder, profile, settings = sized(self.name, self.quick, self.full, options)
        data = [
            {"name": name, "kappa": kappa, "r": r, **DESIGN}
            for name, places in (("population", profile.populations), ("sample", profile.samples))
            for kappa, r in places
        ]
        if profile.every:
            a9a()  # or one sentence that says how to get it
            data.append({"name": "a9a", "every": profile.every})
        sizes = {key: getattr(profile, key) for key in ("tuning_starts", "starts", "iterations")}
        return folder, {
            **settings,
            **sizes,
            "data": data,
            "losses": list(LOSS_LABELS),
            "methods": list(profile.methods),
            "grid": list(profile.grid),
        }

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """One for each data set, loss, start scale, method and h: the unit that a run resumes by."""
        shared = {key: settings[key] for key in ("grid", "tuning_starts", "starts", "iterations", "seed")}
        parts = []
        for spec, loss, scale, method in product(
            settings["data"], settings["losses"], SCALES, settings["methods"]
        ):
            for h in HS if method in WITH_H else HS[:1]:
                config = {"data": spec, "loss": loss, "scale": scale, "method": method, "h": h, **shared}
                cost = (1.0 if spec["name"] == "population" else 10.0) * (5.0 if method in WITH_H else 1.0)
                parts.append(Part(part_name(spec, loss, scale, method, h), race, config, cost=cost))
        return parts

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """A verdict per cell, and how often GDNP is faster, level or slower than each of its rivals."""
        cells = cells_of(settings, results)
        counts = {
            rival: {
                w: sum(cell["against"][rival] == w for cell in cells) for w in ("faster", "level", "slower")
            }
            for rival in RIVALS
        }
        return {
            **summary_head(self.title, settings),
            "cells": cells,
            "counts": counts,
            "multiples": {name: found["multiple"] for name, found in results.items()},
        }

    def interactive(self, settings: Settings, results: Results) -> list[Figure]:
        """None: the report shows the PNG files."""
        return []

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """A row a cell: who is first, and GDNP against each rival; the means are in the summary."""
        rows = [
            (cell["label"], METHODS[cell["first"]], *cell["against"].values()) for cell in summary["cells"]
        ]
        counts = (
            f"{rival}: {', '.join(f'{w} in {number}' for w, number in found.items())}"
            for rival, found in summary["counts"].items()
        )
        columns = ("GDNP after 100 iterations against", "first", *RIVALS)
        return [Table(summary["title"], columns, rows, f"GDNP against {'; '.join(counts)}.")]
