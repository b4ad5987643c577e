"""Figure 3: how the layers of a network depend on each other, with and without BatchNorm (section 5.3)."""

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.datasets import cifar10_batches, fetch_cifar10, load
from gdnp.paper.figure3 import verdicts
from gdnp.paper.figure3.verdicts import LABELS, MEASURES, Runs
from gdnp.paper.runner.charts import Chart, Curve, Figure, draw_charts, show
from gdnp.paper.runner.experiment import (
    Experiment,
    OptionError,
    Options,
    Results,
    Settings,
    Table,
    Unavailable,
    said,
)
from gdnp.plotting import LineStyle
from gdnp.store import Part

IMAGES = {"cifar10": "CIFAR-10", "mnist": "MNIST", "digits": "digits"}
NETWORKS = ("bn", "gd")
EARLY = (0, 2, 5, 10, 20, 50, 100)
"""Measured beside the multiples: most of the loss is lost there."""
PILOT_SEED = 1_000_000
"""The pilot runs' weights are not those of a run that is shown."""


QUICK: dict[str, Any] = {
    "rows": 500,  # images, None for all that are there
    "seeds": 3,
    "iterations": 400,
    "every": 25,  # iterations between measurements
    "probes": 32,  # random vectors for each
    "segment": 400,  # iterations after which a run is saved, so that it can go on from there
    "pilot": 100,  # iterations of the runs that choose the step of each network from these
    "steps": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "depth": 6,  # hidden layers
    "width": 50,  # units in each
}
FULL = QUICK | {"rows": None, "seeds": 5, "iterations": 5000, "every": 200, "segment": 500, "pilot": 500}


