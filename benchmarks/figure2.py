"""The page of Figure 2 and section 4.4, from a finished result, beside what the paper describes.

    gdnp reproduce section44 --full --out DIR          # goes on where it was; under an hour of two cores
    python benchmarks/figure2.py DIR/figure2-full docs

Every number of the page is read from the result; nothing is computed again.
"""

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from shutil import copyfile

import numpy as np

from gdnp.paper import EXPERIMENTS, Options, Store, Table, redraw
from gdnp.paper.claims import recorded_results
from gdnp.paper.claims.experiments import PLACES
from gdnp.paper.runner.cells import RACERS, RIVALS, SCALES, TUNINGS, label_of, mean_at, part_name, word

FIGURES = {
    "section44": "Who is first after 100 iterations, for each start scale, data set, loss and tuning",
    "figure2": "Suboptimality and gradient norm over iterations from N(0, I), best multiple of every method",
    "figure2-passes": "The same over passes",
    "figure2-sigmoid": "The sigmoid: gradient norm, objective and 0-1 error",
}
HEAD = """\
# Figure 2 and section 4.4: what holds

<!-- Written by `python benchmarks/figure2.py`: do not edit by hand. -->

The paper races GD, AGD, WN, BN and GDNP on Gaussian data and on a9a, from ten random starts. It does not
print the scale of the starts, the grid of the constant steps, whether GDNP's own step is tuned, nor κ and r
of the Gaussian data; and h is a misprint in Eq. 18, so that what was run may be either form. `gdnp
reproduce section44` runs every choice both ways:

| choice | both ways |
|---|---|
| start | N(0, I/d), N(0, I), 10 N(0, I) |
| h of GDNP | corrected, as printed |
| steps | the theory's constant for all; for each method its best multiple, chosen on other starts |
| data | Gaussian populations and samples at several (κ, r), data of the world |
| loss | softplus (suboptimality), sigmoid (gradient norm) |
"""


WORDS = ("faster", "level", "slower")


def counted(cells, rival):
    """In how many cells GDNP is faster, level and slower."""
    words = [cell["against"][rival] for cell in cells]
    return " / ".join(str(words.count(outcome)) for outcome in WORDS)


def groups(cells):
    """The cells of each value of each choice, by the words for it."""
    yield "all", cells
    for key, words in (("loss", {}), ("data", {}), ("scale", SCALES), ("h", {}), ("tuning", TUNINGS)):
        for value in dict.fromkeys(cell[key] for cell in cells):
            here = [cell for cell in cells if cell[key] == value]
            yield f"{'h ' * (key == 'h')}{words.get(value, value)}", here


def differences(settings, results, cells):
    """The paper's sentences on Figure 2, what the cells show, and why it differs; a row each."""
    softplus = [cell for cell in cells if cell["loss"] == "log_loss"]
    gaussian = [cell for cell in softplus if cell["data"].startswith("(")]
    others = [cell for cell in softplus if not cell["data"].startswith("(")]
    first = sum(cell["first"] == "gdnp_inner" for cell in gaussian)
    ratios = [cell["means"][m] / cell["means"]["gd"] for cell in softplus for m in RACERS[2:4]]
    yield (
        "GDNP is the fastest on the Gaussian panels",
        f"it is first in {first} of {len(gaussian)} cells; faster / level / slower: "
        + ", ".join(f"{rival} {counted(gaussian, rival)}" for rival in RIVALS),
        "(κ, r), the scale of the starts and who is tuned decide: at κ = 1 the length is the difficulty, "
        "which GDNP fits; at κ = 100 the direction is, where momentum wins (claims `gdnp-against-gd`, "
        "`gdnp-against-agd`)",
    )
    yield (
        "simple BN and WN are like GD",
        f"their f - f* over GD's is {min(ratios):.1g} to {max(ratios):.1g} after 100 iterations",
        "their step on the direction shrinks with the length of the start (claim `bn-wn-like-gd`)",
    )
    for name in dict.fromkeys(cell["data"] for cell in others):
        here = [cell for cell in others if cell["data"] == name]
        own, tuned = ([cell for cell in here if cell["tuning"] == tuning] for tuning in TUNINGS)
        alone = [word(a["means"]["gdnp_inner"], b["means"]["gd"]) for a, b in zip(own, tuned, strict=True)]
        yield (
            f"GDNP accelerates on real data as well ({name})",
            ", ".join(f"{rival} {counted(here, rival)}" for rival in RIVALS)
            + f"; with every method tuned, GD {counted(tuned, 'GD')}; with GD alone tuned, GD "
            + " / ".join(str(alone.count(outcome)) for outcome in WORDS),
            "N(0, I/d) starts the rivals near the length of the optimum, which GDNP does not see, and GD is "
            "stable beyond its safe step; but Eq. 17 has a multiple too (claim `gdnp-accelerates-a9a`)",
        )
    populations = [spec for spec in settings["data"] if spec["name"] == "population"]
    for spec in populations[-1:]:
        run = results[part_name(spec, "sigmoid", "unit", "gdnp_inner", "stein")]
        means = [np.log10(mean_at(run, "theory", t)) for t in range(0, settings["iterations"] + 1, 50)]
        decades = ", ".join(f"{a - b:.2f}" for a, b in pairwise(means))
        yield (
            "the sigmoid's gradient norm falls at a linear rate",
            f"decades lost in each 50 iterations at {label_of(spec)}: {decades}",
            "there is no finite critical point: the length runs to infinity (claim `sigmoid-linear-rate`)",
        )
    yield (
        "adaptive steps in w matter more than several steps on g",
        "claim `steps-in-w-matter`",
        "at κ = 1 the direction is easy and the length is not",
    )


