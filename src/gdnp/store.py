"""What an experiment found, as files: each part saved whole when it is done, the summary written last.

A folder holds ``settings.json``, ``environment.json``, ``parts/*.json`` and, once everything is there,
``summary.json``. Every file is written beside its place and then renamed, so that whatever bears a final
name is complete. A part is found again by the hash of its full configuration. So a run that was killed goes
on from its finished parts, and a part of another configuration is never taken for one of this.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._files import replacing
from gdnp.design.threads import available_cores

FIGURES = ("*.png", "*.pdf", "*.html", "*.md")
Json = Any
"""None, bool, int, float, str, or lists and dicts of them."""


class StoreError(RuntimeError):
    """A folder cannot be used for this result; the message says what to do."""


@dataclass(frozen=True)
class Part:
    """One piece of an experiment that is computed, saved and reused as a whole.

    `name` is unique within the experiment, pieces separated by ``/``. `config` is all that the result depends
    on, as JSON. ``function(config, *results of needs)`` returns a dict of arrays, numbers and strings; it
    must be importable by name, for it may run in another process, and depend on nothing else. `cost` is the
    expected work in units of your own, for the estimate of the time left.
    """

    name: str
    function: Callable[..., dict[str, Any]]
    config: Mapping[str, Json]
    needs: tuple[Part, ...] = ()
    cost: float = field(default=1.0, compare=False)

    @property
    def key(self) -> str:
        """Hash of the configuration, those of the needed parts included."""
        whole = {"name": self.name, "config": plain(self.config), "needs": [part.key for part in self.needs]}
        text = json.dumps(whole, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def filename(self) -> str:
        """Readable, and different for every configuration."""
        return f"{self.name.replace('/', '.')}-{self.key[:12]}.json"


class Store:
    """The folder of one result, made when something is saved."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.parts = self.directory / "parts"

    @property
    def finished(self) -> bool:
        """Whether the summary, which is written last, is there."""
        return (self.directory / "summary.json").is_file()

    @property
    def settings(self) -> dict[str, Json] | None:
        """The configuration that the folder was made for; None where there is none."""
        return _read_json(self.directory / "settings.json")

    @property
    def environment(self) -> dict[str, Json]:
        """What a finished result was made with; empty where that cannot be read."""
        return _read_json(self.directory / "environment.json") or {}

    @property
    def summary(self) -> dict[str, Json]:
        """The summary of a finished result; a ``StoreError`` when there is none."""
        found = _read_json(self.directory / "summary.json")
        if found is None:
            raise StoreError(
                f"{self.directory} should hold a finished result. Got no readable summary.json there."
            )
        return found

    def begin(self, settings: Mapping[str, Json], *, force: bool = False) -> bool:
        """Claim the folder for a configuration, and say whether a finished result of just that is there.

        With `force` what is there of a result is deleted, finished or not, figures included. A folder with a
        finished result of another configuration, or with files that are not ours, is a ``StoreError``.
        """
        settings, found = plain(settings), self.settings
        if found is None and self.directory.is_dir() and any(self.directory.iterdir()):
            raise StoreError(
                f"{self.directory} should be empty or hold results of gdnp. Got other files there: "
                "choose another folder with --out."
            )
        if force:
            self._clear()
        elif self.finished and found == settings:
            return True
        elif self.finished:
            known = found or {}
            names = sorted(
                key for key in {*known, *settings} if known.get(key, ...) != settings.get(key, ...)
            )
            raise StoreError(
                f"{self.directory} holds a finished result with other settings ({', '.join(names)}): "
                "choose another folder with --out, or --force to delete it."
            )
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.directory} should be a folder that can be made. Got: {error}."
            ) from error
        write_json(self.directory / "settings.json", settings, indent=1)
        return False

    def load(self, part: Part) -> dict[str, Json] | None:
        """The saved result of a part, or None where it is missing or of another configuration."""
        document = _read_json(self.parts / part.filename)
        if document is None or document.get("key") != part.key or document["config"] != plain(part.config):
            return None
        result: dict[str, Json] = document["result"]
        return result

    def results(self, parts: Iterable[Part]) -> dict[str, dict[str, Json]]:
        """The saved results by the names of their parts, without those that `load` does not find."""
        found = ((part.name, self.load(part)) for part in parts)
        return {name: result for name, result in found if result is not None}

    def save(self, part: Part, result: Mapping[str, Any]) -> dict[str, Json]:
        """Save a part whole, and return its result as `load` would."""
        document = {
            "part": part.name,
            "key": part.key,
            "config": plain(part.config),
            "needs": {needed.name: needed.key for needed in part.needs},
            "result": plain(result),
        }
        write_json(self.parts / part.filename, document)
        found: dict[str, Json] = document["result"]
        return found

    def finish(self, summary: Mapping[str, Any], seed: int) -> dict[str, Json]:
        """Write the environment and then the summary, which marks the result as finished."""
        write_json(self.directory / "environment.json", environment(seed), indent=1)
        document: dict[str, Json] = plain(summary)
        write_json(self.directory / "summary.json", document, indent=1)
        return document

    def _clear(self) -> None:
        """Delete a result, the mark of a finished one first; the settings stay, to be written over."""
        for pattern in ("summary.json", "environment.json", *FIGURES):
            for path in self.directory.glob(pattern):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)


def versions(*packages: str) -> dict[str, str | None]:
    """Of each package, None where it is not installed."""
    found: dict[str, str | None] = dict.fromkeys(packages)
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def environment(seed: int) -> dict[str, Json]:
    """What a result was made with: versions, platform, number of cores, seed and date (UTC)."""
    return {
        "packages": versions("gdnp", "numpy", "scipy", "scikit-learn", "matplotlib", "torch"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": available_cores(),
        "seed": seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def plain(value: Any) -> Json:
    """A value as JSON: arrays as lists, and NaN and infinity, which JSON lacks, as null."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, document: Any, *, indent: int | None = None) -> None:
    """Write a JSON file whole or not at all, with an indent for people; floats are read back exactly."""
    with replacing(path) as beside:
        text = json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False)
        beside.write_text(text + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Json] | None:
    """The document, or None for a file that is missing or damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) else None
