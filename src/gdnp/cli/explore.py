"""``gdnp explore``."""

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

from gdnp._files import replacing
from gdnp.cli.options import Force, option
from gdnp.cli.terminal import console_of
from gdnp.cli.values import check_out
from gdnp.explorer import page


def explore(
    out: Annotated[Path | None, option("FILE", "Write the page there, and open nothing.")] = None,
    force: Force = False,
) -> None:
    """Open a page to play with: lengths, directions and methods in the plane. It needs no network."""
    check_out(out, force)
    path = Path(tempfile.gettempdir(), "gdnp-explorer.html") if out is None else out
    with replacing(path) as beside:
        beside.write_text(page(), encoding="utf-8")
    print(path)
    if out is None and not webbrowser.open(path.resolve().as_uri()):
        console_of(stderr=True).print("No browser answers here: open that file in one.", markup=False)
