"""The drawings of Figure 3, from saved runs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.figure3.verdicts import (
    LABELS,
    MEASURES,
    Runs,
    at_losses,
    collect,
    common_losses,
    layer_numbers,
)
from gdnp.paper.runner.charts import Chart, Curve, Figure, draw_charts, show
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.plotting import LineStyle

NETWORK_STYLES = {"bn": LineStyle("#cc79a7", "-", "D"), "gd": LineStyle("#444444", (0, (4, 1.5)), "s")}
UPSTREAM = ("#d55e00", "#e69f00", "#8c510a")
DOWNSTREAM = ("#0072b2", "#56b4e9", "#009e73")
DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)))
MARKERS = ("o", "s", "^")
NAMES = {"bn": "BN", "gd": "GD (no BN)"}
TRAINING = {"loss": "training loss", "gradient_norm": "gradient norm ‖∇f‖"}


def layer_styles(settings: Settings) -> dict[int, LineStyle]:
    """By number of the layer: warm upstream, cold downstream; dashes and marker say the distance."""
    central = settings["network"]["layer"]
    found = {}
    for i in layer_numbers(settings):
        distance = min(abs(i - central), len(DASHES)) - 1
        colors = UPSTREAM if i < central else DOWNSTREAM
        found[i] = LineStyle(colors[distance], DASHES[distance], MARKERS[distance], 1.6)
    return found


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Write ``figure3``, ``figure3-scaled`` and ``figure3-equal-loss`` as PNG and PDF."""
    runs = {network: collect(settings, results, network) for network in settings["networks"]}
    losses, training = common_losses(runs), [_training(settings, runs, name) for name in TRAINING]
    raw, scaled = ([_layers(settings, runs, n, measure) for n in runs] for measure in MEASURES)
    grids = {"figure3": [training, raw], "figure3-scaled": [scaled]}
    if losses is not None:
        equal = [[_layers(settings, runs, n, measure, losses) for n in runs] for measure in MEASURES]
        grids["figure3-equal-loss"] = equal
    shape = settings["network"]
    seeds = "one seed" if settings["seeds"] == 1 else f"{settings['seeds']} seeds (geometric mean)"
    headline = (
        f"{settings['data']['label']}; {shape['depth']} x {shape['width']} tanh units, full-batch gradient "
        f"descent, {seeds}"
    )
    files = (draw_charts(grid, directory / name, headline=headline) for name, grid in grids.items())
    return [path for written in files for path in written]


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """Loss and gradient norm; the dependencies of BN; those of GD."""
    runs = {network: collect(settings, results, network) for network in settings["networks"]}
    losses = common_losses(runs)
    caption = f"{settings['data']['label']}. Geometric mean of {settings['seeds']} seeds, 90 % interval."
    views = {words: _training(settings, runs, name) for name, words in TRAINING.items()}
    found = [show("Loss and gradient norm", caption, views)]
    for network in runs:
        views = {measure: _layers(settings, runs, network, measure) for measure in MEASURES}
        if losses is not None:
            for measure in MEASURES:
                views[f"{measure}, against loss"] = _layers(settings, runs, network, measure, losses)
        found.append(show(f"Dependencies, {NAMES[network]}", caption, views))
    return found


def _training(settings: Settings, runs: Mapping[str, Runs], name: str) -> Chart:
    """Loss or gradient norm over iterations, both networks."""
    curves = []
    for network, entry in runs.items():
        values, label = getattr(entry, name), f"{LABELS[network]}, step {entry.step:g}"
        x = np.arange(values.shape[1], dtype=np.float64)
        curves.append(Curve(label, NETWORK_STYLES[network], x, values))
    note = "cross-entropy, full batch" if name == "loss" else "of all parameters"
    title, span = TRAINING[name].capitalize(), (0.0, settings["iterations"])
    return Chart(title, note, "iterations", TRAINING[name], curves, span=span)


def _layers(
    settings: Settings, runs: Mapping[str, Runs], network: str, measure: str, losses: FloatArray | None = None
) -> Chart:
    """A network's dependencies over iterations or the training loss, on the scale of both networks."""
    central = settings["network"]["layer"]
    by_network = {
        name: entry.dependencies[measure] if losses is None else at_losses(entry, measure, losses)
        for name, entry in runs.items()
    }
    x = runs[network].times.astype(np.float64) if losses is None else losses
    curves = [
        Curve(f"W{i}, {abs(i - central)} {'up' if i < central else 'down'}stream", style, x, values)
        for (i, style), values in zip(
            layer_styles(settings).items(), np.moveaxis(by_network[network], 2, 0), strict=True
        )
    ]
    shown = np.concatenate([values.ravel() for values in by_network.values()])
    shown = shown[np.isfinite(shown) & (shown > 0.0)]
    block = f"‖∂²f/∂W{central}∂Wi‖"
    return Chart(
        NAMES[network],
        block if measure == "raw" else f"‖W{central}‖ ‖Wi‖ {block}",
        "iterations" if losses is None else "training loss",
        f"dependence of W{central}, {measure}",
        curves,
        log_x=losses is not None,
        span=(0.0, settings["iterations"]) if losses is None else (losses[0], losses[-1]),
        height=(0.7 * shown.min(), 1.4 * shown.max()) if len(shown) else None,
    )
