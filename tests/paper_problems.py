"""Small runs of the paper's experiments, and what tests of several modules ask of them."""

import importlib.util
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from gdnp.paper import Options, Store
from gdnp.paper.claims import CLAIMS, recorded_results, run_claims
from gdnp.paper.figure1.experiment import Figure1
from gdnp.paper.figure2 import Figure2
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.figure3.verdicts import Runs
from gdnp.paper.table1 import Table1

FIGURE1 = Figure1({"rows": 200, "grid": 9})
FIGURE2 = Figure2(
    {
        **{"populations": ((4.0, 0.5),), "samples": ((4.0, 0.5),), "rows": 300, "data": ()},
        **{"grid": (0.5, 1.0, 2.0), "tuning_starts": 2, "starts": 3, "iterations": 12},
    }
)
SIZE3 = {"rows": 40, "seeds": 2, "iterations": 12, "every": 4, "probes": 4, "segment": 5, "pilot": 5}
SIZE3 |= {"steps": (0.1, 0.5), "depth": 4, "width": 6}
FIGURE3 = Figure3(SIZE3)
DIGITS = Options(data=("digits",))
TABLE1 = Table1(
    {"d": 3, "kappa": 4.0, "rows": 300, "starts": 2, "max_iter": 400, "gdnp_max_iter": 60, "decades": (1, 6)}
)


def saved(experiment, outcome):
    """The settings of a finished result, and the results of all its parts."""
    store = Store(outcome.directory)
    return store.settings, store.results(experiment.parts(store.settings, Options()))


def are_valid_plotly(figures):
    """Attributes and values that plotly knows, JSON without NaN, and buttons that show something."""
    go = pytest.importorskip("plotly.graph_objects")
    for figure in figures:
        go.Figure(figure)  # refuses unknown attributes and values
        json.dumps(figure, allow_nan=False)
        for menu in figure["layout"].get("updatemenus", ()):
            for button in menu["buttons"]:
                assert len(button["args"][0]["visible"]) == len(figure["data"])
                assert sum(button["args"][0]["visible"]) > 0
    return True


# --- Figure 3

TIMES = np.arange(0, 2001, 200)


def runs_of(dependencies, *, loss=None, gradient=None):
    """Runs of two seeds whose dependencies are a (m, 6) array."""
    values = np.stack([dependencies, 1.1 * dependencies])
    steps = TIMES[-1] + 1
    course = np.geomspace(2.0, 0.1, steps) if loss is None else loss
    gradient = course if gradient is None else gradient
    return Runs(
        step=0.1,
        loss=np.stack([course, course]),
        gradient_norm=np.stack([gradient, gradient]),
        times=TIMES,
        dependencies={"raw": values, "scaled": 2.0 * values},
    )


def script(name):
    """A script of ``benchmarks``, which is no package, as a module."""
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"gdnp_benchmarks_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- claims

verdicts = script("verdicts")
RECORDED = {result.claim.id: result.measurement for result in recorded_results()}
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def claims_of(module):
    """The ids of the claims that a module of ``gdnp.paper.claims`` checks."""
    found = [name for name, claim in CLAIMS.items() if claim.check.__module__.endswith(f".{module}")]
    assert found, module
    return found


def is_the_recorded_one(name):
    """Whether a claim, measured afresh, has the recorded verdict, numbers and words."""
    (result,) = run_claims([name])
    if result.measurement is None:
        pytest.skip(f"{result.outcome}: {result.reason}")
    found, recorded = result.measurement, RECORDED[name]
    assert found.verdict is result.claim.recorded is recorded.verdict, found.evidence
    assert result.agrees
    assert found.bound == pytest.approx(recorded.bound, rel=0.01)
    if recorded.bound <= verdicts.ROUNDING and recorded.measured <= recorded.bound:
        assert found.measured <= found.bound
    else:
        assert found.measured == pytest.approx(recorded.measured, rel=0.2 if is_a_race(name) else 0.06)
    for text, quoted in zip(
        (found.evidence, found.counterexample), (recorded.evidence, recorded.counterexample), strict=True
    ):
        assert NUMBER.sub("#", text or "") == NUMBER.sub("#", quoted or "")
        assert all(map(same, numbers(text or ""), numbers(quoted or "")))
    return True


def is_a_race(name):
    """A mean over starts, which rounding moves where a constant step is at the edge of stability."""
    return CLAIMS[name].section.startswith("4.4")


def numbers(text):
    return [float(number) for number in NUMBER.findall(text)]


def same(found, recorded):
    """Up to the last digit shown, or both nothing but rounding."""
    return math.isclose(found, recorded, rel_tol=0.2) or max(abs(found), abs(recorded)) < 1e-6


# --- the report


def embedded(text):
    return json.loads(re.search(r'id="figures">(.*?)</script>', text, flags=re.DOTALL)[1])
