"""Options as the commands declare them: words that are known, and what was typed of a table."""

from typing import Annotated

import pytest
import typer

from gdnp.cli.errors import UsageError
from gdnp.cli.options import ReadingOptions, TableOptions, flag, option
from gdnp.tables import Reading


def test_words_that_are_known_are_completed_and_others_refused():
    found = option("NAME", "A loss.", known=["huber", "sigmoid"])
    assert found.autocompletion() == ["huber", "sigmoid"]
    parameter = type("Parameter", (), {"opts": ["--loss"]})
    assert [found.callback(parameter, word) for word in (None, "huber")] == [None, "huber"]
    with pytest.raises(UsageError, match=r"--loss is not known: did you mean huber\? Got 'hubber'"):
        found.callback(parameter, "hubber")
    assert option("NAME", "Any.").callback is None


def test_a_flag_has_no_opposite(capsys):
    app = typer.Typer(add_completion=False)

    @app.command()
    def fit(strict: Annotated[bool, flag("--strict", "Fail.")] = False) -> None:
        print(strict)

    app(["--strict"], standalone_mode=False)
    assert capsys.readouterr().out == "True\n"
    with pytest.raises(typer.BadParameter.__mro__[2], match="--no-strict"):
        app(["--no-strict"], standalone_mode=False)


def test_what_was_typed_of_a_table():
    assert TableOptions().given == TableOptions().columns == {}
    assert TableOptions().reading == Reading()
    said = TableOptions(sep=";", decimal=",", header=False, missing=["-"], id=["a"], date_format="%d")
    assert said.reading == Reading(";", None, ",", False, ("-",))
    assert said.columns == {"ids": ["a"], "date_format": "%d"}
    assert list(said.given) == ["sep", "decimal", "header", "missing", "id", "date-format"]
    with pytest.raises(UsageError, match=r"--decimal must be \. or a comma\. Got ';'"):
        _ = ReadingOptions(decimal=";").reading
