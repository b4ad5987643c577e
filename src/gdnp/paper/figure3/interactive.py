"""Interactive figures of Figure 3 for the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.interactive import Figure, band_traces, switched
from gdnp.paper.figure3.drawing import NAMES, NETWORK_STYLES, layer_styles
from gdnp.paper.figure3.runs import MEASURES, Runs, at_losses, collect, common_losses
from gdnp.paper.runner.experiment import Results, Settings

__all__ = ["interactive"]

POINTS = 200


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """Loss and gradient norm; the dependencies of BN; those of GD."""
    runs = {network: collect(settings, results, network) for network in settings["networks"]}
    losses = common_losses(runs)
    return [_training(settings, runs), *(_network(settings, n, runs[n], losses) for n in runs)]


def _training(settings: Settings, runs: dict[str, Runs]) -> Figure:
    views = []
    for name, attribute in (("training loss", "loss"), ("gradient norm", "gradient_norm")):
        traces = []
        for network, entry in runs.items():
            values = getattr(entry, attribute)
            kept = np.unique(np.linspace(0, values.shape[1] - 1, POINTS).round().astype(int))
            traces += band_traces(
                kept.astype(np.float64), _positive(values[:, kept]), NAMES[network], NETWORK_STYLES[network]
            )
        views.append((name, traces, _axes("iterations", name)))
    return switched("Loss and gradient norm", _caption(settings), views)


def _network(settings: Settings, network: str, runs: Runs, losses: FloatArray | None) -> Figure:
    quantity = f"dependence of W{settings['network']['layer']}"
    times = runs.times.astype(np.float64)
    views = []
    for measure in MEASURES:
        traces = _layers(settings, times, runs.dependencies[measure])
        views.append((measure, traces, _axes("iterations", f"{quantity}, {measure}")))
    if losses is not None:
        for measure in MEASURES:
            traces = _layers(settings, losses, at_losses(runs, measure, losses))
            layout = _axes("training loss", f"{quantity}, {measure}")
            layout["xaxis"] |= {"type": "log", "autorange": "reversed"}
            views.append((f"{measure}, against loss", traces, layout))
    return switched(f"Dependencies, {NAMES[network]}", _caption(settings), views)


def _layers(settings: Settings, x: FloatArray, values: FloatArray) -> list[dict[str, Any]]:
    traces = []
    for k, (i, style) in enumerate(layer_styles(settings).items()):
        traces += band_traces(x, _positive(values[:, :, k]), f"W{i}", style)
    return traces


def _positive(values: FloatArray) -> FloatArray:
    """NaN, which is left out, for what has no logarithm."""
    return np.where(values > 0.0, values, np.nan)


def _axes(x: str, y: str) -> dict[str, Any]:
    return {
        "xaxis": {"title": {"text": x}, "type": "linear", "autorange": True},
        "yaxis": {"title": {"text": y}, "type": "log", "exponentformat": "power", "dtick": 1},
    }


def _caption(settings: Settings) -> str:
    return (
        f"{settings['data']['label']}. Geometric mean of {settings['seeds']} seeds; shaded: 90 % confidence "
        "interval of the mean."
    )
