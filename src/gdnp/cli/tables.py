"""What the commands that take data share: the reading of it, and lines on stderr of what was found out."""

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdnp.cli.errors import UsageError
from gdnp.cli.options import TableOptions
from gdnp.datasets import DATASETS, check_there, load
from gdnp.datasets.files import encoded, frame_of, holds_table
from gdnp.tables import Reading, TableColumns, Target, read_table, taken
from gdnp.tables.target import varied


@dataclass(frozen=True, eq=False)
class Source:
    """Data for a fit or an audit: numbers, the target of each row, and how columns became numbers."""

    X: Any
    target: Target
    names: tuple[str, ...] | None
    columns: TableColumns | None
    raw: int
    """Columns of the file."""
    reading: Reading
    """What later rows are to be read by."""


def asked_of(target: str | None, options: TableOptions) -> str:
    """What was said of a table, as JSON; nothing for nothing."""
    asked = {"target": target, "reading": vars(options.reading), "columns": options.columns}
    return json.dumps(asked, sort_keys=True) if target is not None or options.given else ""


def say(text: str) -> None:
    """One line on stderr."""
    print(f"gdnp: {text}", file=sys.stderr)


@contextmanager
def warnings_said() -> Iterator[None]:
    """What is warned of in the block comes as lines on stderr after it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Columns are matched already; scikit-learn only sees an array without names.
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
        yield
    for warning in caught:
        say(" ".join(str(warning.message).split()))


def read_source(data: str, target: str | None, options: TableOptions) -> Source:
    """A table as numbers, with a line for all that was found out; or a data set or LIBSVM file as it is."""
    check_there(data)
    if data in DATASETS or not holds_table(data):
        if given := ["target"] * (target is not None) + list(options.given):
            kind = "the data set" if data in DATASETS else "the LIBSVM file"
            raise UsageError(f"--{given[0]} is for a table. Got it for {kind} {data!r}.")
        found = load(data)
        y = found.y
        numbers = y.astype(np.float64) if y.dtype.kind in "fb" else None
        about = Target("the target", y, numbers, np.ones(len(y), dtype=np.bool_))
        varied(y, f"The target of {data}")
        frame = frame_of(found, "Data with names of columns")
        return Source(frame, about, found.feature_names, None, found.X.shape[1], Reading())
    table = read_table(data, options.reading)
    about = taken(table, target)
    index = [name for name in table.row_names if name != about.name]
    left = [f"{name!r} only names the rows and is left out (--keep takes it in)" for name in index]
    for note in (*table.notes, *left, *about.notes):
        say(f"{note}.")
    columns = TableColumns(**options.columns)
    X = encoded(table, about, columns)
    if columns.date_format and not any(column["format"] for column in columns.columns_):
        say(f"--date-format {columns.date_format} changes nothing: no column is a date in that format.")
    names = tuple(columns.get_feature_names_out())
    return Source(X, about, names, columns, table.frame.shape[1] - 1, table.reading)
