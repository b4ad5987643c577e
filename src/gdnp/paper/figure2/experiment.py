"""Figure 2: GDNP against its rivals on learning halfspaces, from random starts (section 4.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gdnp.paper.figure2 import drawing, interactive, summary
from gdnp.paper.figure2.race import RACERS, describe, facts_part, race_parts, reference_part
from gdnp.paper.runner.experiment import OptionError, Options, Settings, sized
from gdnp.store import Part

__all__ = ["FULL", "QUICK", "Figure2", "Profile"]

LOSSES = ("log_loss", "sigmoid")


@dataclass(frozen=True)
class Profile:
    """How much is computed.

    Parameters
    ----------
    data : tuple of str
        What is run where the user names nothing.
    rows : int
        n of the Gaussian design.
    starts, max_iter : int
    grid : tuple of float
        Constant steps to try, in units of 1/(L sup φ'').
    """

    data: tuple[str, ...]
    rows: int
    starts: int
    max_iter: int
    grid: tuple[float, ...]


STEPS = tuple(2.0**k for k in range(-2, 10))
QUICK = Profile(data=("gaussian", "breast_cancer"), rows=5000, starts=3, max_iter=300, grid=STEPS)
LONGER = tuple(2.0**k for k in range(10, 14))
FULL = Profile(data=("gaussian", "a9a"), rows=20_000, starts=10, max_iter=500, grid=STEPS + LONGER)


@dataclass(frozen=True)
class Figure2:
    """GD, AGD, WN, BN and GDNP on softplus and sigmoid, on Gaussian and on real data.

    Everything is centred, without intercept and without ridge. Constant steps are tuned for every problem on
    a start of their own; every method has the same number of iterations.

    Parameters
    ----------
    quick, full : Profile
    methods : tuple of str
        Keys of ``gdnp.paper.figure2.race.RACERS``.
    """

    quick: Profile = QUICK
    full: Profile = FULL
    methods: tuple[str, ...] = field(default=tuple(RACERS))
    name: str = "figure2"
    title: str = summary.TITLE

    summarise = staticmethod(summary.summarise)
    tables = staticmethod(summary.tables)
    draw = staticmethod(drawing.draw)
    interactive = staticmethod(interactive.interactive)

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and configuration; the data are read once, so that what cannot be used is refused here."""
        folder, profile, settings = sized(self.name, self.quick, self.full, options)
        data = [describe(name, rows=profile.rows, seed=options.seed) for name in options.data or profile.data]
        names = [spec["name"] for spec in data]
        if len(set(names)) < len(names):
            raise OptionError(f"Data sets should have different names. Got {', '.join(names)}.")
        settings |= {
            "data": data,
            "losses": list(LOSSES),
            "methods": list(self.methods),
            "starts": profile.starts,
            "max_iter": profile.max_iter,
            "grid": list(profile.grid),
        }
        suffix = "" if not options.data else "-" + "-".join(Path(name).stem for name in names)
        return f"{folder}{suffix}", settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """For every data set its facts; for every loss the minimum (convex) and each method's runs."""
        sources = options.data or tuple(spec["name"] for spec in settings["data"])
        parts = []
        for spec, source in zip(settings["data"], sources, strict=True):
            parts.append(facts_part(spec, source))
            for loss in settings["losses"]:
                if loss == "log_loss":
                    parts.append(reference_part(spec, source, loss))
                for method in settings["methods"]:
                    parts += race_parts(spec, source, loss, method, settings)
        return parts
