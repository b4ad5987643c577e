"""What is left of a long fit that was ended: points to go on from, to the last bit, and the best model."""

import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._files import read_arrays, write_arrays
from gdnp._typing import FloatArray
from gdnp.design import Source, StreamDesign
from gdnp.design.block import EPS
from gdnp.design.source import COLD
from gdnp.estimators.fitting import Settings
from gdnp.newton.multinomial import is_dear
from gdnp.problem.multinomial import Multinomial
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.solvers import Certificate, Progress, Result, Status


class Checkpoint:
    """The last point of each target, 8 (d + 1) bytes each, written beside and renamed.

    Where rows are dear every iteration follows from its point alone, from which margins, gradient and H are
    made in one reading. So a fit that goes on from the file takes the steps of one that was never ended.
    Reading the rows that were `found` counts as dear from now on.
    """

    def __init__(self, path: str | os.PathLike[str], model: Any, found: Source) -> None:
        self.path, design = Path(path), found.design
        solver = model.solver in ("auto", "newton") and not model.warm_start
        again = isinstance(design, StreamDesign) or design.in_rounds
        if not (again and solver and design.n_features <= LARGEST_GRAM // 4):
            raise ValueError(
                f"checkpoint needs files or a cluster, at most {LARGEST_GRAM // 4} columns and the "
                "production solver, not warm-started. "
                f"Got {design.n_features} columns and solver={model.solver!r}; leave it out."
            )
        if isinstance(design, StreamDesign):
            design.stream.read_cost = max(design.stream.read_cost, COLD)
        names = ("loss", "delta", "alpha", "fit_intercept", "tol", "class_weight")
        settings = {name: repr(getattr(model, name, None)) for name in names}
        self._of = json.dumps(settings | {"shape": design.shape, "names": found.names})
        self.points: dict[str, FloatArray] = {}
        if self.path.exists():
            with suppress(ValueError):
                self.points = read_arrays(self.path)
            if str(self.points.pop("of", "")) != self._of:
                raise ValueError(
                    f"{path} must be a checkpoint of this fit. Got another file, or one of other data or "
                    "parameters; name a new one."
                )

    def watched(
        self, k: int, objective: Objective, monitor: Callable[[Progress], object] | None
    ) -> tuple[FloatArray | None, Callable[[Progress], object]]:
        """Where the k-th target begins, and a monitor that saves its points."""
        if not objective.loss.convex:
            raise ValueError(f"checkpoint needs a convex loss. Got {objective.loss.name}; leave it out.")
        if isinstance(objective, Multinomial) and not is_dear(objective):
            raise ValueError(
                "checkpoint needs few enough classes for their Hessian as a matrix. "
                f"Got {objective.classes} with {objective.n_features} columns; leave it out."
            )

        def watch(row: Progress) -> object:
            point: Any = row.point
            if point.renewed:
                self.points[f"x{k}"] = point.x
                write_arrays(self.path, {"of": self._of, **self.points})
            return None if monitor is None else monitor(row)

        return self.points.get(f"x{k}"), watch


class Kept:
    """A monitor that keeps the best point of a fit so far, for Ctrl-C; `monitor` sees each iteration too."""

    def __init__(self, objective: Objective, monitor: Callable[[Progress], object] | None) -> None:
        self._objective, self._monitor = objective, monitor
        self._rows: list[tuple[float, ...]] = []
        self.best: Progress | None = None

    def __call__(self, row: Progress) -> object:
        """Keep a row of the history, and the point where it is the best of all starts."""
        read = self._objective.cost.read.values()
        self._rows.append((row.passes, row.seconds, row.objective, row.gradient_norm, *read))
        if self.best is None or row.objective <= self.best.objective:
            self.best, self._count = row, len(self._rows)
        return None if self._monitor is None else self._monitor(row)

    def fitted(self, settings: Settings, exact: bool) -> Result:
        """The fit as far as it got; without a reading its gap is estimated at most.

        Where coefficients are not `exact`, but rounded to single precision, the gap is not known.
        """
        row = self.best
        assert row is not None
        newton = settings.solver in ("auto", "newton") and settings.loss.convex
        ahead = 0.5 * row.gradient_norm**2 if newton else math.inf
        gap = ahead / (row.objective - ahead) if exact and ahead < row.objective else math.inf
        gap = max(gap, 4.0 * EPS)
        (coef, intercept), length = row.solution(), row.point.length  # type: ignore[attr-defined]
        unit = np.asarray(length)[..., None]
        names = "passes", "seconds", "objective", "gradient_norm", *self._objective.cost.read
        return Result(
            coef,
            intercept,
            np.divide(coef, unit, out=np.zeros_like(coef), where=unit > 0.0),
            length,
            row.objective,
            row.gradient_norm,
            Status.STOPPED,
            row.iteration,
            dict(zip(names, np.array(self._rows[: self._count]).T, strict=True)),
            Certificate(Status.STOPPED, gap, row.gradient_norm, "newton_decrement", row.objective),
        )
