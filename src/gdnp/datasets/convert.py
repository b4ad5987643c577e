"""CSV and LIBSVM of any size to Parquet with checksums, some rows at a time."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from gdnp._files import existing_file
from gdnp.design.streams import pyarrow, write_parquet
from gdnp.tables.reading import UNREADABLE, first_line

BYTES = 1 << 23
"""Of text that is parsed at a time."""
MOST_COLUMNS = 10_000


def convert(path: Path, folder: Path) -> tuple[Path, int, int]:
    """Write a file as Parquet to a folder that is new or empty; its path, rows and columns.

    CSV or TSV has names on top, plain or compressed; anything else is read as LIBSVM, whose label comes last.
    """
    file = existing_file(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} must be a new or an empty folder: choose another one.")
    there = folder.is_dir()
    folder.mkdir(exist_ok=True)
    names = {suffix.lower() for suffix in file.suffixes}
    try:
        batches = _csv(file, "\t" if ".tsv" in names else ",") if names & {".csv", ".tsv"} else _libsvm(file)
        written = write_parquet(batches, folder)
    except BaseException as error:
        if not there:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, (*UNREADABLE, pyarrow().ArrowException)) and not isinstance(error, OSError):
            raise ValueError(f"{file} must be CSV, TSV or LIBSVM. Got: {first_line(error)}.") from error
        raise
    footer = pyarrow("pyarrow.parquet").read_metadata(written)
    return written, footer.num_rows, footer.num_columns


def _csv(file: Path, separator: str) -> Iterator[Any]:
    csv = pyarrow("pyarrow.csv")
    how = csv.ReadOptions(block_size=BYTES), csv.ParseOptions(delimiter=separator)
    with csv.open_csv(file, *how) as reader:
        yield from reader


def _libsvm(file: Path) -> Iterator[Any]:
    """Dense rows, with the label as the last column."""
    from sklearn.datasets import load_svmlight_file

    size, arrow = file.stat().st_size, pyarrow()

    def pieces(columns: int) -> Iterator[tuple[Any, Any]]:
        with file.open("rb") as opened:
            for offset in range(0, size, BYTES):
                options = {"offset": offset, "length": BYTES, "zero_based": False}
                yield load_svmlight_file(opened, n_features=columns, **options)

    d = max(int(X.indices.max(initial=0)) + 1 for X, _ in pieces(2**31 - 1))
    if d > MOST_COLUMNS:
        raise ValueError(f"at most {MOST_COLUMNS} columns, as its rows become dense: {d} were found")
    names = [*(f"x{j + 1}" for j in range(d)), "y"]
    for X, y in pieces(d):
        step = max(1, (1 << 20) // d)
        for low in range(0, len(y), step):
            dense = X[low : low + step].toarray()
            columns = (*dense.T, y[low : low + step])
            yield arrow.record_batch([arrow.array(column.copy()) for column in columns], names=names)
