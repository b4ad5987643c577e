"""``gdnp reproduce theorems``: every claim of the registry measured afresh, one part a claim."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gdnp
from gdnp.datasets import data_dir
from gdnp.paper.claims import CLAIMS, run_claims
from gdnp.paper.runner.experiment import Experiment, OptionError, Options, Results, Settings, Table
from gdnp.store import Part


class Theorems(Experiment):
    """The verdicts on the statements of the paper, compared with the recorded ones."""

    name = "theorems"
    title = "Theorems and lemmas"

    def settings(self, options: Options) -> tuple[str, Settings]:
        """One folder; a verdict is never reused after the code, or what it can find, has changed."""
        if options.data:
            raise OptionError(f"theorems takes no --data. Got {', '.join(options.data)}.")
        settings = {
            "experiment": self.name,
            "gdnp": version("gdnp"),
            "code": _code(),
            "claims": {name: claim.recorded.value for name, claim in CLAIMS.items()},
            "a9a": (data_dir() / "a9a" / "a9a").is_file(),
            "torch": find_spec("torch") is not None,
        }
        return self.name, settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """One for every claim."""
        shared = {key: settings[key] for key in ("gdnp", "code", "a9a", "torch")}
        return [Part(name, _measure, {"claim": name, **shared}) for name in settings["claims"]]

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """The verdicts, how many of each, and those that differ from the recorded ones."""
        claims = [results[name] for name in settings["claims"]]
        return {
            "claims": claims,
            "counts": dict(Counter(claim["verdict"] for claim in claims)),
            "disagreements": [claim["id"] for claim in claims if claim["agrees"] is False],
        }

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """One row a claim."""
        rows: list[tuple[str, ...]] = [
            (
                claim["id"],
                claim["source"],
                "-" if claim["measured"] is None else f"{claim['measured']:.2g}",
                "-" if claim["bound"] is None else f"{claim['bound']:.2g}",
                claim["verdict"].lower(),
            )
            for claim in summary["claims"]
        ]
        counts = ", ".join(f"{number} {word.lower()}" for word, number in summary["counts"].items())
        different = ", ".join(summary["disagreements"]) or "none"
        note = f"{counts}. Different from the recorded verdict: {different}."
        return [Table(self.title, ("claim", "source", "measured", "bound", "verdict"), rows, note)]


def _measure(config: Mapping[str, Any]) -> dict[str, Any]:
    return run_claims([config["claim"]])[0].plain


def _code() -> str:
    """Hash of the package's source, and of what it reads: bounds of claims are data."""
    root = Path(gdnp.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.json")]):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
