"""What tests of the command line share: how its errors look, and its processes."""

import os
import re
import subprocess
import sys


def one_sentence(capsys):
    """The error that a command ended with: one line on stderr, and nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"gdnp: .+\n", captured.err), captured.err
    return captured.err


def started(*arguments, **options):
    """The command as a process of its own, with warnings as errors."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        **options,
    )
