"""What came out of Figure 3, in numbers and in words."""

from collections.abc import Mapping
from typing import Any

from gdnp.paper.figure3 import verdicts
from gdnp.paper.figure3.runs import LABELS, MEASURES, Runs, collect, common_losses, layer_numbers
from gdnp.paper.runner.experiment import Results, Settings, Table, said, summary_head

TITLE = "Figure 3: dependencies between layers"


def summarise(settings: Settings, results: Results) -> dict[str, Any]:
    """What section 5.3 says, judged in every run, and the numbers behind it."""
    runs = {network: collect(settings, results, network) for network in settings["networks"]}
    losses, output = common_losses(runs), settings["network"]["depth"] + 1
    first = min(verdicts.FIRST, settings["iterations"])
    summary = {
        **summary_head(TITLE, settings, output=output, first=first, critical=verdicts.CRITICAL),
        "data": settings["data"],
        "device": settings["device"],
        "layer": settings["network"]["layer"],
        "layers": layer_numbers(settings),
        "seeds": settings["seeds"],
        "iterations": settings["iterations"],
        "losses": losses,
        "networks": {network: _network(entry) for network, entry in runs.items()},
        "verdicts": verdicts.judge(settings, runs, losses),
        "comparison": verdicts.compare(settings, runs, losses),
    }
    return {**summary, "panels": [{"label": settings["data"]["label"], "findings": _findings(summary)}]}


def _network(runs: Runs) -> dict[str, Any]:
    """Losses, gradient norms and dependencies at the start and at the end, geometric means over the seeds."""
    return {
        "step": runs.step,
        "loss": [float(verdicts.geometric(runs.loss[:, t])) for t in (0, -1)],
        "gradient_norm": [float(verdicts.geometric(runs.gradient_norm[:, t])) for t in (0, -1)],
        "error": runs.error,
        "dependencies": {
            measure: [verdicts.geometric(values[:, t]) for t in (0, -1)]
            for measure, values in runs.dependencies.items()
        },
    }


def _findings(summary: Mapping[str, Any]) -> list[str]:
    sentences = [said("figure3", "runs", **summary, **summary["networks"])]
    for basis, measures in summary["comparison"].items():
        where = "at the end" if basis == "iterations" else f"at the loss {summary['losses'][-1]:.3g}"
        sentences.append(said("figure3", "downstream", where=where, **measures))
    return sentences + [said("figure3", "no common loss")] * (summary["losses"] is None)


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """A table of verdicts for each basis, and one of the dependencies themselves."""
    label, bases = summary["data"]["label"], {verdict["basis"] for verdict in summary["verdicts"]}
    found = [_verdict_table(summary, label, basis) for basis in verdicts.BASES if basis in bases]
    return [*found, _dependency_table(summary, label)]


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
