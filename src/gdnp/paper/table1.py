"""Table 1: how many iterations and passes it takes to reach a gradient norm of at most ε."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import t as student

from gdnp import columns, methods
from gdnp._typing import FloatArray
from gdnp.paper.runner.cells import field_of
from gdnp.paper.runner.charts import Chart, Curve, Figure, draw_charts, show
from gdnp.paper.runner.experiment import Experiment, OptionError, Options, Results, Settings, Table, said
from gdnp.paper.runner.problems import LOSS_LABELS, WORLD_LABELS, gaussian_objective, start_at
from gdnp.plotting import STYLES, LineStyle
from gdnp.solvers import Progress, Status, minimize
from gdnp.store import Part

LABELS = {"gd": "GD", "agd": "AGD (convex)", "agd_nonconvex": "AGD (non-convex)", "gdnp": "GDNP"}
PRINTED: dict[str, tuple[str, float | None]] = {
    "gd": ("ε^(-2)", 2.0),
    "agd": ("ε^(-1), convex", 1.0),
    "agd_nonconvex": ("ε^(-7/4) log(1/ε)", 1.75),
    "gdnp": ("log²(1/ε)", None),
}
"""The orders of the printed table, and their exponents."""
SEPARATE = ("agd_nonconvex",)
"""Whose parameters depend on ε, so that every ε is a run of its own."""
SHOWN = (1e-4, 1e-7)
"""The ε whose counts are in the table."""

QUICK: dict[str, Any] = {
    **{"d": 10, "kappa": 20.0, "r": 0.5},  # of the Gaussian design
    "rows": 4000,  # n of the sample
    "starts": 2,
    "max_iter": 6000,
    "gdnp_max_iter": 300,  # the same for GDNP, whose iterations take longer
    "decades": (1, 8),  # ε runs from 10^(-first) to 10^(-last)
    "per_decade": 4,  # values of ε in each
    "separate_per_decade": 2,  # the same where every ε is a run of its own
}
FULL = QUICK | {"d": 20, "kappa": 100.0, "rows": 10_000, "starts": 5}
FULL |= {"max_iter": 20_000, "gdnp_max_iter": 3000, "decades": (1, 10)}


def epsilons(size: Mapping[str, Any], *, separate: bool) -> list[float]:
    """The ε, falling, for methods of one run or of a run for each ε."""
    (first, last), each = size["decades"], size["separate_per_decade" if separate else "per_decade"]
    return [10.0 ** -(first + k / each) for k in range((last - first) * each + 1)]


class Table1(Experiment):
    """GD, AGD, the non-convex AGD and GDNP at their safe steps, from the same random starts."""

    name, title = "table1", "Table 1: iterations to an ε-critical point"
    quick, full = QUICK, FULL

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and configuration; the data are the Gaussian design, whatever `options` names."""
        if any(name != "gaussian" for name in options.data):
            raise OptionError(
                "Table 1 is about Gaussian data, where GDNP's rate is proved. "
                f"Got {', '.join(options.data)}: leave --data out."
            )
        folder, size, settings = self.begun(options)
        most = {"gdnp": size["gdnp_max_iter"]}
        settings |= {
            "design": {key: size[key] for key in ("d", "kappa", "r")}
            | {"n": size["rows"], "seed": options.seed},
            "losses": list(LOSS_LABELS),
            "worlds": list(WORLD_LABELS),
            "methods": list(LABELS),
            "starts": size["starts"],
            "max_iter": {name: most.get(name, size["max_iter"]) for name in LABELS},
            "epsilons": {name: epsilons(size, separate=name in SEPARATE) for name in LABELS},
        }
        return folder, settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """The runs of each world, loss and method."""
        parts = []
        for world, loss, name in product(settings["worlds"], settings["losses"], settings["methods"]):
            config = {
                "design": {**settings["design"], "name": world},
                "loss": loss,
                "method": name,
                **{key: settings[key] for key in ("starts", "seed")},
                **{key: settings[key][name] for key in ("max_iter", "epsilons")},
            }
            cost = config["max_iter"] * (20.0 if name in SEPARATE else 1.0)
            parts.append(Part(f"{world}/{loss}/{name}", _runs, config, cost=cost))
        return parts

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """Whatever is called ``seconds`` differs from run to run; nothing else does."""
        return {
            **self.summary_head(settings),
            **{key: settings[key] for key in ("design", "starts", "max_iter")},
            "panels": _panels(settings, results),
        }

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """One table for each world and loss, the printed order beside what was measured."""
        counts = (*(f"N({eps:.0e})" for eps in SHOWN), f"passes({SHOWN[0]:.0e})")
        columns = ("method", "printed order", "law in the end", "p over all ε", *counts, "ms an iteration")
        return [
            Table(panel["label"], columns, [_row(entry) for entry in panel["methods"].values()])
            for panel in summary["panels"]
        ]

    def draw(self, settings: Settings, results: Results, directory: Path) -> list[Path]:
        """Iterations against ε on both scales as PNG and PDF."""
        panels = _panels(settings, results)
        rows = [[_chart(settings, panel, log=log) for log in (True, False)] for panel in panels]
        return draw_charts(rows, directory / "table1")

    def interactive(self, settings: Settings, results: Results) -> list[Figure]:
        """A figure for each world and loss: what it takes to reach ε."""
        caption = (
            f"First time at ‖∇f‖ <= ε, geometric mean of {settings['starts']} starts. With both axes "
            "logarithmic a power law is straight; on a linear axis linear convergence is."
        )
        figures = []
        for panel in _panels(settings, results):
            columns = ("iterations",) if panel["world"] == "population" else ("iterations", "passes")
            views = {column: _chart(settings, panel, column) for column in columns}
            views["iterations, linear axis"] = _chart(settings, panel, log=False)
            figures.append(show(str(panel["label"]), caption, views))
        return figures


