"""What a command ends with besides success, each with its exit code."""

__all__ = ["ClaimFailed", "CommandError", "NotConverged", "UsageError"]


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
