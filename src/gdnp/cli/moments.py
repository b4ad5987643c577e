"""``gdnp moments``."""

from functools import reduce
from operator import add, sub
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from gdnp.cli.errors import UsageError
from gdnp.cli.large import files_of
from gdnp.cli.options import Force, Json, Memory, NoIntercept, Scratch, Target, option
from gdnp.cli.tables import say
from gdnp.cli.terminal import console_of, print_json, print_table
from gdnp.cli.values import check_out
from gdnp.moments import Moments


def moments(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA | FILE.npz | merge FILE.npz... [- FILE.npz...]",
            help="npy, Parquet, Arrow or a folder; saved moments; or a sum of them, less those after a -.",
        ),
    ],
    target: Target = None,
    alpha: Annotated[float, option("NUMBER", "Ridge of least squares.", min=0.0)] = 0.0,
    no_intercept: NoIntercept = False,
    memory: Memory = None,
    scratch: Scratch = None,
    out: Annotated[Path | None, option("FILE.npz", "Save the moments there.")] = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Moments of files of any size, their sums and differences, and what follows from them alone.

    \b
    gdnp moments FOLDER --target y --out january.npz
    gdnp moments merge january.npz february.npz - forgotten.npz --out now.npz
    gdnp moments now.npz --alpha 1e-4
    """  # noqa: D301
    merges = words[0] == "merge"
    if (len(words) < 2 or "-" in (words[1], words[-1])) if merges else (len(words) > 1):
        raise UsageError(
            "gdnp moments takes DATA, one FILE.npz, or merge FILE.npz ... - FILE.npz .... "
            f"Got {' '.join(words)}."
        )
    check_out(out, force)
    if merges:
        cut = words.index("-") if "-" in words else len(words)
        found = reduce(add, map(Moments.load, words[1:cut]))
        found = reduce(sub, map(Moments.load, words[cut + 1 :]), found)
    elif words[0].endswith(".npz"):
        found = Moments.load(words[0])
    else:
        found = Moments.of(files_of(words[0], target, memory, scratch))
    if out is not None:
        found.save(out)
        say(f"the moments of {found.weight:g} rows, {len(found.mean)} columns are in {out}.")
        return
    _least_squares(found, alpha, not no_intercept, as_json)


def _least_squares(found: Moments, alpha: float, intercept: bool, as_json: bool) -> None:
    """Say what follows from moments alone."""
    w, b = found.least_squares(alpha, fit_intercept=intercept)
    raw, names = found.rescaled(np.ones_like(w)), found.names or [f"column {j + 1}" for j in range(len(w))]
    (mean,), (variance,) = raw.mean_y, raw.var_y
    left = variance - 2.0 * w @ raw.U[:, 0] + w @ raw.S @ w + (mean - raw.mean @ w - b) ** 2
    share = float(1.0 - left / variance) if variance > 0.0 else None
    columns = list(zip(names, w.tolist(), found.direction().tolist(), strict=True))
    if as_json:
        document = {"weight": found.weight, "alpha": alpha, "intercept": b, "r_squared": share}
        of = "name", "coefficient", "direction"
        document["columns"] = [dict(zip(of, column, strict=True)) for column in columns]
        print_json(document)
        return
    console, title = console_of(), "Least squares, and the direction -S⁻¹u"
    cells: list[tuple[str, ...]] = [(name, f"{a:.6g}", f"{v:.6g}") for name, a, v in columns]
    print_table(console, title, ("column", "coefficient", "direction"), cells)
    known = "not known" if share is None else f"{share:.4f}"
    console.print(f"Intercept {b:.6g}, R² {known}, alpha {alpha:g}, {found.weight:g} rows.")
