"""The command ``gdnp``: data on stdout, progress and messages on stderr, one sentence for every error.

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 data missing, 4 not converged (``fit --strict``), 5 a claim
failed (``reproduce --check``), 130 interrupted.
"""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from gdnp.cli.errors import CommandError, UsageError

__all__ = ["main"]

OK, FAILURE, DATA_MISSING, INTERRUPTED = 0, 1, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on what follows ``gdnp``, by default in this process; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        import rich  # noqa: F401
        import typer
    except ImportError:
        return _say('the command line needs typer and rich: pip install "gdnp[cli]".', FAILURE)
    # ClickException: of click, or of the copy of it that newer versions of typer bring.
    refused: Any = typer.BadParameter.__mro__[2]
    main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    if main_thread:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends workers, names what is finished
    try:
        from gdnp.cli.application import app

        chosen = app(args=given, prog_name="gdnp", standalone_mode=False)
        if not callable(chosen):  # parsing has met the request already, as for --help
            return chosen or OK
        chosen()
        sys.stdout.flush()
        return OK
    except CommandError as error:
        return _say(str(error), error.code)
    except refused as error:
        command = f" See {error.ctx.command_path} --help." if error.ctx else ""
        return _say(f"{error.format_message().rstrip('.')}.{command}", UsageError.code)
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
    finally:
        if main_thread:
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