class Figure3(Experiment):
    """Full-batch gradient descent on a tanh network and on the same with BatchNorm, from equal weights."""

    name, title = "figure3", "Figure 3: dependencies between layers"
    quick, full = QUICK, FULL

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and configuration; refuses a device that is not there and data that are no images."""
        _check_device(options.device)
        folder, size, settings = self.begun(options)
        depth = size["depth"]
        settings |= {
            "data": _described(options, size),
            "device": options.device,
            "networks": list(NETWORKS),
            "network": {"depth": depth, "width": size["width"], "layer": depth // 2 + 1},
            "measured": _measured(size),
            "steps": list(size["steps"]),
        }
        settings |= {key: size[key] for key in ("seeds", "iterations", "probes", "segment", "pilot")}
        suffix = f"-{options.data[0]}" if options.data else ""
        return f"{folder}{suffix}", settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """For each network the choice of its step; for each network and seed a chain of segments."""
        parts = []
        for network in settings["networks"]:
            common = {key: settings[key] for key in ("data", "device", "network")}
            common["normalised"] = network == "bn"
            config = {**common, "steps": settings["steps"], "iterations": settings["pilot"]}
            config["seed"] = settings["seed"] + PILOT_SEED
            cost = settings["data"]["n"] * 1e-5 * settings["pilot"] * len(settings["steps"])
            chosen = Part(f"{network}/step", partial(_train, "tune"), config, cost=cost)
            parts.append(chosen)
            for k in range(settings["seeds"]):
                parts += _chain(settings, {**common, "seed": settings["seed"] + k}, chosen, f"{network}/{k}")
        return parts

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """What section 5.3 says, judged in every run, and the numbers behind it."""
        runs = {network: verdicts.collect(settings, results, network) for network in settings["networks"]}
        losses, output = verdicts.common_losses(runs), settings["network"]["depth"] + 1
        first = min(verdicts.FIRST, settings["iterations"])
        summary = {
            **self.summary_head(settings, output=output, first=first, critical=verdicts.CRITICAL),
            "data": settings["data"],
            "device": settings["device"],
            "layer": settings["network"]["layer"],
            "layers": verdicts.layer_numbers(settings),
            "seeds": settings["seeds"],
            "iterations": settings["iterations"],
            "losses": losses,
            "networks": {network: _network(entry) for network, entry in runs.items()},
            "verdicts": verdicts.judge(settings, runs, losses),
        }
        findings = [said(self.name, "runs", **summary, **summary["networks"])]
        findings += [said(self.name, "no common loss")] * (losses is None)
        return {**summary, "panels": [{"label": settings["data"]["label"], "findings": findings}]}

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """A table of verdicts for each basis, and one of the dependencies themselves."""
        label, bases = summary["data"]["label"], {verdict["basis"] for verdict in summary["verdicts"]}
        found = [_verdict_table(summary, label, basis) for basis in verdicts.BASES if basis in bases]
        return [*found, _dependency_table(summary, label)]

    def draw(self, settings: Settings, results: Results, directory: Path) -> list[Path]:
        """Write ``figure3``, ``figure3-scaled`` and ``figure3-equal-loss`` as PNG and PDF."""
        runs = {network: verdicts.collect(settings, results, network) for network in settings["networks"]}
        losses = verdicts.common_losses(runs)
        training = [_training(settings, runs, name) for name in TRAINING]
        raw, scaled = ([_layers(settings, runs, n, measure) for n in runs] for measure in MEASURES)
        grids = {"figure3": [training, raw], "figure3-scaled": [scaled]}
        if losses is not None:
            equal = [[_layers(settings, runs, n, measure, losses) for n in runs] for measure in MEASURES]
            grids["figure3-equal-loss"] = equal
        shape = settings["network"]
        seeds = "one seed" if settings["seeds"] == 1 else f"{settings['seeds']} seeds (geometric mean)"
        headline = (
            f"{settings['data']['label']}; {shape['depth']} x {shape['width']} tanh units, full-batch "
            f"gradient descent, {seeds}"
        )
        files = (draw_charts(grid, directory / name, headline=headline) for name, grid in grids.items())
        return [path for written in files for path in written]

    def interactive(self, settings: Settings, results: Results) -> list[Figure]:
        """Loss and gradient norm; the dependencies of BN; those of GD."""
        runs = {network: verdicts.collect(settings, results, network) for network in settings["networks"]}
        losses = verdicts.common_losses(runs)
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


# --- settings


def _check_device(device: str) -> None:
    """Refuse a device that is not there; the first thing that needs PyTorch."""
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise Unavailable(
            'Figure 3 needs PyTorch, which is not installed: pip install "gdnp[torch]".', name="torch"
        ) from error
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # no such word; no such device
        raise OptionError(
            f"--device should be one that PyTorch {torch.__version__} finds here. Got {device!r}: leave it "
            "out to train on the processor."
        ) from error


def _described(options: Options, size: Mapping[str, Any]) -> dict[str, Any]:
    """Which images; the quick profile takes those that are there, and downloads nothing."""
    if len(options.data) > 1 or not {*options.data} <= {*IMAGES}:
        raise OptionError(f"Figure 3 takes one of {', '.join(IMAGES)}. Got {', '.join(options.data)}.")
    default = "cifar10" if options.full or _here() else "digits"
    name = options.data[0] if options.data else default
    data = fetch_cifar10() if name == "cifar10" else load(name)
    n, d = data.X.shape
    rows = min(n, size["rows"] or n)
    return {
        "name": name,
        "label": f"{IMAGES[name]}, {rows:,} images",
        "n": rows,
        "d": d,
        "classes": 10,
        # The first ones that are here, and that hold so many images.
        "batches": list(cifar10_batches()[: -(-rows // 10_000)]) if name == "cifar10" else [],
    }


def _here() -> tuple[int, ...]:
    """CIFAR-10's batches that are here; none where even the folder cannot be named."""
    try:
        return cifar10_batches()
    except ImportError:
        return ()


def _measured(size: Mapping[str, Any]) -> list[int]:
    last = size["iterations"]
    return sorted({t for t in (*EARLY, *range(0, last + 1, size["every"]), last) if t <= last})


# --- parts


