"""Where a long fit goes on from: points that all else follows from, to the last bit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._files import replacing
from gdnp._typing import FloatArray
from gdnp.design import Source, StreamDesign
from gdnp.design.source import COLD
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.solvers import Progress

__all__ = ["Checkpoint"]


class Checkpoint:
    """The last point of each target, 8 (d + 1) bytes each, written beside and renamed.

    Where rows are dear every iteration follows from its point alone, from which margins, gradient and H are
    made in one reading. So a fit that goes on from the file takes the steps of one that was never ended.

    Parameters
    ----------
    path : path
        Of the file, which need not be there.
    model : estimator
    found : Source
        Its rows; reading them counts as dear from now on.

    Raises
    ------
    ValueError
        For a file of another fit, or a fit that does not follow from its points.
    """

    def __init__(self, path: str | os.PathLike[str], model: Any, found: Source) -> None:
        self.path, design = Path(path), found.design
        solver = model.solver in ("auto", "newton") and not model.warm_start
        if not (isinstance(design, StreamDesign) and solver and design.n_features <= LARGEST_GRAM // 4):
            raise ValueError(
                f"checkpoint needs files, at most {LARGEST_GRAM // 4} columns and the production solver, not "
                f"warm-started. Got {design.n_features} columns and solver={model.solver!r}; leave it out."
            )
        design.stream.read_cost = max(design.stream.read_cost, COLD)
        names = ("loss", "delta", "alpha", "fit_intercept", "tol", "class_weight")
        settings = {name: repr(getattr(model, name, None)) for name in names}
        self._of = json.dumps(settings | {"shape": design.shape, "names": found.names})
        self.points: dict[str, FloatArray] = {}
        if self.path.exists():
            try:
                with np.load(self.path) as stored:
                    self.points = {name: stored[name] for name in stored.files}
                same = str(self.points.pop("of")) == self._of
            except (OSError, ValueError, KeyError) as error:
                raise ValueError(f"{path} must be a checkpoint. Got another file; name a new one.") from error
            if not same:
                raise ValueError(
                    f"{path} must be of this fit. Got one of other data or parameters; name a new one."
                )

    def watched(
        self, k: int, objective: Objective, monitor: Callable[[Progress], object] | None
    ) -> tuple[FloatArray | None, Callable[[Progress], object]]:
        """Where the k-th target begins, and a monitor that saves its points."""
        if not objective.loss.convex:
            raise ValueError(f"checkpoint needs a convex loss. Got {objective.loss.name}; leave it out.")

        def watch(row: Progress) -> object:
            point: Any = row.point
            if point.renewed:
                self.points[f"x{k}"] = point.x
                with replacing(self.path) as beside, beside.open("wb") as opened:
                    np.savez(opened, of=self._of, **self.points)  # type: ignore[arg-type]
            return None if monitor is None else monitor(row)

        return self.points.get(f"x{k}"), watch
