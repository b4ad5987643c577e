"""The drawings of Figure 3, from saved runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.figure3.runs import LABELS, MEASURES, Runs, at_losses, collect, common_losses, layer_numbers
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.plotting import LineStyle, band, new_figure, save, titled

__all__ = ["NETWORK_STYLES", "draw", "layer_styles"]

NETWORK_STYLES = {"bn": LineStyle("#0072b2", "-", "o"), "gd": LineStyle("#444444", (0, (4, 1.5)), "s")}
UPSTREAM = ("#d55e00", "#e69f00", "#8c510a")
DOWNSTREAM = ("#0072b2", "#56b4e9", "#009e73")
DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)))
MARKERS = ("o", "s", "^")
NAMES = {"bn": "BN", "gd": "GD (no BN)"}


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
    written = _draw_printed(settings, runs, directory / "figure3")
    written += _draw_scaled(settings, runs, directory / "figure3-scaled")
    losses = common_losses(runs)
    if losses is not None:
        written += _draw_equal_loss(settings, runs, losses, directory / "figure3-equal-loss")
    return written


def _draw_printed(settings: Settings, runs: dict[str, Runs], path: Path) -> list[Path]:
    """Loss, gradient norm, and the dependencies for BN and for GD."""
    with new_figure(2, 2, width=7.2, height=5.9) as (figure, axes):
        for axis, name in ((axes[0, 0], "loss"), (axes[0, 1], "gradient_norm")):
            for network, entry in runs.items():
                values, label = getattr(entry, name), f"{LABELS[network]}, step {entry.step:g}"
                _line(axis, np.arange(values.shape[1]), values, NETWORK_STYLES[network], label)
            _logarithmic(axis, settings["iterations"])
        titled(axes[0, 0], "(i) training loss", "cross-entropy, full batch")
        titled(axes[0, 1], "(ii) gradient norm", r"$\|\nabla f\|$ of all parameters")
        axes[0, 0].legend(loc="best")
        _dependencies(axes[1], settings, runs, "raw", ("(iii)", "(iv)"))
        _finish(figure, settings)
        return save(figure, path)


def _draw_scaled(settings: Settings, runs: dict[str, Runs], path: Path) -> list[Path]:
    """The dependencies that a change of the weights' norms alone would not change under BN."""
    with new_figure(1, 2, width=7.2, height=3.5) as (figure, axes):
        _dependencies(axes[0], settings, runs, "scaled", ("", ""))
        _finish(figure, settings)
        return save(figure, path)


def _draw_equal_loss(settings: Settings, runs: dict[str, Runs], losses: FloatArray, path: Path) -> list[Path]:
    """Raw and scaled against the training loss, which falls to the right."""
    with new_figure(2, 2, width=7.2, height=5.9) as (figure, axes):
        for row, measure in zip(axes, MEASURES, strict=True):
            for axis, (network, entry) in zip(row, runs.items(), strict=True):
                _layers(axis, settings, losses, at_losses(entry, measure, losses))
                titled(axis, f"{NAMES[network]}, {measure}", _quantity(settings, measure))
                axis.set_xscale("log")
                axis.set_xlim(losses[0], losses[-1])
            _share_range(row)
        for axis in axes[1]:
            axis.set_xlabel("training loss")
        _finish(figure, settings)
        return save(figure, path)


def _dependencies(
    row: Any, settings: Settings, runs: dict[str, Runs], measure: str, numbers: tuple[str, str]
) -> None:
    """BN beside GD, on one scale."""
    for axis, number, (network, entry) in zip(row, numbers, runs.items(), strict=True):
        _layers(axis, settings, entry.times, entry.dependencies[measure])
        scaled = ", scaled" if measure == "scaled" else ""
        titled(axis, f"{number} {NAMES[network]}{scaled}".strip(), _quantity(settings, measure))
        _logarithmic(axis, settings["iterations"])
    _share_range(row)


def _layers(axis: Any, settings: Settings, x: Any, values: FloatArray) -> None:
    central = settings["network"]["layer"]
    for k, (i, style) in enumerate(layer_styles(settings).items()):
        side = "upstream" if i < central else "downstream"
        _line(axis, x, values[:, :, k], style, f"$W_{i}$, {abs(i - central)} {side}", marked=True)
    axis.set_yscale("log")


def _line(axis: Any, x: Any, runs: FloatArray, style: LineStyle, label: str, *, marked: bool = False) -> None:
    """The geometric mean of the runs, and the band of all of them; what has no logarithm is left out."""
    kept = (np.isfinite(runs) & (runs > 0.0)).all(axis=0)
    if not kept.any():
        return
    x, found = np.asarray(x)[kept], band(runs[:, kept])
    axis.fill_between(x, found.bottom, found.top, color=style.color, alpha=0.18, linewidth=0)
    axis.plot(
        x,
        found.mean,
        color=style.color,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=style.marker if marked else None,
        markevery=max(1, len(x) // 6),
        markersize=4.0,
        markeredgecolor="white",
        markeredgewidth=0.4,
        label=label,
    )


def _logarithmic(axis: Any, iterations: int) -> None:
    axis.set_yscale("log")
    axis.set_xlim(0, iterations)
    axis.set_xlabel("iterations")


def _share_range(row: Any) -> None:
    low = min(axis.get_ylim()[0] for axis in row)
    high = max(axis.get_ylim()[1] for axis in row)
    for axis in row:
        axis.set_ylim(low, high)


def _finish(figure: Any, settings: Settings) -> None:
    """One legend for the layers, and what is shown."""
    from matplotlib.patches import Patch

    handles, _ = figure.axes[-1].get_legend_handles_labels()
    # Columns are filled downwards: the layers at one distance stand under each other.
    half = len(handles) // 2
    pairs = [handle for pair in zip(handles[:half][::-1], handles[half:], strict=False) for handle in pair]
    shade = Patch(color="#555555", alpha=0.25, linewidth=0, label=f"5-95 % of {settings['seeds']} seeds")
    figure.legend(
        handles=[*pairs, shade], loc="outside lower center", ncols=4, handlelength=3.0, columnspacing=1.6
    )
    figure.suptitle(
        f"{settings['data']['label']}; {settings['network']['depth']} x {settings['network']['width']} tanh "
        f"units, full-batch gradient descent, {settings['seeds']} seeds (geometric mean)",
        fontsize=9.0,
        x=0.01,
        ha="left",
    )


def _quantity(settings: Settings, measure: str) -> str:
    k = settings["network"]["layer"]
    block = rf"\|\partial^2 f/\partial W_{k}\partial W_i\|_F"
    return rf"${block}$" if measure == "raw" else rf"$\|W_{k}\|\,\|W_i\|\,{block}$"
