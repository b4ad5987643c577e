"""CIFAR-10's archive: one download for all its batches, and a checksum for each."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gdnp._files import replacing
from gdnp.datasets.fetch import TIMEOUT, ChecksumError, DataNotFoundError, data_dir
from gdnp.datasets.files import require

__all__ = ["CIFAR10", "Archive", "fetch_member"]


@dataclass(frozen=True)
class Archive:
    """A tar file, where it can be had, and the checksum of it and of each member, as ``algorithm:digest``.

    The names of the members begin with the archive's folder.
    """

    name: str
    checksum: str
    mirrors: tuple[str, ...]
    members: dict[str, str]


CIFAR10 = Archive(
    name="CIFAR-10",
    checksum="md5:c58f30108f718f92721af3b95e74349a",
    mirrors=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    members={
        "cifar-10-batches-py/data_batch_1": (
            "sha256:54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd"
        ),
        "cifar-10-batches-py/data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "md5:40351d587109b95175f43aff81a1287e",
    },
)
"""The python version: five training batches and a test batch of 10000 images each."""


def fetch_member(archive: Archive, key: str) -> Path:
    """Path of a member below `data_dir`; the archive is downloaded if it is absent. Checked on every use.

    Parameters
    ----------
    archive : Archive
    key : str
        One of its members.

    Raises
    ------
    DataNotFoundError
        When the member is absent and no mirror serves the archive.
    ChecksumError
        When a file is there with other contents; it is left as it is.
    ImportError
        When the member is absent, or ``GDNP_DATA`` not set, and pooch is not installed.
    """
    path, expected = data_dir() / key, archive.members[key]
    if not path.exists():
        _download(archive, path, key)
    algorithm, _, digest = expected.partition(":")
    with path.open("rb") as file:
        # md5 is what the archive publishes: it guards against damage, the reader of the file against malice.
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != digest:
        raise ChecksumError(
            f"{path} should have {algorithm} {digest}. Got {found}: move it away to have it fetched again."
        )
    return path


def _download(archive: Archive, path: Path, key: str) -> None:
    """Try the mirrors in turn, in a scratch folder that goes with whatever went wrong."""
    require("pooch", f"Downloading {path.name} of {archive.name}")
    failures: list[Exception] = []
    for url in archive.mirrors:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as scratch:
                _unpack(archive, _retrieve(url, archive.checksum, scratch), path.parent.parent)
        # No network, no such page, no room; another checksum; an archive without the member.
        except (OSError, ValueError, tarfile.TarError, KeyError) as error:
            failures.append(error)
        else:
            return
    reasons = ", ".join(type(error).__name__ for error in failures)
    raise DataNotFoundError(
        f"{path.name} of {archive.name} ({archive.members[key].replace(':', ' ')}) is not at {path} and no "
        f"mirror served its archive ({reasons}): put it there, or set GDNP_DATA to the folder that holds "
        f"{key}."
    ) from failures[-1]


def _retrieve(url: str, checksum: str, folder: str) -> Path:
    pooch = require("pooch", "Downloading")
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT, stream=False)  # closes every connection
    return Path(
        pooch.retrieve(url, known_hash=checksum, fname="archive.tar", path=folder, downloader=downloader)
    )


def _unpack(archive: Archive, file: Path, folder: Path) -> None:
    """Copy the members that are absent, by their names alone: nothing else reaches the disk."""
    with tarfile.open(file) as tar:
        for key in archive.members:
            target = folder / key
            if target.exists():
                continue
            member = tar.extractfile(key)
            if member is None:
                raise KeyError(key)
            with member, replacing(target) as beside, beside.open("wb") as copy:
                shutil.copyfileobj(member, copy)
