"""Figure 2, and section 4.4 as a designed experiment: each choice that is not printed, both ways."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from gdnp.paper.figure2 import drawing, summary
from gdnp.paper.figure2.drawing import KEPT, SHOWN
from gdnp.paper.runner.cells import HS, METHODS, SCALES, WITH_H, facts, label_of, part_name, race
from gdnp.paper.runner.experiment import Experiment, OptionError, Options, Settings
from gdnp.paper.runner.own import called, hashes
from gdnp.paper.runner.problems import LOSS_LABELS, a9a, described_rows
from gdnp.store import Part

FEATURES = 10
GAUSSIAN = (100.0, 0.5)
"""κ and r of the data called gaussian."""


STEPS = tuple(0.5 * 1.3**k for k in range(12))
PLACES = ((1.0, 0.2), (1.0, 0.8), (10.0, 0.5), (10.0, 0.8), GAUSSIAN)
QUICK: dict[str, Any] = {
    "populations": ((1.0, 0.8), GAUSSIAN),  # (κ, r) of Gaussian data, exactly
    "samples": (GAUSSIAN,),  # and in rows
    "rows": 2000,  # n of the samples
    "data": ("breast_cancer",),
    "methods": tuple(METHODS),
    "grid": STEPS[::4],  # multiples of a method's own step; a best at either end extends it
    **{"tuning_starts": 2, "starts": 4, "iterations": 150},
}
FULL = {
    **{"populations": PLACES, "samples": ((1.0, 0.8), GAUSSIAN), "rows": 5000, "data": ("a9a",)},
    **{"methods": tuple(METHODS), "grid": STEPS, "tuning_starts": 3, "starts": 10, "iterations": 200},
}


class Figure2(Experiment):
    """GDNP and its rivals in every cell of start scale, h, tuning, data and loss.

    Everything is centred, without intercept and without ridge; the starts are columns of one matrix. Figure 2
    is drawn from the runs on rows of data.
    """

    name, title = "figure2", summary.TITLE
    quick, full = QUICK, FULL
    summarise = staticmethod(summary.summarise)
    tables = staticmethod(summary.tables)
    draw = staticmethod(drawing.draw)
    interactive = staticmethod(drawing.interactive)

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and design; the data are read once, so that what cannot be used is refused here."""
        folder, size, settings = self.begun(options)
        design = {"d": FEATURES, "n": size["rows"], "seed": options.seed}
        if options.data:
            data = [_described(name, design) for name in options.data]
        else:
            if "a9a" in size["data"]:
                a9a()  # or one sentence that says how to get it
            data = [
                {"name": name, "kappa": kappa, "r": r, **design}
                for name, places in (("population", size["populations"]), ("sample", size["samples"]))
                for kappa, r in places
            ]
            data += [described_rows(name) for name in size["data"]]
        labels = [label_of(spec) for spec in data]
        if len(set(labels)) < len(labels):
            raise OptionError(f"Data sets should have different names. Got {', '.join(options.data)}.")
        sizes = {key: size[key] for key in ("tuning_starts", "starts", "iterations")}
        settings |= {**sizes, "data": data, "losses": list(options.losses or LOSS_LABELS)}
        settings |= {"methods": [*size["methods"], *options.methods], "grid": list(size["grid"])}
        own = hashes(options.losses, options.methods)
        if own:
            settings["own"] = own
        chosen = [called(name, LOSS_LABELS) for name in (*options.losses, *options.methods)]
        return "-".join([folder, *(Path(name).stem for name in options.data), *chosen]), settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """For each data set its facts, and for each loss, start scale, method and h the runs."""
        shared = {key: settings[key] for key in ("grid", "tuning_starts", "starts", "iterations", "seed")}
        shared |= {key: settings[key] for key in ("own",) if key in settings}
        sources = options.data or [spec["name"] for spec in settings["data"]]
        parts = []
        for spec, source in zip(settings["data"], sources, strict=True):
            parts.append(Part(f"{label_of(spec)}/facts", partial(facts, source=source), {"data": spec}))
            for loss, scale, method in product(settings["losses"], SCALES, settings["methods"]):
                for h in HS if method in WITH_H else HS[:1]:
                    config = {"data": spec, "loss": loss, "scale": scale, "method": method, "h": h, **shared}
                    config["kept"] = KEPT if scale == SHOWN and spec["name"] != "population" else ()
                    cost = (1.0 + 2e-4 * spec["n"] * (spec["name"] != "population")) * (1 + 4 * (h in WITH_H))
                    name = part_name(spec, loss, scale, method, h)
                    parts.append(Part(name, partial(race, source=source), config, cost=cost))
        return parts


def _described(source: str, design: dict[str, Any]) -> dict[str, Any]:
    """The settings of a data set that the user names."""
    if source != "gaussian":
        return described_rows(source)
    kappa, r = GAUSSIAN
    return {"name": "sample", "kappa": kappa, "r": r, **design}
