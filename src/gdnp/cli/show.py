"""``gdnp show``."""

import json

from gdnp.cli.options import Json, SavedModel
from gdnp.cli.report import document_of, print_report
from gdnp.cli.terminal import console_of, print_json
from gdnp.models import load_model


def show(model: SavedModel, as_json: Json = False) -> None:
    """Print what gdnp fit said of a saved model, and all its coefficients with --json.

    \b
    gdnp show churn.skops
    """  # noqa: D301
    loaded = load_model(model)
    found = document_of(loaded, json.loads(getattr(loaded, "report_", "{}")) | {"model": str(model)})
    if as_json:
        print_json(found)
    else:
        print_report(console_of(), found)
