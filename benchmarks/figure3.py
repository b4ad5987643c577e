"""Figure 3 at two sizes: 10 000 images of CIFAR-10, and 2000 of them.

    GDNP_DATA=DIR python benchmarks/figure3.py run OUT    # about two hours of two cores; goes on where it was
    python benchmarks/figure3.py draw CURVES.json DIR     # figure and verdicts from the curves alone
    python benchmarks/figure3.py page OUT docs            # curves into the package, their section of the page

``run`` trains both networks from 5 seeds for 2000 iterations (the paper's sentences concern the first 1000);
from 3 seeds for 1000 on the first 2000 images; and from one seed with an equal step. Otherwise each network
has the best of 5 steps after 150 iterations of a seed of its own. It writes ``OUT/curves.json``,
``OUT/fewer.json`` and ``OUT/equal.json``, under 1 MB each: what is drawn and judged, without weights. Those
of a finished run are in ``src/gdnp/paper/figure3``, where the claim ``figure-3-downstream`` reads them.
``page`` with that folder for OUT writes the section again.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from shutil import copyfile

import numpy as np

from gdnp.paper import Options, Store, Table, reproduce
from gdnp.paper.claims.training import KEPT
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.figure3.verdicts import FIRST, LABELS, collect, geometric

STEPS = (0.03, 0.1, 0.3, 1.0, 3.0)
AT_SIZE = {"rows": 10_000, "seeds": 5, "iterations": 2000, "every": 200, "probes": 8, "segment": 250}
AT_SIZE |= {"pilot": 150, "steps": STEPS}
SIZES = {
    "curves": AT_SIZE,
    "fewer": {**AT_SIZE, "rows": 2000, "seeds": 3, "iterations": 1000},
    "equal": {**AT_SIZE, "seeds": 1, "pilot": 1, "steps": (0.1,)},
}
HEADS = {
    "curves": "each network with its own step",
    "fewer": "each network with its own step",
    "equal": "one step for both",
}
DIGITS = 6
"""Of each number that is kept."""


def run(out, sizes=SIZES, data="cifar10", workers=None):
    """Train what is missing and write the curves; the paths of the files."""
    written = []
    for name, size in sizes.items():
        figure = Figure3(size)
        outcome = reproduce(figure, Options(data=(data,)), out / name, workers=workers)
        path = out / f"{name}.json"
        path.write_text(json.dumps(curves(figure, outcome.directory)) + "\n", encoding="utf-8")
        written.append(path)
    return written


def curves(figure, directory):
    """Settings and results of a finished run, without the weights that it would go on from."""
    store = Store(directory)
    results = store.results(figure.parts(store.settings, Options()))
    kept = {name: {k: v for k, v in found.items() if k != "state"} for name, found in results.items()}
    return {"settings": store.settings, "results": rounded(kept)}


def rounded(value):
    """The same with six digits of each number."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    if hasattr(value, "tolist"):
        return rounded(value.tolist())
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def draw(path, directory):
    """The figure as PNG and PDF, and the tables of verdicts as text."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    figure, settings, results = Figure3(), document["settings"], document["results"]
    directory.mkdir(parents=True, exist_ok=True)
    written = figure.draw(settings, results, directory)
    for table in figure.tables(figure.summarise(settings, results)):
        print("\n".join([table.title, "", *table.markdown(), "", table.note, ""]))
    return written


BEGIN, END = "<!-- from the curves of benchmarks/figure3.py: begin -->", "<!-- end -->"
WHY = """\
## Two sizes, and why they differ

The blocks rise as the networks learn and fall as the training loss vanishes, with BatchNorm and without. The
number of images decides where iteration {first} lies on that way (claim `figure-3-downstream`):

{table}

So at 10,000 images the half of the sentence about GD holds and the half about BN does not; at 2000, where
both networks are near a loss of zero, it is the other way round. One step for both does not change that."""


def page(out, docs, kept=KEPT["curves"].parent):
    """Put the curves into the package and write their section of the page; the files written."""
    lines, rows, written = [], [], [docs / "figure3.md"]
    for name, head in HEADS.items():
        path = kept / f"{name}.json"
        if not (path.is_file() and path.samefile(out / path.name)):
            copyfile(out / path.name, path)
        document = json.loads(path.read_text(encoding="utf-8"))
        figure, settings, results = Figure3(), document["settings"], document["results"]
        summary = figure.summarise(settings, results)
        title = f"{settings['data']['label']}, {head}"
        picture = docs / f"figure3-{name}.png"
        with tempfile.TemporaryDirectory() as folder:
            drawn = next(p for p in figure.draw(settings, results, Path(folder)) if p.name == "figure3.png")
            copyfile(drawn, picture)
        written += [path, picture]
        rows += [(title, *cells) for cells in at_first(settings, results)]
        lines += ["", f"### {title}", "", f"![Figure 3 at {title}]({picture.name})", ""]
        lines += [f"- {sentence}" for sentence in summary["panels"][0]["findings"]]
        for table in figure.tables(summary):
            lines += ["", " ".join([f"{table.title}.", table.note]).strip(), "", *table.markdown()]
    columns = ("images", "network", "loss at the start", "loss there", "downstream there over the start")
    table = "\n".join(Table("", columns, rows).markdown())
    before, _, rest = written[0].read_text(encoding="utf-8").partition(BEGIN)
    text = "\n".join([before + BEGIN, "", WHY.format(first=FIRST, table=table), *lines, "", END])
    written[0].write_text(text + rest.partition(END)[2], encoding="utf-8")
    return written


def at_first(settings, results):
    """For each network the training loss at the start and where a decay is judged, and what became of it."""
    for network in settings["networks"]:
        found = collect(settings, results, network)
        last = int(np.flatnonzero(found.times <= FIRST)[-1])
        losses = (geometric(found.loss[:, t]) for t in (0, found.times[last]))
        central = settings["network"]["layer"] - 1
        downstream = np.linalg.norm(found.dependencies["raw"][:, :, central:], axis=2)
        ratio = geometric(downstream[:, last] / downstream[:, 0])
        yield (LABELS[network], *(f"{loss:.2g}" for loss in losses), f"{ratio:.2g}")


def main(arguments=None):
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("run", help="train and write the curves")
    training.add_argument("out", type=Path)
    training.add_argument("--workers", type=int)
    drawing = commands.add_parser("draw", help="draw and judge from a file of curves")
    drawing.add_argument("curves", type=Path)
    drawing.add_argument("directory", type=Path)
    writing = commands.add_parser("page", help="put the curves into the package and write their section")
    writing.add_argument("out", type=Path)
    writing.add_argument("docs", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "run":
        print(*run(given.out, workers=given.workers), sep="\n")
    elif given.command == "draw":
        print(*draw(given.curves, given.directory), sep="\n")
    else:
        print(*page(given.out, given.docs), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
