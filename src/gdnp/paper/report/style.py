"""How the figures of the report look, whoever made them."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from gdnp.paper.runner.charts import Figure

STYLE: Figure = json.loads(resources.files(__package__).joinpath("style.json").read_text(encoding="utf-8"))
"""Defaults of an axis and of the layout, in colours that the page knows the dark counterparts of."""
AXIS: Figure = STYLE["axis"]
LAYOUT: Figure = {**STYLE["layout"], "xaxis": AXIS, "yaxis": AXIS}


def styled(figure: Figure) -> Figure:
    """The figure with the page's defaults, and without the title, which is in the text."""
    layout = {
        key: value for key, value in figure.get("layout", {}).items() if key not in ("title", "template")
    }
    axes = {key: _over(AXIS, value) for key, value in layout.items() if key[:5] in ("xaxis", "yaxis")}
    return {"data": figure.get("data", []), "layout": {**_over(LAYOUT, layout), **axes}}


def _over(defaults: Any, given: Any) -> Any:
    """`given`, with what it leaves open taken from `defaults`."""
    if not isinstance(defaults, Mapping) or not isinstance(given, Mapping):
        return given
    return {**defaults, **{key: _over(defaults.get(key), value) for key, value in given.items()}}
