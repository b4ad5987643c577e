"""The commands, each loaded when it is called for: what they do needs seconds of imports, their names none.

What a command does begins once words are parsed, outside of click, which has words of its own for Ctrl-C.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gdnp.cli.errors import UsageError, one_of

COMMANDS = {
    "fit": "Fit a linear model to a table, say how good it is, and save it.",
    "predict": "Predict with a saved model.",
    "show": "Print a saved model.",
    "diagnose": "Audit data: what is the matter, what it costs, what to do.",
    "moments": "Sums of files of any size, merged and taken apart; least squares from them alone.",
    "data": "List the data sets that are known by name.",
    "reproduce": "Compute and draw an experiment of the paper, or all.",
    "claim": "Print a claim about the paper, with its evidence.",
    "explore": "Open a page to play with: lengths, directions and methods.",
}
"""A line for each, in the order of the help."""


SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class Commands(TyperGroup):
    """Names and lines stand here; the command itself is in the module of its name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load what is called for, to run it or to complete its options."""
        one_of("the command", args[0], COMMANDS)
        name, known, rest = super().resolve_command(ctx, args)
        if known is None or name is None:
            return name, known, rest
        alone = typer.Typer(add_completion=False, **SETTINGS)
        alone.command(name)(_deferred(getattr(import_module(f"gdnp.cli.{name}"), name)))
        return name, typer.main.get_command(alone), rest


def _deferred(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """A command that returns what is to be done; a dataclass stands for options, its fields."""

    def parsed(**given: Any) -> Callable[[], None]:
        return _filled(command, given)

    options = list(_options_of(command))
    parsed.__doc__ = command.__doc__
    parsed.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    parsed.__annotations__ = {option.name: option.annotation for option in options}
    return parsed


def _options_of(made: Any) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(made).parameters.values():
        if is_dataclass(parameter.annotation):
            yield from _options_of(parameter.annotation)
        else:
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _filled(made: Any, given: dict[str, Any]) -> Callable[[], Any]:
    known = inspect.signature(made).parameters.values()
    fields = {p.name: _filled(p.annotation, given)() for p in known if is_dataclass(p.annotation)}
    return partial(made, **fields, **{p.name: given[p.name] for p in known if p.name not in fields})


def _show_version(value: bool) -> None:
    if value:
        print(f"gdnp {version('gdnp')}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Linear models that converge on raw data, with a certificate; and the paper's experiments.

    \b
    gdnp fit churn.csv --target churned --out churn.skops
    gdnp predict churn.skops new.csv --proba --out predictions.csv
    gdnp --install-completion
    """  # noqa: D301
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(UsageError.code)


def _stub() -> None:
    """Stands for a command until that is called for."""


app = typer.Typer(cls=Commands, **SETTINGS)
app.callback(invoke_without_command=True)(_root)
for name, line in COMMANDS.items():
    app.command(name, help=line)(_stub)
