"""``gdnp diagnose``."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from gdnp.cli.large import files_of, refuse_options, task_of_files
from gdnp.cli.options import Data, Force, Json, Memory, Scratch, TableOptions, Target, flag, option
from gdnp.cli.tables import Source, read_source, say
from gdnp.cli.terminal import console_of, print_json
from gdnp.cli.values import check_out, plain, text
from gdnp.datasets import Dataset
from gdnp.design import Source as Rows
from gdnp.design.targets import encoded, mass_of
from gdnp.diagnose import Diagnosis, sections
from gdnp.diagnose import diagnose as audit
from gdnp.store import write_json
from gdnp.tables import task_of

MOST_CLASSES = 10
"""Classes that are audited, each against the rest."""


def diagnose(
    data: Data,
    *,
    target: Target = None,
    symbols: Annotated[bool, flag("--symbols", "Also numbers, in symbols of the paper.")] = False,
    table: TableOptions,
    as_json: Json = False,
    out: Annotated[Path | None, option("FILE", "Write the JSON document there as well.")] = None,
    force: Force = False,
    memory: Memory = None,
    scratch: Scratch = None,
) -> None:
    """Audit data: what is the matter, what it costs, what to do.

    \b
    gdnp diagnose churn.csv --target churned
    gdnp diagnose FOLDER --target churned --memory 600MB
    gdnp diagnose breast_cancer --symbols
    """  # noqa: D301
    of_files = memory is not None or scratch is not None or Path(data).is_dir()
    if of_files:
        refuse_options(data, {}, table)
    check_out(out, force, DATA=data)
    columns, raw = [], 0
    with console_of(stderr=True).status(f"Reading and auditing {data}"):  # on a terminal only
        if of_files:
            found = _audits_of_files(files_of(data, target, memory, scratch), target)
        else:
            source = read_source(data, target, table)
            columns, raw = source.columns.columns_ if source.columns else [], source.raw
            found = _audits(data, source)
    first, words = found[0][1], _about_columns(columns, found[0][1].n)
    several = [{"class": label} | one.to_dict() for label, one in found]
    whole = several[0] if len(several) == 1 else {"name": first.name, "classes": several}
    whole |= {"columns": words, "table": columns or None}
    if out is not None:
        write_json(out, whole, indent=1)
    if as_json:
        print_json(whole)
        return
    console = console_of()
    shape = f"{raw:,} columns as {first.d:,} numbers" if columns else f"{first.d:,} columns"
    console.print(Text(f"Diagnosis of {first.name}: {first.n:,} rows, {shape}", "bold"))
    _points(console, words)
    shared = set(first.findings).intersection(*(one.findings for _, one in found))
    console.print(Text("\nWhat is the matter", "bold"))
    _points(console, [sentence for sentence in first.findings if sentence in shared] or ["Nothing."])
    for label, one in found:
        own = [sentence for sentence in one.findings if sentence not in shared]
        if len(found) > 1 and (own or symbols):
            console.print(Text(f"\n{text(label)} against the rest", "bold"))
            _points(console, own)
        if symbols:
            _numbers(console, one)
    console.print(Text(f"\nSuggested solver: {first.solver}", "bold"))
    console.print(Padding(Text(first.advice), (0, 0, 0, 2), expand=False))


def _audits(data: str, source: Source) -> list[tuple[Any, Diagnosis]]:
    """One for two classes, and for several one for each against the rest; numbers are cut at their median."""
    y = source.target.labels
    name = Path(data).name
    X, names = _without_coding(source)
    if source.target.numbers is not None and task_of(source.target)[0] == "regression":
        y = source.target.numbers > _middle(source.target.numbers)
    labels, counts = np.unique(y, return_counts=True)
    return _of_each(labels, counts, lambda k: audit(Dataset(name, X, y if k is None else y == k, names)))


def _middle(numbers: NDArray[Any]) -> float:
    """The median, or what is next to the largest number, so that some are above it."""
    middle = min(float(np.median(numbers)), float(numbers[numbers < numbers.max()].max()))
    say(f"the target is a number: rows above {middle:.4g} are compared with those up to it.")
    return middle


def _audits_of_files(found: Rows, target: str | None) -> list[tuple[Any, Diagnosis]]:
    """The same, block by block."""
    whole: Any = found.target
    if task_of_files(found, target) == "regression":
        numbers = np.concatenate(list(whole()))
        if not np.isfinite(numbers).all():
            raise ValueError("y must be finite. Got NaN or infinity; drop those rows.")
        middle = _middle(numbers)
        return [(None, audit(replace(found, target=lambda: (batch > middle for batch in whole()))))]
    rows = found.design.rows
    labels, codes = encoded(whole, rows)
    counts = rows.total(partial(mass_of, len(labels)), None, codes)[0]

    def of(k: Any) -> Diagnosis:
        return audit(found if k is None else replace(found, target=lambda: (part == k for part in whole())))

    return _of_each(labels, counts, of)


def _of_each(
    labels: NDArray[Any], counts: NDArray[Any], of: Callable[[Any], Diagnosis]
) -> list[tuple[Any, Diagnosis]]:
    """The audit of two labels, or of each of some more against the rest."""
    if len(labels) <= 2:
        return [(None, of(None))]
    if len(labels) > MOST_CLASSES:
        say(f"of {len(labels)} classes the {MOST_CLASSES} with most rows are compared with the rest.")
    chosen = labels[np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])]
    return [(plain(label), of(label)) for label in chosen]


def _without_coding(source: Source) -> tuple[Any, tuple[str, ...] | None]:
    """Columns without the first level of each category, which the others give: that is no news."""
    X: Any = np.asarray(source.X) if hasattr(source.X, "iloc") else source.X
    if source.columns is None or source.names is None:
        return X, source.names
    heads = [name.rpartition(" = ")[0] for name in source.names]
    kept = [j for j, head in enumerate(heads) if not head or heads.count(head) == 1 or head in heads[:j]]
    return X[:, kept], tuple(source.names[j] for j in kept)


def _about_columns(columns: Sequence[dict[str, Any]], rows: int) -> list[str]:
    """Gaps, and what was left out, by name."""
    gaps = [f"{c['name']} ({100.0 * c['gaps'] / rows:.2g} %)" for c in columns if c["gaps"] and c["makes"]]
    left = [f"{c['name']} ({c['kind']}: {c['note']})" for c in columns if not c["makes"]]
    advice = " --keep takes a column in." * any(c["kind"] != "rare" for c in columns if not c["makes"])
    said = [f"Rows with gaps: {', '.join(gaps)}. They become the median, or a level, with an indicator."]
    return said * bool(gaps) + [f"Left out: {', '.join(left)}.{advice}"] * bool(left)


def _numbers(console: Console, found: Diagnosis) -> None:
    tables = sections(found)
    width = max(len(name) for _, rows in tables for name, _ in rows)
    for title, rows in tables:
        console.print(Text(f"\n{title}", "bold"))
        _indented(console, rows, width + 1)
    console.print(Text("\nWhat the paper says of such data", "bold"))
    _points(console, found.theory)


def _points(console: Console, sentences: Sequence[str]) -> None:
    _indented(console, [("-", sentence) for sentence in sentences])


def _indented(console: Console, rows: Sequence[tuple[str, str]], width: int | None = None) -> None:
    grid = RichTable.grid(padding=(0, 1))
    grid.add_column(width=width)
    for row in rows:
        grid.add_row(*map(Text, row))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))
