"""What came out of Figure 1: do the paths of GDNP_seq coincide, and where does each flow end."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from gdnp.paper.runner.experiment import Results, Settings, Table, said, summary_head
from gdnp.paper.runner.problems import WORLD_LABELS

TITLE = "Figure 1: paths of GD and GDNP_seq"
LABELS = {"squared_error": "least squares", "log_loss": "logistic", "sigmoid": "sigmoid"}
EXACT = 1e-6
"""Curves closer than this are the same up to the accuracy of the integration."""


def summarise(settings: Settings, results: Results) -> dict[str, Any]:
    """Distances, lengths and sentences for each world."""
    return {
        **summary_head(TITLE, settings, own=settings["data"]["name"] != "gaussian"),
        "data": settings["data"],
        "panels": [_panel(settings, results, world) for world in settings["worlds"]],
    }


def _panel(settings: Settings, results: Results, world: str) -> dict[str, Any]:
    paths = results[f"{world}/paths"]
    higher = results.get(f"{world}/higher")
    losses = {
        loss: {
            "label": LABELS[loss],
            "arc_length": entry["arc_length"],
            # Least squares, the first loss, has no distance from itself.
            "distance_to_least_squares": paths["coincidence"].get(f"squared_error-{loss}", 0.0),
            "gd_distance_to_least_squares": paths["gd_apart"].get(f"squared_error-{loss}", 0.0),
            "angle": entry["angle"],
            "best_length": entry["best_length"],
            "stays_in_frame": entry["ray_stationary"],
            "gd_stays_in_frame": entry["gd_stationary"],
            "gradient_norm": entry["gradient_norm"],
            "gradient_norm_at_start": entry["gradient_norm_at_start"],
        }
        for loss, entry in paths["losses"].items()
    }
    panel = {
        "world": world,
        "label": f"{settings['data']['label']}, {WORLD_LABELS[world]}",
        "n": None if world == "population" else settings["data"]["n"],
        "r": paths["r"],
        "g0": paths["g0"],
        "coincidence": max(paths["coincidence"].values()),
        "gd_apart": max(paths["gd_apart"].values()),
        "higher": None
        if higher is None
        else {
            "d": settings["higher"]["d"],
            "coincidence": max(higher["coincidence"].values()),
            "sphere_apart": max(higher["sphere_apart"].values()),
            "arc_length": higher["arc_length"],
        },
        "losses": losses,
    }
    return {**panel, "findings": _findings(panel)}


def _findings(panel: Mapping[str, Any]) -> list[str]:
    entries = panel["losses"].values()
    longest = max(entry["arc_length"] for entry in entries)
    exact = panel["coincidence"] < EXACT
    verdict = "coincide" if exact else "nearly coincide" if panel["coincidence"] < 0.1 * longest else "differ"
    say = partial(said, "figure1")
    sentences = [say("curves", verdict=verdict, longest=longest, **panel)]
    if panel["higher"] is not None:
        sentences.append(say("higher", **panel["higher"]))
    sentences += [
        say("endless" if entry["best_length"] is None else "outside", **entry)
        for entry in entries
        if not entry["stays_in_frame"]
    ]
    if panel["world"] == "sample":
        left = "; ".join(say("gradient", **entry) for entry in entries if entry["stays_in_frame"])
        sentences.append(say("left", left=left))
    return sentences


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """How far the curves are apart and where they end, one table for each world."""
    columns = (
        "loss",
        "GDNP_seq from least squares",
        "GD from least squares",
        "angle to S⁻¹u",
        "best length",
        "gradient at the end",
    )
    return [
        Table(panel["label"], columns, [_row(entry) for entry in panel["losses"].values()])
        for panel in summary["panels"]
    ]


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    best = entry["best_length"]
    return (
        entry["label"],
        f"{entry['distance_to_least_squares']:.1e}",
        f"{entry['gd_distance_to_least_squares']:.2g}",
        f"{entry['angle']:.2g}°",
        "none" if best is None else f"{best:.4g}",
        f"{entry['gradient_norm']:.1e}" if entry["stays_in_frame"] else "leaves the frame",
    )
