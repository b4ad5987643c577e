"""What the commands that take data share: the options of a table, and the reading of it."""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer

from gdnp.cli.errors import UsageError
from gdnp.datasets import DATASETS, check_there, load
from gdnp.datasets.files import encoded, frame_of, holds_table
from gdnp.tables import Reading, TableColumns, Target, read_table, taken
from gdnp.tables.target import varied


@dataclass(frozen=True)
class TableOptions:
    """What was said of a table, so that it is not found out."""

    reading: Reading
    columns: dict[str, Any]


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


Names = list[str] | None
READING = {
    "sep": Annotated[str | None, typer.Option(metavar="TEXT", help="Between fields: , ; tab space | ...")],
    "encoding": Annotated[str | None, typer.Option(metavar="NAME", help="Of a text: utf-8, latin-1, ...")],
    "decimal": Annotated[str | None, typer.Option(metavar="MARK", help="In numbers: . or ,")],
    "header": Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether the first line names the columns.")
    ],
    "missing": Annotated[
        Names, typer.Option(metavar="TEXT", help="What stands for a gap, beside nothing and NA; repeatable.")
    ],
}
"""Options of how a text is written; what is not said is found, and said."""
COLUMNS = {
    "drop": Annotated[Names, typer.Option(metavar="COLUMN", help="Leave a column out; repeatable.")],
    "keep": Annotated[
        Names, typer.Option(metavar="COLUMN", help="Use a column that looks like an id; repeatable.")
    ],
    "id": Annotated[
        Names, typer.Option(metavar="COLUMN", help="A column that only names the rows; repeatable.")
    ],
    "category": Annotated[
        Names, typer.Option(metavar="COLUMN", help="A column whose numbers are codes; repeatable.")
    ],
    "date_format": Annotated[
        str | None, typer.Option(metavar="FORMAT", help="Of dates in text, as %d/%m/%Y.")
    ],
}
"""Options of what columns hold. A column is named, or counted from 1."""


def with_table_options(command: Callable[..., Any], columns: bool = True) -> Callable[..., Any]:
    """A command whose parameter `table` is made of options, which stand where it does."""
    wanted = READING | (COLUMNS if columns else {})

    @functools.wraps(command)
    def parsed(**given: Any) -> Any:
        said = {name: given.pop(name) for name in wanted}
        if said["decimal"] not in (None, ".", ","):
            raise UsageError(f"--decimal must be . or a comma. Got {said['decimal']!r}.")
        missing = tuple(said["missing"] or ())
        reading = Reading(said["sep"], said["encoding"], said["decimal"], said["header"], missing)
        holds = {name: said[name] for name in COLUMNS if said.get(name)}
        return command(**given, table=TableOptions(reading, holds))

    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == "table":
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters += [
                inspect.Parameter(name, kind, default=None, annotation=wanted[name]) for name in wanted
            ]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    parsed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    parsed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del parsed.__wrapped__
    return parsed


def asked_of(target: str | None, options: TableOptions) -> str:
    """What was said of a table, as JSON; nothing for nothing."""
    reading = {name: given for name, given in vars(options.reading).items() if given not in (None, ())}
    asked = {"target": target, "reading": reading, "columns": _named(options.columns)}
    asked = {name: given for name, given in asked.items() if given}
    return json.dumps(asked, sort_keys=True) if asked else ""


def _named(columns: dict[str, Any]) -> dict[str, Any]:
    """Options of columns as ``TableColumns`` calls them."""
    return {("ids" if name == "id" else name): given for name, given in columns.items()}


def say(text: str) -> None:
    """One line on stderr."""
    print(f"gdnp: {text}", file=sys.stderr)


def read_source(data: str, target: str | None, options: TableOptions) -> Source:
    """A table as numbers, with a line for all that was found out; or a data set or LIBSVM file as it is."""
    check_there(data)
    if data in DATASETS or not holds_table(data):
        if target is not None or options.columns:
            kind = "the data set" if data in DATASETS else "the LIBSVM file"
            option = "--target" if target is not None else f"--{next(iter(options.columns))}"
            raise UsageError(f"{option} names a column of a table. Got it for {kind} {data!r}.")
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
    columns = TableColumns(**_named(options.columns))
    X = encoded(table, about, columns)
    if columns.date_format and not any(column["format"] for column in columns.columns_):
        say(f"--date-format {columns.date_format} changes nothing: no column is a date in that format.")
    names = tuple(columns.get_feature_names_out())
    return Source(X, about, names, columns, table.frame.shape[1] - 1, table.reading)
