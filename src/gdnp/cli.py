"""The command ``gdnp``: data on stdout, progress and messages on stderr, one sentence for every error.

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 data missing, 4 not converged (``fit --strict``), 5 a claim
failed (``reproduce --check``), 130 interrupted.
"""

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from rich.console import Console

    from gdnp.paper import Options, Outcome, Table

__all__ = ["main"]

OK, FAILURE, USAGE, DATA_MISSING, NOT_CONVERGED, CLAIM_FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
RESULTS = Path("gdnp-results")
REPORT = "report.html"
LINE_EVERY = 5.0
"""Seconds between lines of progress where stderr is not a terminal."""


class UsageError(Exception):
    """Options that do not go together."""


class NotConverged(Exception):
    """A fit missed its tolerance where that was asked for."""


class ClaimFailed(Exception):
    """A verdict is not the recorded one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``gdnp``; by default that of the process.

    Returns
    -------
    int
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        import rich  # noqa: F401
        import typer
    except ImportError:
        print('gdnp: the command line needs typer and rich: pip install "gdnp[cli]".', file=sys.stderr)
        return FAILURE
    # ClickException: of click, or of the copy of it that newer versions of typer bring.
    refused: Any = typer.BadParameter.__mro__[2]
    try:
        with _interrupt_on_sigterm():
            chosen = _application(typer, given)(args=given, prog_name="gdnp", standalone_mode=False)
            return _run(chosen)
    except UsageError as error:
        return _say(str(error), USAGE)
    except refused as error:
        return _say(error.format_message(), USAGE)
    except NotConverged as error:
        return _say(str(error), NOT_CONVERGED)
    except ClaimFailed as error:
        return _say(str(error), CLAIM_FAILED)
    except KeyboardInterrupt as error:
        return _say(_stopped(error, given), INTERRUPTED)
    except FileNotFoundError as error:
        return _say(_sentence(error), DATA_MISSING)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its exit
        return FAILURE
    except Exception as error:
        if os.environ.get("GDNP_DEBUG"):
            raise
        return _say(_sentence(error), FAILURE)


Action = Callable[[], None]


def _run(chosen: Action | int | None) -> int:
    """Do what was asked for; an exit code stands for a request that parsing has already met (--help)."""
    if callable(chosen):
        chosen()
        sys.stdout.flush()
        return OK
    return chosen or OK


def _application(typer: Any, given: list[str]) -> Any:
    """The commands, each returning what is to be done; made for every call because typer is imported late."""
    from gdnp.cli_models import add_commands

    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(value: bool) -> None:
        if value:
            from gdnp import __version__

            print(f"gdnp {__version__}")
            raise typer.Exit

    def root(
        context: typer.Context,
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        if context.invoked_subcommand is None:
            print(context.get_help(), file=sys.stderr)
            raise typer.Exit(USAGE)

    def reproduce(
        name: Annotated[str, typer.Argument(metavar="[NAME]", help=_names())] = "",
        data: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME|FILE", help="Data instead of the default ones; repeatable."),
        ] = None,
        columns: Annotated[
            tuple[str, str] | None,
            typer.Option(metavar="A B", help="For figure1: two columns of the data, by name or number."),
        ] = None,
        full: Annotated[bool, typer.Option("--full", help="The paper's size, not a quick run.")] = False,
        out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go.")] = RESULTS,
        source: Annotated[
            Path | None,
            typer.Option("--from", metavar="DIR", help="Draw a finished result again; compute nothing."),
        ] = None,
        seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
        device: Annotated[
            str, typer.Option(metavar="DEVICE", help="For figure3: cpu, cuda or another one of PyTorch.")
        ] = "cpu",
        jobs: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
        force: Annotated[bool, typer.Option("--force", help="Delete a finished result there.")] = False,
        check: Annotated[
            bool, typer.Option("--check", help="Exit with 5 if a verdict differs from the recorded one.")
        ] = False,
    ) -> Action:
        if source is None:
            if (data or columns) and not name:
                raise UsageError("--data and --columns need the NAME of an experiment.")
            if device != "cpu" and name not in ("", "figure3"):
                raise UsageError(f"--device is for figure3, which trains networks. Got it for {name}.")
            options = _options(tuple(data or ()), full, seed, columns or (), device)
            if check and name not in ("", "theorems"):
                raise UsageError(f"--check is for theorems, whose verdicts are recorded. Got it for {name}.")
            return partial(_reproduce, name, options, out, jobs, as_json, force, check)
        if full or force or data or columns or seed or jobs or check or device != "cpu":
            raise UsageError("--from draws what is there: it goes with --out and --json only.")
        elsewhere = any(word == "--out" or word.startswith("--out=") for word in given)
        return partial(_redraw, name, source, out if elsewhere else None, as_json)

    def diagnose(
        source: Annotated[str, typer.Argument(metavar="DATA", help="A file or a name of gdnp data.")],
        target: Annotated[
            str | None,
            typer.Option(metavar="COLUMN", help="Of a CSV or Parquet file: the labels; by default the last."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
        out: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Write the JSON document there as well.")
        ] = None,
    ) -> Action:
        return partial(_diagnose, source, target, as_json, out)

    def data(
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> Action:
        return partial(_data, as_json)

    app.callback(
        invoke_without_command=True,
        help="Length-direction decoupling: the experiments of the paper, and tools around them.",
    )(root)
    app.command(help="Compute, draw and summarise an experiment of the paper, or all of them.")(reproduce)
    add_commands(app, typer)
    app.command(help="Audit data of two classes: what is the matter, what it costs, what to do.")(diagnose)
    app.command(help="List the data sets that are known by name, and whether they are here.")(data)
    return app


# --- gdnp reproduce


def _names() -> str:
    from gdnp.paper import EXPERIMENTS

    return "One of " + ", ".join(EXPERIMENTS) + "."


def _experiment(name: str) -> Any:
    from gdnp.paper import EXPERIMENTS

    if name not in EXPERIMENTS:
        raise UsageError(f"NAME must be one of {', '.join(EXPERIMENTS)}. Got {name!r}.")
    return EXPERIMENTS[name]


def _options(*chosen: Any) -> "Options":
    from gdnp.paper import Options

    return Options(*chosen)


def _reproduce(
    name: str,
    options: "Options",
    out: Path,
    jobs: int | None,
    as_json: bool,
    force: bool,
    check: bool,
) -> None:
    from gdnp.paper import EXPERIMENTS, OptionError, Unavailable, reproduce

    chosen = [_experiment(name)] if name else list(EXPERIMENTS.values())
    reporter = _Terminal(_console(stderr=True))
    outcomes = {}
    for experiment in chosen:
        try:
            outcomes[experiment.name] = reproduce(
                experiment, options, out, force=force, workers=jobs, reporter=reporter
            )
        except OptionError as error:
            raise UsageError(str(error)) from error
        except Unavailable as error:
            if name:
                raise
            reporter.message(f"{experiment.name} was skipped: {error}")
    _print_outcomes(outcomes, as_json, _report(out, reporter))
    different = [name for o in outcomes.values() for name in o.summary.get("disagreements", ())]
    if check and different:
        raise ClaimFailed(f"every verdict should be the recorded one. Got others for {', '.join(different)}.")


def _report(out: Path, reporter: "_Terminal") -> Path | None:
    """One page of all finished results there; nothing where plotly, which draws it, is missing."""
    from gdnp.paper.report import write_report

    try:
        return write_report(None, out)
    except ImportError as error:
        reporter.message(str(error))
        return None


def _redraw(name: str, source: Path, directory: Path | None, as_json: bool) -> None:
    from gdnp.paper import Store, redraw

    name = name or str((Store(source).settings or {}).get("experiment", ""))
    if not (name and source.is_dir()):
        raise FileNotFoundError(f"--from should name the folder of a finished result. Got {source}.")
    outcome = redraw(_experiment(name), source, directory)
    page = None
    if directory is None and (source.parent / REPORT).is_file():
        page = _report(source.parent, _Terminal(_console(stderr=True)))
    _print_outcomes({name: outcome}, as_json, page)


def _print_outcomes(outcomes: "dict[str, Outcome]", as_json: bool, report: Path | None = None) -> None:
    if as_json:
        document = {
            name: {
                "directory": str(outcome.directory),
                "figures": [str(path) for path in outcome.figures],
                "reused": outcome.reused,
                "summary": outcome.summary,
            }
            for name, outcome in outcomes.items()
        }
        page = {} if report is None else {"report": str(report)}
        print(json.dumps({"experiments": document, **page}, indent=1, allow_nan=False))
        return
    console = _console()
    for name, outcome in outcomes.items():
        for table in _experiment(name).tables(outcome.summary):
            _print_table(console, table)
        for panel in outcome.summary.get("panels", ()):
            _print_findings(console, panel["label"], panel["findings"])
        for path in outcome.figures:
            console.out(str(path), highlight=False)
        console.out(str(outcome.directory / "summary.json"), highlight=False)
    if report is not None:
        console.out(str(report), highlight=False)


def _print_table(console: "Console", table: "Table") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    shown = RichTable(
        title=table.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    for k, column in enumerate(table.columns):
        shown.add_column(column, justify="left" if k == 0 else "right", no_wrap=k == 0)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
    if table.note:
        console.print(table.note, markup=False)


def _print_findings(console: "Console", label: str, findings: list[str]) -> None:
    console.print(f"[bold]{label}[/bold]")
    for sentence in findings:
        console.print(f"  {sentence}", markup=False, highlight=False)
    console.print()


# --- gdnp diagnose


def _diagnose(source: str, target: str | None, as_json: bool, out: Path | None) -> None:
    from gdnp._files import replacing
    from gdnp.datasets import load
    from gdnp.diagnose import diagnose

    if out is not None and out.exists():
        raise FileExistsError(f"--out should name a new file. Got {out}, which is there: delete it first.")
    with _console(stderr=True).status(f"Reading and auditing {source}"):  # on a terminal only
        found = diagnose(load(source, target=target))
    document = json.dumps(found.to_dict(), indent=1, allow_nan=False)
    if out is not None:
        with replacing(out) as beside:
            beside.write_text(document + "\n", encoding="utf-8")
    if as_json:
        print(document)
        return
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    console = _console()
    console.print(Text(f"Diagnosis of {found.name}", "bold"))
    sections = found.sections()
    width = max(len(name) for _, rows in sections for name, _ in rows)
    for title, rows in sections:
        grid = RichTable.grid(padding=(0, 2))
        grid.add_column(width=width)
        for name, value in rows:
            grid.add_row(Text(name), Text(value))
        console.print(Text(f"\n{title}", "bold"), Padding(grid, (0, 0, 0, 2), expand=False), sep="\n")
    console.print(Text("\nWhat this means", "bold"))
    points = RichTable.grid(padding=(0, 1))
    for sentence in found.findings:
        points.add_row("-", Text(sentence))
    console.print(Padding(points, (0, 0, 0, 2), expand=False))
    console.print(Text(f"\nSuggested solver: {found.solver}", "bold"))
    console.print(Padding(Text(found.advice), (0, 0, 0, 2), expand=False))


# --- gdnp data


def _data(as_json: bool) -> None:
    from gdnp.datasets import DATASETS, data_dir, files_of

    folder = data_dir()
    rows = [_data_row(name, folder, files_of(name)) for name in DATASETS]
    if as_json:
        print(json.dumps({"folder": str(folder), "datasets": rows}, indent=1))
        return
    from gdnp.paper import Table

    cells: list[tuple[str, ...]] = [
        (row["name"], _presence(row["files"]), str(row["path"] or "none needed")) for row in rows
    ]
    console = _console()
    _print_table(console, Table("Data sets", ("name", "present", "file"), cells))
    console.print("Files are looked for in GDNP_DATA where that is set, and downloaded on first use.")


def _data_row(name: str, folder: Path, checksums: dict[str, str]) -> dict[str, Any]:
    """What is known of a data set; `path` is its file, or the folder of its files."""
    files = [
        {"path": str(folder / key), "checksum": checksum, "present": (folder / key).is_file()}
        for key, checksum in checksums.items()
    ]
    paths = [folder / key for key in checksums]
    return {
        "name": name,
        "source": "downloaded on first use" if files else "comes with gdnp or scikit-learn",
        "path": str(paths[0] if len(paths) == 1 else paths[0].parent) if paths else None,
        "present": all(file["present"] for file in files),
        "sha256": next((c[7:] for c in checksums.values() if len(files) == 1 and c[:7] == "sha256:"), None),
        "files": files,
    }


def _presence(files: list[dict[str, Any]]) -> str:
    """Whether everything is here; of several files, how many."""
    count = sum(file["present"] for file in files)
    if 0 < count < len(files):
        return f"{count} of {len(files)} files"
    return "yes" if count == len(files) else "no"


# --- the terminal


def _console(*, stderr: bool = False) -> "Console":
    """A console without any colour or weight where NO_COLOR is set, and wide where nobody is looking."""
    from rich.console import Console

    plain: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(stderr=stderr, highlight=False, width=width, **plain)


class _Terminal:
    """Progress on stderr: a live bar with the time left on a terminal, a line now and then elsewhere."""

    def __init__(self, console: "Console") -> None:
        self._console = console

    def message(self, text: str) -> None:
        """One sentence."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, total: float, done: float) -> Iterator[Callable[[str, float], None]]:
        """See ``gdnp.paper.experiment.Reporter``."""
        show = self._bar if self._console.is_terminal else self._lines
        with show(title, total, done) as advance:
            yield advance

    @contextmanager
    def _bar(self, title: str, total: float, done: float) -> Iterator[Callable[[str, float], None]]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            bar.update(task, completed=done)
            yield lambda name, cost: bar.update(task, advance=cost)

    @contextmanager
    def _lines(self, title: str, total: float, done: float) -> Iterator[Callable[[str, float], None]]:
        begin = said = time.monotonic()
        finished = done

        def advance(name: str, cost: float) -> None:
            nonlocal said, finished
            finished += cost
            now = time.monotonic()
            if now - said < LINE_EVERY or finished >= total:
                return
            said = now
            left = (now - begin) * (total - finished) / (finished - done)
            self.message(f"{title}: {100.0 * finished / total:.0f} %, about {left:.0f} s left")

        yield advance


@contextmanager
def _interrupt_on_sigterm() -> Iterator[None]:
    """Stop on SIGTERM as on Ctrl-C, so that the workers end and the finished parts are named."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(error: BaseException, given: list[str]) -> str:
    """What is saved, and how to go on; --force would delete it."""
    from gdnp.paper import Stopped

    if not isinstance(error, Stopped):
        return "Stopped."
    command = shlex.join(["gdnp", *(word for word in given if word != "--force")])
    return (
        f"Stopped: {error.done} of {error.total} parts are saved in {error.directory}; go on with: {command}"
    )


def _sentence(error: BaseException) -> str:
    """One line of an exception's text."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}."
    text = " ".join(str(error).split())
    return text or f"{type(error).__name__} without a message."


def _say(text: str, code: int) -> int:
    print(f"gdnp: {text}", file=sys.stderr)
    return code
