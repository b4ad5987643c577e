"""``gdnp data``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gdnp.cli.errors import UsageError
from gdnp.cli.terminal import console_of, print_json, print_table
from gdnp.cli.values import JsonOption
from gdnp.datasets import DATASETS, data_dir, files_of
from gdnp.datasets.convert import convert


def data(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[convert FILE FOLDER]", help="CSV, TSV or LIBSVM to Parquet with checksums."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the data sets that are known by name, and whether they are here; or convert a file of any size."""
    if words and (words[0] != "convert" or len(words) != 3 or as_json):
        raise UsageError(f"gdnp data takes nothing, --json, or convert FILE FOLDER. Got {' '.join(words)}.")
    if words:
        path, count, columns = convert(Path(words[1]), Path(words[2]))
        print(f"{path}: {count} rows, {columns} columns.")
        return
    folder = data_dir()
    rows = [_data_row(name, folder, files_of(name)) for name in DATASETS]
    if as_json:
        print_json({"folder": str(folder), "datasets": rows})
        return
    cells: list[tuple[str, ...]] = [
        (row["name"], _presence(row["files"]), str(row["path"] or "none needed")) for row in rows
    ]
    console = console_of()
    print_table(console, "Data sets", ("name", "present", "file"), cells)
    console.print("Files are looked for in GDNP_DATA where that is set, and downloaded on first use.")


def _data_row(name: str, folder: Path, checksums: dict[str, str]) -> dict[str, Any]:
    """What is known of a data set; `path` is its file, or the folder of its files."""
    files = [
        {"path": str(folder / key), "checksum": checksum, "present": (folder / key).is_file()}
        for key, checksum in checksums.items()
    ]
    paths = [folder / key for key in checksums]
    return {
        "name": name,
        "source": "downloaded on first use" if files else "comes with gdnp or scikit-learn",
        "path": str(paths[0] if len(paths) == 1 else paths[0].parent) if paths else None,
        "present": all(file["present"] for file in files),
        "sha256": next((c[7:] for c in checksums.values() if len(files) == 1 and c[:7] == "sha256:"), None),
        "files": files,
    }


def _presence(files: list[dict[str, Any]]) -> str:
    """Whether everything is here; of several files, how many."""
    count = sum(file["present"] for file in files)
    if 0 < count < len(files):
        return f"{count} of {len(files)} files"
    return "yes" if count == len(files) else "no"