def _chain(settings: Settings, common: dict[str, Any], chosen: Part, name: str) -> list[Part]:
    """A run in segments, each from where the one before ended."""
    parts: list[Part] = []
    for start in range(0, settings["iterations"], settings["segment"]):
        stop = min(start + settings["segment"], settings["iterations"])
        last = stop == settings["iterations"]
        measured = [t for t in settings["measured"] if start <= t < stop + last]
        config = {**common, "start": start, "stop": stop, "last": last, "measured": measured}
        config["probes"] = settings["probes"]
        needs = (chosen, parts[-1]) if parts else (chosen,)
        cost = settings["data"]["n"] * 1e-5 * (stop - start + len(measured) * settings["probes"])
        parts.append(Part(f"{name}/{start}", partial(_train, "segment"), config, needs, cost))
    return parts


def _train(what: str, config: Mapping[str, Any], *needed: Mapping[str, Any]) -> dict[str, Any]:
    """A function of the module that needs PyTorch, by name."""
    training = importlib.import_module("gdnp.paper.figure3.training")
    found: dict[str, Any] = getattr(training, what)(config, *needed)
    return found


# --- what came out


def _network(runs: Runs) -> dict[str, Any]:
    """Losses, gradient norms and dependencies at the start and at the end, geometric means over the seeds."""
    return {
        "step": runs.step,
        "loss": [float(verdicts.geometric(runs.loss[:, t])) for t in (0, -1)],
        "gradient_norm": [float(verdicts.geometric(runs.gradient_norm[:, t])) for t in (0, -1)],
        "dependencies": {
            measure: [verdicts.geometric(values[:, t]) for t in (0, -1)]
            for measure, values in runs.dependencies.items()
        },
    }


def _verdict_table(summary: Mapping[str, Any], label: str, basis: str) -> Table:
    columns = [(network, measure) for network in LABELS for measure in MEASURES]
    entries = {(v["id"], v["network"], v["measure"]): v for v in summary["verdicts"] if v["basis"] == basis}
    rows: list[tuple[str, ...]] = []
    for statement in verdicts.STATEMENTS:
        here = [entries[statement.id, *column] for column in columns]
        share = sum(v["holds"] / v["of"] for v in here if v["expected"]) / sum(v["expected"] for v in here)
        verdict = {1.0: "holds", 0.0: "fails"}.get(share, "mixed")
        rows.append((statement.text, *(_cell(entry) for entry in here), verdict))
    names = (*(f"{LABELS[network]} {measure}" for network, measure in columns), "verdict")
    note = (
        "Geometric mean over the seeds, and in how many of them the statement holds; in brackets where the "
        "paper does not make it."
    )
    return Table(
        f"{label}, {verdicts.BASES[basis]}", (f"dependence on W{summary['layer']}", *names), rows, note
    )


def _cell(entry: Mapping[str, Any]) -> str:
    value = "-" if entry["value"] is None else f"{entry['value']:.3g}"
    return f"{value}, {entry['holds']}/{entry['of']}" if entry["expected"] else f"({value})"


def _dependency_table(summary: Mapping[str, Any], label: str) -> Table:
    rows: list[tuple[str, ...]] = []
    for network, entry in summary["networks"].items():
        for measure in MEASURES:
            for when, values in zip(("start", "end"), entry["dependencies"][measure], strict=True):
                numbers = ["-" if value is None else f"{value:.3g}" for value in values]
                rows.append((f"{LABELS[network]}, {measure}, {when}", *numbers))
    columns = ("", *(f"W{i}" for i in summary["layers"]))
    return Table(f"{label}, dependence of W{summary['layer']} on", columns, rows)


# --- the drawings

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
    for i in verdicts.layer_numbers(settings):
        distance = min(abs(i - central), len(DASHES)) - 1
        colors = UPSTREAM if i < central else DOWNSTREAM
        found[i] = LineStyle(colors[distance], DASHES[distance], MARKERS[distance], 1.6)
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
        name: entry.dependencies[measure] if losses is None else verdicts.at_losses(entry, measure, losses)
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
