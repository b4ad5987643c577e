"""An experiment of three squares and their sum, whose parts any process can import."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gdnp._files import replacing
from gdnp.paper import Part
from gdnp.paper.runner.experiment import Table

AWKWARD = [0.1, 1e-320, np.nextafter(1.0, 2.0), -0.0, 1.7976931348623157e308, 3.0]


def _square(config):
    with open(config["log"], "a") as log:  # which parts were computed, from any process
        log.write(f"{config['k']}\n")
    return {"value": np.array(AWKWARD) * 0.0 + config["k"] ** 2, "pid": os.getpid()}


def _total(config, *parts):
    return {"value": sum(part["value"][0] for part in parts) + config["offset"]}


def _interrupt(config):
    raise KeyboardInterrupt


def _fail(config):
    raise ValueError("no such luck")


@dataclass(frozen=True)
class Toy:
    """Three squares and their sum."""

    log: Path
    offset: int = 0
    break_at: int | None = None
    breaking: object = _interrupt
    name = "toy"
    title = "Toy"

    def settings(self, options):
        return "toy", {"experiment": "toy", "offset": self.offset, "seed": options.seed}

    def parts(self, settings, options):
        squares = tuple(
            Part(
                f"square/{k}",
                self.breaking if k == self.break_at else _square,
                {"k": k, "log": str(self.log)},
            )
            for k in range(3)
        )
        return [*squares, Part("total", _total, {"offset": settings["offset"]}, squares)]

    def summarise(self, settings, results):
        return {"total": results["total"]["value"]}

    def draw(self, settings, results, directory):
        with replacing(directory / "toy.png") as beside:
            beside.write_text(str(results["total"]["value"]))
        return [directory / "toy.png"]

    def tables(self, summary):
        return [Table("Toy", ("total",), [(str(summary["total"]),)])]


def _computed(toy):
    return sorted(toy.log.read_text().split()) if toy.log.exists() else []