def beside_claims(cells):
    """What the claims on Gaussian data found with fewer starts, beside the same cells here; a row each."""
    places = {label_of({"name": "population", "kappa": kappa, "r": r}) for kappa, r in PLACES}
    same = [cell for cell in cells if cell["loss"] == "log_loss" and cell["data"] in places]
    claims = {result.claim.id: result for result in recorded_results()}
    for rival, name in zip(RIVALS, ("gd", "bn-wn", "agd"), strict=True):
        found = claims[f"gdnp-against-{name}"]
        seen = found.measurement.evidence.partition("starts: ")[2]
        yield f"`{found.claim.id}`", found.outcome, seen, f"{counted(same, rival)} of {len(same)}"


def page(settings, results, summary):
    """The text of the page."""
    cells = summary["cells"]
    data = ", ".join(label_of(spec) for spec in settings["data"])
    lines = [
        HEAD,
        f"The pictures and counts below are of the **{settings['profile']}** profile: {data}; {len(cells)} "
        f"cells, {settings['starts']} starts that are reported, {settings['tuning_starts']} to tune on, "
        f"{len(settings['grid'])} multiples and more where the best is at an end, by "
        f"`gdnp reproduce section44{' --full' if settings['profile'] == 'full' else ''}`.",
    ]
    if settings["profile"] != "full":
        lines += ["", "It is an indication: a9a and the other places are in `--full`."]
    for name, words in FIGURES.items():
        lines += ["", f"![{words}]({name}.png)"]
    rows = list(differences(settings, results, cells))
    lines += ["", "## Beside the paper's description", ""]
    lines += Table("", ("the paper says", "here", "why"), rows).markdown()
    if settings["profile"] == "full":
        columns = ("claim", "verdict", "seen by the claim (four starts)", "the same cells here")
        lines += ["", "## Beside the claims", ""]
        lines += Table("", columns, list(beside_claims(cells))).markdown()
    lines += [
        "",
        "## GDNP after 100 iterations",
        "",
        "Cells in which it is faster / level within 20 % / slower.",
        "",
    ]
    counts = [(name, *(counted(here, rival) for rival in RIVALS)) for name, here in groups(cells)]
    lines += Table("", ("cells", *RIVALS), counts).markdown()
    for table in EXPERIMENTS["figure2"].tables(summary)[:-1]:
        lines += ["", f"## {table.title}", "", *table.markdown()]
        findings = next(panel["findings"] for panel in summary["panels"] if panel["label"] == table.title)
        lines += ["", *(f"- {sentence}" for sentence in findings)]
    lines += ["", "## Notes", "", *(f"- {note}" for note in summary["notes"])]
    return "\n".join(lines) + "\n"


def write(source, docs):
    """Write ``figure2.md`` and its pictures from the folder of a finished result; the paths."""
    experiment, store = EXPERIMENTS["figure2"], Store(source)
    written = [docs / f"{name}.png" for name in FIGURES]
    with tempfile.TemporaryDirectory() as folder:
        redraw(experiment, source, folder)
        for path in written:
            copyfile(Path(folder) / path.name, path)
    results = store.results(experiment.parts(store.settings, Options()))
    target = docs / "figure2.md"
    summary = experiment.summarise(store.settings, results)
    target.write_text(page(store.settings, results, summary), encoding="utf-8")
    return [target, *written]


def main(arguments=None):
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of a finished result")
    parser.add_argument("docs", type=Path)
    given = parser.parse_args(arguments)
    print(*write(given.source, given.docs), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