# --- runs


def _runs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Iterations and passes to each ε, (ε, starts), nan where it is not reached."""
    f, _ = field_of(config["design"], config["loss"])
    starts = np.stack([start_at(len(f.u), config["seed"], k) for k in range(config["starts"])], axis=1)
    begin = time.process_time()
    if config["method"] in SEPARATE:
        found, taken = _separate(config, starts)
    else:
        run = columns.run(f, config["method"], starts, 1.0, config["max_iter"])
        hit = run.gradient_norm <= np.array(config["epsilons"])[:, None, None]
        first, taken = hit.argmax(axis=1), starts.shape[1] * config["max_iter"]
        both = first, run.passes[first, range(starts.shape[1])]
        found = np.array([np.where(hit.any(axis=1), values, np.nan) for values in both])
    return {"iterations": found[0], "passes": found[1], "seconds": (time.process_time() - begin) / taken}


def _separate(config: Mapping[str, Any], starts: FloatArray) -> tuple[FloatArray, int]:
    """Both, (2, ε, starts), of a method that is told ε, and how many iterations that took."""
    objective = gaussian_objective(config["design"], config["design"]["name"], config["loss"])
    found, taken = np.full((2, len(config["epsilons"]), starts.shape[1]), np.nan), 0
    for i, k in np.ndindex(*found.shape[1:]):
        eps = config["epsilons"][i]
        ended = minimize(
            objective,
            methods.agd_nonconvex(epsilon=eps),
            starts[:, k],
            max_iter=config["max_iter"],
            tol=0.0,
            callback=partial(_is_critical, eps),
        )
        if ended.status is Status.STOPPED:
            found[:, i, k] = ended.n_iter, ended.history["passes"][-1]
        taken += max(ended.n_iter, 1)
    return found, taken


def _is_critical(eps: float, progress: Progress) -> bool:
    return bool(np.linalg.norm(progress.point.gradient) <= eps)


# --- which law the iterations follow

LEVEL = 0.95
FEWEST = 5
"""Points below which no law is fitted."""
DECIDES = 2.0
"""Difference in AIC from which one law counts as the better one."""
LARGEST_RMS = 0.25
"""Root mean square of the residuals of log N above which a law does not describe the points."""
EXACT = 1e-9
"""Residuals of log N below this are rounding."""


def count_at(law: str, fitted: Mapping[str, float], eps: FloatArray) -> FloatArray:
    """N at `eps` (m,) by the law "power" or "log" with these coefficients."""
    straight = fitted["offset"] - fitted["value"] * np.log10(eps)
    return np.asarray(10.0**straight if law == "power" else straight)


def compare(eps: FloatArray, counts: FloatArray) -> dict[str, Any]:
    """Fit C ε^(-p) and a + b log₁₀(1/ε) to N at ε, falling, both (m,), and say which describes N better.

    Both laws have two coefficients and are fitted to log N by least squares, as if N erred by a factor rather
    than by a term. So their residuals, and AIC, can be compared. The intervals are Student's for independent
    residuals. Those of a curve are not independent: the intervals describe the fit and promise no coverage.

    Returns the ``range`` of ε and what is ``better``: "log", "power", "either", "neither", or "too few
    points". ``power`` and ``log`` have the ``value`` of p or b with the ends ``low`` and ``high`` of its
    interval, the ``offset`` log₁₀ C or a, and the ``rms`` of the residuals of log N.
    """
    if len(eps) < FEWEST or len(np.unique(counts)) < FEWEST:
        return {"better": "too few points"}
    x = -np.log10(eps)
    # Weights 1/N make the linear problem the first-order expansion of that of log N.
    slope, offset = np.polyfit(x, counts, 1, w=1.0 / counts)
    least = 1e-3 * counts.min()
    power = _fitted(lambda x, c, p: math.log(10.0) * (c + p * x), x, counts, (0.0, 1.0))
    log = _fitted(lambda x, a, b: np.log(np.maximum(a + b * x, least)), x, counts, (offset, slope))
    difference = 2.0 * len(eps) * math.log(max(power["rms"], EXACT) / max(log["rms"], EXACT))
    better = "either" if abs(difference) < DECIDES else "log" if difference > 0.0 else "power"
    if min(power["rms"], log["rms"]) > LARGEST_RMS:
        better = "neither"
    return {"range": [float(eps[0]), float(eps[-1])], "power": power, "log": log, "better": better}


def _fitted(
    law: Callable[..., FloatArray], x: FloatArray, counts: FloatArray, start: tuple[float, float]
) -> dict[str, float]:
    """A law of log N with its two coefficients, the second one with its interval."""
    y = np.log(counts)
    (offset, value), covariance = curve_fit(law, x, y, start, xtol=1e-14, ftol=1e-14)
    half = student.ppf(0.5 + LEVEL / 2.0, len(y) - 2) * math.sqrt(covariance[1, 1])
    rms = math.sqrt(float(np.mean(np.square(y - law(x, offset, value)))))
    ends = {"low": float(value - half), "high": float(value + half)}
    return {"value": float(value), **ends, "offset": float(offset), "rms": rms}


# --- what came out


def _panels(settings: Settings, results: Results) -> list[dict[str, Any]]:
    """For each world and loss what each method needs, and the sentences on it."""
    panels = []
    for world, loss in product(settings["worlds"], settings["losses"]):
        entries = {
            name: _method(name, settings["epsilons"][name], results[f"{world}/{loss}/{name}"])
            for name in settings["methods"]
        }
        if world == "population":  # there are no data to pass over
            for entry in entries.values():
                entry["passes"] = [None] * len(entry["passes"])
        say = partial(said, "table1")
        above = ", ".join(entry["label"] for name, entry in entries.items() if _exceeds(name, entry))
        findings = [say("exceeded", above=above or "none")]
        findings += [say("nothing critical")] * (loss == "sigmoid")
        label = f"{LOSS_LABELS[loss]}, {WORLD_LABELS[world]}"
        panels.append(
            {"world": world, "loss": loss, "label": label, "methods": entries, "findings": findings}
        )
    return panels


def _method(name: str, epsilons: Sequence[float], found: Mapping[str, Any]) -> dict[str, Any]:
    counts = _means(found["iterations"])
    eps, n = known(epsilons, counts, 1.0)
    half = len(n) // 2
    return {
        "label": LABELS[name],
        "printed": PRINTED[name][0],
        "epsilons": list(epsilons),
        "iterations": counts,
        "passes": _means(found["passes"]),
        "laws": {"all": compare(eps, n), "fine": compare(eps[half:], n[half:])},
        "seconds": found["seconds"],
    }


def _means(values: Any) -> list[float | None]:
    """Over the starts at each ε; geometric where all are positive. None unless all of them got there."""
    found = []
    for row in np.array(values, dtype=np.float64):
        mean = np.exp(np.log(row).mean()) if (row > 0.0).all() else row.mean()
        found.append(float(mean) if math.isfinite(mean) else None)
    return found


def known(
    epsilons: Sequence[float], values: Sequence[float | None], least: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """The ε that were reached with a value of at least `least`, and the values; both (m,)."""
    found = [(eps, n) for eps, n in zip(epsilons, values, strict=True) if n is not None and n >= least]
    eps, kept = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return eps, kept


def _exceeds(name: str, entry: Mapping[str, Any]) -> bool:
    """Whether the iterations rise with a higher power of 1/ε than is printed."""
    order, laws = PRINTED[name][1], entry["laws"]["all"]
    return order is not None and "power" in laws and laws["power"]["low"] > order


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    whole, fine = entry["laws"]["all"], entry["laws"]["fine"]
    laws, law = (fine if "power" in fine else whole), "too few points"
    if "power" in laws:
        linear, power = f"{_interval(laws, 'log', '.4g')} a decade", f"p = {_interval(laws, 'power', '.2f')}"
        law = {"log": linear, "power": power, "either": f"{linear}, or {power}"}.get(
            laws["better"], "neither"
        )

    def at(column: str, eps: float) -> float | None:
        near = np.isclose(entry["epsilons"], eps, rtol=1e-9, atol=0.0)
        return entry[column][int(near.argmax())] if near.any() else None

    counts, passes = [at("iterations", eps) for eps in SHOWN], at("passes", SHOWN[0])
    return (
        entry["label"],
        entry["printed"],
        law,
        _interval(whole, "power", ".2f"),
        *("not yet" if count is None else f"{count:.0f}" for count in counts),
        "-" if passes is None else f"{passes:.0f}",
        f"{1e3 * entry['seconds']:.2g}",
    )


def _interval(laws: Mapping[str, Any], law: str, form: str) -> str:
    """A coefficient with its interval; "" where no law was fitted."""
    if law not in laws:
        return ""
    return f"{laws[law]['value']:{form}} [{laws[law]['low']:{form}}, {laws[law]['high']:{form}}]"


# --- the drawing: a power law is straight on one scale, a logarithm on the other

NONCONVEX = LineStyle("#cc79a7", (0, (4, 1.2)), "^")
PALE = "40"
"""Opacity of the law beneath the points, in the hexadecimal of a colour."""


def _chart(
    settings: Settings, panel: Mapping[str, Any], column: str = "iterations", *, log: bool = True
) -> Chart:
    """What each method needs; below the iterations the law that fits the finer half of them, if one does."""
    curves = []
    for name, entry in panel["methods"].items():
        style, laws = STYLES.get(name, NONCONVEX), entry["laws"]["fine"]
        if column == "iterations" and laws["better"] in ("log", "power"):
            fine = np.geomspace(laws["range"][0], laws["range"][1], 100)
            fitted = count_at(laws["better"], laws[laws["better"]], fine)
            curves.append(Curve("", LineStyle(style.color + PALE, width=4.0), fine, fitted[None]))
        eps, values = known(entry["epsilons"], entry[column])
        curves.append(Curve(LABELS[name], style, eps, values[None]))
    epsilons = [eps for values in settings["epsilons"].values() for eps in values]
    return Chart(
        panel["label"],
        "a power law is straight" if log else "linear convergence is straight",
        "ε",
        column,
        curves,
        log_x=True,
        log=log,
        span=(1.3 * max(epsilons), min(epsilons) / 1.3),
        height=None if log else (0.0, ceiling(panel)),
    )


def ceiling(panel: Mapping[str, Any]) -> float:
    """The largest count, but at most three times the median of the methods': the slowest are cut."""
    entries = panel["methods"].values()
    counts = [known(entry["epsilons"], entry["iterations"], 1.0)[1] for entry in entries]
    tops = [float(values.max()) for values in counts if len(values)] or [1.0]
    return 1.08 * min(max(tops), 3.0 * float(np.median(tops)))
