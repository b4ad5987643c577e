"""``gdnp diagnose``."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from gdnp._files import replacing
from gdnp.cli.terminal import console_of
from gdnp.cli.values import JsonOption
from gdnp.datasets import load
from gdnp.diagnose import Diagnosis, sections
from gdnp.diagnose import diagnose as audit

__all__ = ["diagnose"]


def diagnose(
    source: Annotated[str, typer.Argument(metavar="DATA", help="A file or a name of gdnp data.")],
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of a CSV or Parquet file: the labels; by default the last."),
    ] = None,
    as_json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the JSON document there as well.")
    ] = None,
) -> Callable[[], None]:
    """Audit data of two classes: what is the matter, what it costs, what to do."""
    return partial(_diagnose, source, target, as_json, out)


def _diagnose(source: str, target: str | None, as_json: bool, out: Path | None) -> None:
    if out is not None and out.exists():
        raise FileExistsError(f"--out should name a new file. Got {out}, which is there: delete it first.")
    with console_of(stderr=True).status(f"Reading and auditing {source}"):  # on a terminal only
        found = audit(load(source, target=target))
    document = json.dumps(found.to_dict(), indent=1, allow_nan=False)
    if out is not None:
        with replacing(out) as beside:
            beside.write_text(document + "\n", encoding="utf-8")
    if as_json:
        print(document)
        return
    _print(found)


def _print(found: Diagnosis) -> None:
    console = console_of()
    console.print(Text(f"Diagnosis of {found.name}", "bold"))
    tables = sections(found)
    width = max(len(name) for _, rows in tables for name, _ in rows)
    for title, rows in tables:
        grid = RichTable.grid(padding=(0, 2))
        grid.add_column(width=width)
        for name, value in rows:
            grid.add_row(Text(name), Text(value))
        console.print(Text(f"\n{title}", "bold"), Padding(grid, (0, 0, 0, 2), expand=False), sep="\n")
    console.print(Text("\nWhat this means", "bold"))
    points = RichTable.grid(padding=(0, 1))
    for sentence in found.findings:
        points.add_row("-", Text(sentence))
    console.print(Padding(points, (0, 0, 0, 2), expand=False))
    console.print(Text(f"\nSuggested solver: {found.solver}", "bold"))
    console.print(Padding(Text(found.advice), (0, 0, 0, 2), expand=False))
