"""The exit codes that the command's own page promises."""

import re

import pytest

import gdnp.cli
from gdnp.cli.errors import ClaimFailed, CommandError, NotConverged, UsageError


@pytest.mark.parametrize(
    ("error", "promise"),
    [
        (CommandError, "1 failure"),
        (UsageError, "2 wrong usage"),
        (NotConverged, "4 not converged"),
        (ClaimFailed, "5 a claim failed"),
    ],
)
def test_codes_are_those_of_the_page(error, promise):
    page = " ".join(gdnp.cli.__doc__.split())
    assert promise in page
    assert error.code == int(promise[0])
    assert issubclass(error, CommandError)


def test_every_code_means_one_thing():
    codes = re.findall(r"(\d+) [a-z]", gdnp.cli.__doc__.partition("Exit codes:")[2])
    assert codes == ["0", "1", "2", "3", "4", "5", "130"]
