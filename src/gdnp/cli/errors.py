"""What a command ends with besides success, each with its exit code."""

from collections.abc import Iterable
from difflib import get_close_matches


class CommandError(Exception):
    """One sentence for stderr."""

    code = 1


class UsageError(CommandError):
    """Options that do not go together."""

    code = 2


class NotConverged(CommandError):
    """A fit missed its tolerance where that was asked for."""

    code = 4


class ClaimFailed(CommandError):
    """A verdict is not the recorded one."""

    code = 5


def one_of(what: str, given: str | None, known: Iterable[str]) -> None:
    """Refuse a word that is not known, with the nearest that is; None is no word."""
    if given is not None and given not in known:
        near = get_close_matches(given, known, 1)
        advice = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(known)}."
        raise UsageError(f"{what} is not known: {advice} Got {given!r}.")
