"""Figure 3 at a size that says something: 10 000 images of CIFAR-10, which the networks do not interpolate.

    GDNP_DATA=DIR python benchmarks/figure3.py run OUT    # about two hours of two cores; goes on where it was
    python benchmarks/figure3.py draw CURVES.json DIR     # figure and verdicts from the curves alone
    python benchmarks/figure3.py page OUT docs            # curves into the package, their section of the page

``run`` trains both networks from 5 seeds for 2000 iterations (the paper's sentences concern the first 1000).
Each has the best of 5 steps after 150 iterations of a seed of its own; one seed of both has an equal step. It
writes ``OUT/curves.json`` and ``OUT/equal.json``, under 1 MB each: what is drawn and judged, without weights.
Those of a finished run are in ``benchmarks/curves``.
Once they are in the package, the claim ``figure-3-downstream`` judges them: record it by
``python -m gdnp.paper.claims``, and name it in its row of ``docs/paper-map.md``.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

from gdnp.paper import Options, Store, reproduce
from gdnp.paper.figure3.experiment import Figure3, Profile
from gdnp.paper.figure3.kept import CURVES

STEPS = (0.03, 0.1, 0.3, 1.0, 3.0)
AT_SIZE = Profile(
    rows=10_000, seeds=5, iterations=2000, every=200, probes=8, segment=250, pilot=150, steps=STEPS
)
EQUAL = replace(AT_SIZE, seeds=1, pilot=1, steps=(0.1,))
DIGITS = 6
"""Of each number that is kept."""


def run(out, profile=AT_SIZE, equal=EQUAL, data="cifar10", workers=None):
    """Train what is missing and write the curves; the paths of the two files."""
    written = []
    for name, size in (("curves", profile), ("equal", equal)):
        figure = Figure3(quick=size)
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
Both sizes are shown because they differ. 2000 images are interpolated: near a training loss of zero every
block vanishes, with BatchNorm and without. Here the training loss ends at {losses}."""


def page(out, docs, kept=CURVES):
    """Put the curves into the package and write their section of the page; the files written."""
    lines, written = [], [docs / "figure3.md", kept, kept.with_name("equal.json")]
    for path in written[1:]:
        copyfile(out / path.name, path)
    for path, head in zip(written[1:], ("each with its own step", "one step for both"), strict=True):
        document = json.loads(path.read_text(encoding="utf-8"))
        figure, settings, results = Figure3(), document["settings"], document["results"]
        summary = figure.summarise(settings, results)
        label = settings["data"]["label"]
        if not lines:
            ends = ", ".join(f"{found['loss'][1]:.2g} ({n})" for n, found in summary["networks"].items())
            lines += ["", f"## {label}", "", WHY.format(losses=ends)]
        with tempfile.TemporaryDirectory() as folder:
            drawn = next(p for p in figure.draw(settings, results, Path(folder)) if p.name == "figure3.png")
            picture = docs / f"figure3-{path.stem}.png"
            copyfile(drawn, picture)
            written.append(picture)
        lines += ["", f"### {label}, {head}", "", f"![Figure 3 at {label}, {head}]({picture.name})", ""]
        lines += [f"- {sentence}" for sentence in summary["panels"][0]["findings"]]
        for table in figure.tables(summary):
            lines += ["", f"{table.title}:", "", *table.markdown()]
    before, _, rest = written[0].read_text(encoding="utf-8").partition(BEGIN)
    text = "\n".join([before + BEGIN, *lines, "", END]) + rest.partition(END)[2]
    written[0].write_text(text, encoding="utf-8")
    return written


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
