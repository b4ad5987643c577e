"""``gdnp data``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gdnp.cli.errors import UsageError
from gdnp.cli.options import Json
from gdnp.cli.terminal import console_of, print_json, print_table
from gdnp.datasets import DATASETS, data_dir, files_of
from gdnp.datasets.convert import convert


def data(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[convert FILE FOLDER]", help="CSV, TSV or LIBSVM to Parquet with checksums."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the data sets that are known by name, and whether they are here; or convert a file of any size."""
    if words and (words[0] != "convert" or len(words) != 3 or as_json):
        raise UsageError(f"gdnp data takes nothing, --json, or convert FILE FOLDER. Got {' '.join(words)}.")
    if words:
        path, count, columns = convert(Path(words[1]), Path(words[2]))
        print(f"{path}: {count} rows, {columns} columns.")
        return
    folder = data_dir()
    found = [_known(name, folder) for name in DATASETS]
    if as_json:
        print_json({"folder": folder, "datasets": found})
        return
    console = console_of()
    print_table(console, "Data sets", ("name", "present", "file"), list(map(_row, found)))
    console.print("Files are looked for in GDNP_DATA where that is set, and downloaded on first use.")


def _known(name: str, folder: Path) -> dict[str, Any]:
    files = [
        {"path": folder / key, "checksum": checksum, "present": (folder / key).is_file()}
        for key, checksum in files_of(name).items()
    ]
    return {"name": name, "present": all(file["present"] for file in files), "files": files}


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    """Name, whether everything is here or how many files are, and the file or the folder of several."""
    files = found["files"]
    count, here = sum(file["present"] for file in files), "yes" if found["present"] else "no"
    here = f"{count} of {len(files)} files" if 0 < count < len(files) else here
    paths = [file["path"] for file in files] or ["none needed"]
    return found["name"], here, str(paths[0] if len(paths) == 1 else paths[0].parent)
