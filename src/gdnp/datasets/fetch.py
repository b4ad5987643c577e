"""Downloads with a checksum, several mirrors and a cache; a file already in place is read, never written."""

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gdnp._files import replacing, require
from gdnp.datasets.dataset import Dataset
from gdnp.datasets.files import load_libsvm

TIMEOUT = 30.0  # seconds without an answer before the next mirror is tried


class DataNotFoundError(FileNotFoundError):
    """A data set is neither on this machine nor to be had from a mirror."""


class ChecksumError(ValueError):
    """A data file is there, and it is not the published one."""


@dataclass(frozen=True)
class RemoteFile:
    """What a file must be, and where it can be had."""

    of: str
    """The data set that it belongs to."""
    checksum: str
    """``algorithm:digest``."""
    mirrors: Sequence[str]
    """Addresses, tried in this order."""
    archive: str = ""
    """The checksum of the tar file that it is a member of, where the mirrors have that."""


REGISTRY = json.loads(Path(__file__).with_name("registry.json").read_text(encoding="utf-8"))
FILES = {key: RemoteFile(**entry) for key, entry in REGISTRY.items()}


def files_of(name: str) -> dict[str, str]:
    """The downloaded files of the data set `name`: path in `data_dir` -> ``algorithm:digest``.

    There are none for what comes with a package.
    """
    return {key: remote.checksum for key, remote in FILES.items() if remote.of == name}


def data_dir() -> Path:
    """Folder of the data files: ``GDNP_DATA`` where that is set, else the user's cache folder."""
    folder = os.environ.get("GDNP_DATA")
    return Path(folder).expanduser() if folder else Path(require("pooch", "Caching data").os_cache("gdnp"))


def fetch_file(key: str) -> Path:
    """Path of a file of ``FILES``, downloaded on first use and checked on every use.

    Parameters
    ----------
    key : str
        ``folder/file`` below `data_dir`, for example ``"a9a/a9a.t"``.

    Raises
    ------
    DataNotFoundError
        When the file is absent and no mirror serves it.
    ChecksumError
        When a file is there with other contents; it is left as it is.
    ImportError
        When the file is absent, or ``GDNP_DATA`` not set, and pooch is not installed.
    """
    remote, path = FILES[key], data_dir() / key
    if not path.exists():
        require("pooch", f"Downloading {path.name}")
        failures: list[Exception] = []
        for url in remote.mirrors:
            try:
                _download(url, remote, path)
                break
            # No network, no such page, no room; another checksum; an archive without the member.
            except (OSError, ValueError, tarfile.TarError, KeyError) as error:
                failures.append(error)
        else:
            what = "its archive" if remote.archive else "it"
            raise DataNotFoundError(
                f"{path.name} ({remote.checksum.replace(':', ' ')}) is not at {path} and no mirror served "
                f"{what} ({', '.join(type(error).__name__ for error in failures)}): put it there, or set "
                f"GDNP_DATA to the folder that holds {key}."
            ) from failures[-1]
    algorithm, _, digest = remote.checksum.partition(":")
    with path.open("rb") as file:
        # md5 is what archives publish: it guards against damage, the reader of the file against malice.
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != digest:
        raise ChecksumError(
            f"{path} should have {algorithm} {digest}. Got {found}: move it away to have it fetched again."
        )
    return path


def _download(url: str, remote: RemoteFile, path: Path) -> None:
    """Download a file; pooch writes beside `path` and renames only what has the right checksum.

    Of an archive every member that is absent is copied, by its name alone: nothing else reaches the disk.
    """
    pooch = require("pooch", "Downloading")
    get = partial(pooch.retrieve, url, downloader=pooch.HTTPDownloader(timeout=TIMEOUT, stream=False))
    if not remote.archive:
        get(known_hash=remote.checksum, fname=path.name, path=path.parent)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as scratch,  # goes in any case
        tarfile.open(get(known_hash=remote.archive, fname="archive.tar", path=scratch)) as tar,
    ):
        for key, other in FILES.items():
            if other.archive == remote.archive and not (data_dir() / key).exists():
                member: Any = tar.extractfile(key)
                with replacing(data_dir() / key) as beside:
                    beside.write_bytes(member.read())


def known_split(split: str) -> str:
    """The split, where it is one of the two that data sets come in."""
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test'. Got {split!r}.")
    return split


def fetch_a9a(split: Literal["train", "test"] = "train") -> Dataset:
    """a9a: census records, with +1 for an income above 50000 dollars a year.

    Parameters
    ----------
    split : {"train", "test"}
        32561 or 16281 rows.

    Returns
    -------
    Dataset
        X in CSR of 123 binary columns (the test file alone reaches only 122), y in {-1, +1}.

    Raises
    ------
    ValueError
        For another `split`.
    DataNotFoundError, ChecksumError, ImportError
        As `fetch_file`.

    References
    ----------
    Adult, UCI Machine Learning Repository, in the encoding of the LIBSVM data page.
    """
    key = "a9a/a9a" if known_split(split) == "train" else "a9a/a9a.t"
    return load_libsvm(fetch_file(key), n_features=123)


def fetch_mushrooms() -> Dataset:
    """mushrooms: 8124 descriptions of mushrooms, of which the two classes are edible and poisonous.

    Returns
    -------
    Dataset
        X in CSR of 112 binary columns, y in {-1, +1} for the labels 1 and 2 of the file.

    Raises
    ------
    DataNotFoundError, ChecksumError, ImportError
        As `fetch_file`.

    References
    ----------
    Mushroom, UCI Machine Learning Repository, in the encoding of the LIBSVM data page.
    """
    raw = load_libsvm(fetch_file("mushrooms/mushrooms"), n_features=112)
    return replace(raw, y=raw.signs())
