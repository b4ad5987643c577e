"""The guide to training loops is run as it stands, each block after the first one and those before it."""

import re
import socket
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

GUIDE = (Path(__file__).parents[1] / "docs" / "training-loops.md").read_text(encoding="utf-8")


def blocks():
    """(heading, code) of every block."""
    parts = re.split(r"^#+ (.+)$", GUIDE, flags=re.MULTILINE)[1:]
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        for code in re.findall(r"^```python\n(.+?)^```$", text, re.MULTILINE | re.DOTALL):
            yield heading, code


BLOCKS = list(blocks())


@pytest.fixture(scope="module")
def guide():
    """What the blocks so far have defined, and how many have run in this process."""
    return {"__name__": "guide"}, []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("k", range(len(BLOCKS)), ids=[heading for heading, _ in BLOCKS])
def test_block(k, guide, monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    names, ran = guide
    # Another process of the test run may have had the blocks before this one.
    for heading, code in BLOCKS[len(ran) : k + 1]:
        exec(compile(code, f"docs/training-loops.md, {heading}", "exec"), names)
        ran.append(heading)


def test_every_section_has_a_block():
    headings = re.findall(r"^#+ (.+)$", GUIDE, flags=re.MULTILINE)
    assert [heading for heading in headings if heading not in {heading for heading, _ in BLOCKS}] == []


def test_the_rule_for_matrices_is_two_lines():
    (code,) = [code for heading, code in BLOCKS if "Muon" in heading]
    assert len([line for line in code.splitlines() if line.startswith(("matrices", "vectors"))]) == 2
