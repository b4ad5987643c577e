"""The commands; each returns what is to be done, so that nothing of it happens while words are parsed."""

from typing import Annotated

import typer

from gdnp import __version__
from gdnp.cli.claim import claim
from gdnp.cli.data import data
from gdnp.cli.diagnose import diagnose
from gdnp.cli.errors import UsageError
from gdnp.cli.explore import explore
from gdnp.cli.fit import fit
from gdnp.cli.predict import predict
from gdnp.cli.reproduce import reproduce

__all__ = ["app"]


def _show_version(value: bool) -> None:
    if value:
        print(f"gdnp {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Length-direction decoupling: the experiments of the paper, and tools around them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(UsageError.code)


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback(invoke_without_command=True)(_root)
for command in (reproduce, claim, fit, predict, diagnose, data, explore):
    app.command()(command)
