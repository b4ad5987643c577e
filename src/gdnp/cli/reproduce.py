"""``gdnp reproduce``."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gdnp import paper
from gdnp.cli.errors import ClaimFailed, UsageError, one_of
from gdnp.cli.options import Json, Names, TableOptions, Target, flag, option
from gdnp.cli.tables import asked_of, say
from gdnp.cli.terminal import Terminal, console_of, print_json, print_table
from gdnp.datasets import DATASETS
from gdnp.datasets.files import holds_table
from gdnp.paper import OptionError, Options, Outcome, Store, Unavailable, redraw
from gdnp.paper.runner.problems import TableFile
from gdnp.tables import Reading, read_table, taken

RESULTS = Path("gdnp-results")
REPORT = "report.html"
KNOWN = [*paper.EXPERIMENTS, *paper.ALIASES]


def reproduce(
    name: Annotated[
        str,
        typer.Argument(metavar="[NAME]", help=f"One of {', '.join(KNOWN)}.", autocompletion=lambda: KNOWN),
    ] = "",
    *,
    data: Annotated[Names, option("NAME|FILE", "Data instead of the default ones; repeatable.")] = None,
    target: Target = None,
    table: TableOptions,
    columns: Annotated[
        tuple[str, str] | None, option("A B", "For figure1: two columns, by name or number.")
    ] = None,
    full: Annotated[bool, flag("--full", "The paper's size, not a quick run.")] = False,
    out: Annotated[Path | None, option("DIR", "Where results go.", show_default=str(RESULTS))] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Draw a finished result again; compute nothing."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    device: Annotated[str, option("DEVICE", "For figure3: cpu, cuda or another of PyTorch.")] = "cpu",
    loss: Annotated[Names, option("NAME|MODULE:OBJECT", "Losses of figure2; repeatable.")] = None,
    method: Annotated[Names, option("MODULE:OBJECT", "One more method of figure2; repeatable.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    as_json: Json = False,
    force: Annotated[bool, flag("--force", "Delete a finished result there.")] = False,
    check: Annotated[bool, flag("--check", "Exit with 5 if a verdict is not the recorded one.")] = False,
) -> None:
    """Compute, draw and summarise an experiment of the paper, or all of them."""
    asked = asked_of(target, table)
    if source is not None:
        if any((full, force, data, asked, columns, loss, method, seed, jobs, check, device != "cpu")):
            raise UsageError("--from draws what is there: it goes with --out and --json only.")
        _redraw(name, source, out, as_json)
        return
    if (data or columns) and not name:
        raise UsageError("--data and --columns need the NAME of an experiment.")
    if device != "cpu" and name not in ("", "figure3"):
        raise UsageError(f"--device is for figure3, which trains networks. Got it for {name}.")
    if (loss or method) and paper.ALIASES.get(name, name) != "figure2":
        raise UsageError(f"--loss and --method are for figure2. Got them for {name or 'all experiments'}.")
    if "" not in sys.path:
        sys.path.insert(0, "")  # what is one's own lies in the working folder
    if asked and not data:
        raise UsageError("--target and options of tables need --data FILE.")
    if check and name not in ("", "theorems"):
        raise UsageError(f"--check is for theorems, whose verdicts are recorded. Got it for {name}.")
    chosen = [_experiment(name)] if name else list(paper.EXPERIMENTS.values())
    given = tuple(_as_asked(file, asked) for file in data or ())
    options = Options(given, full, seed, columns or (), device, tuple(loss or ()), tuple(method or ()))
    reporter = Terminal(console_of(stderr=True))
    if not name and not full:
        reporter.message("All experiments take one to five minutes on two cores.")
    out = out or RESULTS
    outcomes, left_out = _computed(chosen, options, out, force=force, workers=jobs, reporter=reporter)
    page = _report(out, reporter)
    _print_outcomes(outcomes, as_json, page)
    for message in left_out:
        reporter.message(message)
    if page is not None:
        reporter.message(f"Open the page in a browser: {page.resolve().as_uri()}")
    different = [name for o in outcomes.values() for name in o.summary.get("disagreements", ())]
    if check and different:
        raise ClaimFailed(f"every verdict should be the recorded one. Got others for {', '.join(different)}.")


def _computed(
    chosen: list[Any], options: Options, out: Path, **how: Any
) -> tuple[dict[str, Outcome], list[str]]:
    """What came of each, by its name; of several experiments, which were left out and why."""
    outcomes, left_out = {}, []
    for experiment in chosen:
        try:
            outcomes[experiment.name] = paper.reproduce(experiment, options, out, **how)
        except OptionError as error:
            raise UsageError(str(error)) from error
        except Unavailable as error:
            if len(chosen) == 1:
                raise
            left_out.append(f"{experiment.name} was left out: {error}")
    return outcomes, left_out


def _as_asked(file: str, asked: str) -> str:
    """The file with what was said of it, where it is a table, of which all that is found out is said."""
    if file in DATASETS or not Path(file).is_file() or not holds_table(file):
        if asked:
            raise UsageError(f"--target and options of tables are for tables. Got them for {file}.")
        return file
    given = json.loads(asked or "{}")
    table = read_table(file, Reading(**given.get("reading", {})))
    for note in (*table.notes, *taken(table, given.get("target")).notes):
        say(f"{note}.")
    found = TableFile(file)
    found.asked = asked
    return found


def _experiment(name: str) -> Any:
    one_of("NAME", name, KNOWN)
    return paper.EXPERIMENTS[paper.ALIASES.get(name, name)]


def _report(out: Path, reporter: Terminal) -> Path | None:
    """One page of all finished results there; nothing where plotly, which draws it, is missing."""
    from gdnp.paper.report.page import write_report

    try:
        return write_report(None, out, paper.EXPERIMENTS)
    except ImportError as error:
        reporter.message(str(error))
        return None


def _redraw(name: str, source: Path, directory: Path | None, as_json: bool) -> None:
    name = name or str((Store(source).settings or {}).get("experiment", ""))
    if not (name and source.is_dir()):
        raise FileNotFoundError(f"--from should name the folder of a finished result. Got {source}.")
    outcome = redraw(_experiment(name), source, directory)
    there = directory is None and (source.parent / REPORT).is_file()
    page = _report(source.parent, Terminal(console_of(stderr=True))) if there else None
    _print_outcomes({name: outcome}, as_json, page)


def _print_outcomes(outcomes: dict[str, Outcome], as_json: bool, report: Path | None) -> None:
    if as_json:
        page = {} if report is None else {"report": report}
        print_json({"experiments": {name: vars(one) for name, one in outcomes.items()}, **page})
        return
    console = console_of()
    for name, outcome in outcomes.items():
        for table in _experiment(name).tables(outcome.summary):
            print_table(console, table.title, table.columns, table.rows, table.note)
        for panel in outcome.summary.get("panels", ()):
            console.print(f"[bold]{panel['label']}[/bold]")
            for sentence in panel["findings"]:
                console.print(f"  {sentence}", markup=False, highlight=False)
            console.print()
        for path in outcome.figures:
            console.out(str(path), highlight=False)
        console.out(str(outcome.directory / "summary.json"), highlight=False)
    if report is not None:
        console.out(str(report), highlight=False)
