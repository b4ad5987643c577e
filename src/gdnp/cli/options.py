"""How an option is declared, and options that several commands take."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gdnp.cli.errors import UsageError, one_of
from gdnp.tables import Reading


def option(metavar: str, help: str, known: Collection[str] = (), **more: Any) -> Any:
    """An option with a value; where all words for it are known, these are completed and others refused."""

    def check(parameter: typer.CallbackParam, value: str | None) -> str | None:
        one_of(parameter.opts[0], value, known)
        return value

    if known:
        more |= {"autocompletion": lambda: list(known), "callback": check}
    return typer.Option(metavar=metavar, help=help, **more)


def flag(name: str, help: str) -> Any:
    """An option without a value, and without an opposite."""
    return typer.Option(name, help=help)


FORMATS = "CSV, Parquet, Arrow or LIBSVM, packed or not; - is stdin; or a name of gdnp data."
Data = Annotated[str, typer.Argument(metavar="DATA", help=FORMATS)]
SavedModel = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that gdnp fit saved.")]
Target = Annotated[
    str | None, option("COLUMN", "What is predicted, by name or number; by default the last column.")
]
Force = Annotated[bool, flag("--force", "Overwrite a file that is there.")]
Json = Annotated[bool, flag("--json", "Print one JSON document.")]
NoIntercept = Annotated[bool, flag("--no-intercept", "Fit through zero.")]
Memory = Annotated[str | None, option("SIZE", "Read npy, Parquet or a folder in so much memory.")]
Scratch = Annotated[Path | None, option("FOLDER", "With --memory: where numbers of the rows go.")]

Names = list[str] | None


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How a text is written; what is not said is found, and said."""

    sep: Annotated[str | None, option("TEXT", "Between fields: , ; tab space | ...")] = None
    encoding: Annotated[str | None, option("NAME", "Of a text: utf-8, latin-1, ...")] = None
    decimal: Annotated[str | None, option("MARK", "In numbers: . or ,")] = None
    header: Annotated[bool | None, typer.Option(help="Whether the first line names the columns.")] = None
    missing: Annotated[
        Names, option("TEXT", "What stands for a gap, beside nothing, NA and the like; repeatable.")
    ] = None

    @property
    def reading(self) -> Reading:
        """The same for ``read_table``."""
        if self.decimal not in (None, ".", ","):
            raise UsageError(f"--decimal must be . or a comma. Got {self.decimal!r}.")
        return Reading(self.sep, self.encoding, self.decimal, self.header, tuple(self.missing or ()))

    @property
    def given(self) -> dict[str, Any]:
        """What was typed, by its option."""
        named = {name.replace("_", "-"): given for name, given in vars(self).items()}
        return {name: given for name, given in named.items() if given is not None and given != []}


@dataclass(frozen=True, kw_only=True)
class TableOptions(ReadingOptions):
    """The same, and what columns hold. A column is named, or counted from 1."""

    drop: Annotated[Names, option("COLUMN", "Leave a column out; repeatable.")] = None
    keep: Annotated[Names, option("COLUMN", "Use a column that looks like an id; repeatable.")] = None
    id: Annotated[Names, option("COLUMN", "A column that only names the rows; repeatable.")] = None
    category: Annotated[Names, option("COLUMN", "A column whose numbers are codes; repeatable.")] = None
    date_format: Annotated[str | None, option("FORMAT", "Of dates in text, as %d/%m/%Y.")] = None

    @property
    def columns(self) -> dict[str, Any]:
        """The same for ``TableColumns``."""
        named = {"drop": self.drop, "keep": self.keep, "ids": self.id, "category": self.category}
        return {name: given for name, given in {**named, "date_format": self.date_format}.items() if given}
