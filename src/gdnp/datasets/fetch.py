"""Downloads with a checksum, several mirrors and a cache; a file already in place is read, never written."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gdnp._files import require
from gdnp.datasets.dataset import Dataset
from gdnp.datasets.files import load_libsvm

LIBSVM_SITE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary"
GITHUB = "https://raw.githubusercontent.com"
OPT_METHODS = f"{GITHUB}/konstmish/opt_methods/8a3ae3ab666d916abaa5a61132fb60bb2a059088/optmethods/datasets"
LAB_2 = f"{GITHUB}/dishonored36/lab_2/f83434dc05777a474294b86a29abf4712272acc1"
MNIST_SITES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)
TIMEOUT = 30.0  # seconds without an answer before the next mirror is tried


class DataNotFoundError(FileNotFoundError):
    """A data set is neither on this machine nor to be had from a mirror."""


class ChecksumError(ValueError):
    """A data file is there, and it is not the published one."""


@dataclass(frozen=True)
class RemoteFile:
    """What a file must be (its sha256) and where it can be had (tried in this order)."""

    sha256: str
    mirrors: tuple[str, ...]


FILES = {
    "a9a/a9a": RemoteFile(
        "f5d5ffd8d865ff41328e7ee043e4b020816914ff6843ff15b98905ddbedce906",
        (f"{LIBSVM_SITE}/a9a", f"{OPT_METHODS}/a9a"),
    ),
    "a9a/a9a.t": RemoteFile(
        "1f448a153f0320399a7e40836eb207655b0bde0f21fc941cc472193daa9f5de9",
        (f"{LIBSVM_SITE}/a9a.t", f"{LAB_2}/a9a%28testing%29.txt"),
    ),
    "mushrooms/mushrooms": RemoteFile(
        "f39a4eb628dc61a7d43760815b061c9e497aa728ce1ad8bde57a09ef6043b538",
        (f"{LIBSVM_SITE}/mushrooms", f"{OPT_METHODS}/mushrooms"),
    ),
} | {
    f"mnist/{name}": RemoteFile(sha256, tuple(f"{site}/{name}" for site in MNIST_SITES))
    for name, sha256 in {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }.items()
}


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
    checksum = f"sha256:{remote.sha256}"
    if not path.exists():
        require("pooch", f"Downloading {path.name}")
        absent = f"{path.name} (sha256 {remote.sha256}) is not at {path} and no mirror served it"
        from_mirrors(remote.mirrors, lambda url: retrieve(url, checksum, path), absent, key)
    return checked(path, checksum)


def checked(path: Path, checksum: str) -> Path:
    """The path of a file that has a checksum, ``algorithm:digest``."""
    algorithm, _, digest = checksum.partition(":")
    with path.open("rb") as file:
        # md5 is what archives publish: it guards against damage, the reader of the file against malice.
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != digest:
        raise ChecksumError(
            f"{path} should have {algorithm} {digest}. Got {found}: move it away to have it fetched again."
        )
    return path


def retrieve(url: str, checksum: str, path: Path) -> None:
    """Download a file; pooch writes beside `path` and renames only what has the right checksum."""
    pooch = require("pooch", "Downloading")
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT, stream=False)  # closes every connection
    pooch.retrieve(url, known_hash=checksum, fname=path.name, path=path.parent, downloader=downloader)


def from_mirrors(mirrors: Sequence[str], get: Callable[[str], None], absent: str, key: str) -> None:
    """Try the mirrors in turn; `absent` begins the sentence that says that none served `key`."""
    failures: list[Exception] = []
    for url in mirrors:
        try:
            return get(url)
        # No network, no such page, no room; another checksum; an archive without the member.
        except (OSError, ValueError, tarfile.TarError, KeyError) as error:
            failures.append(error)
    reasons = ", ".join(type(error).__name__ for error in failures)
    raise DataNotFoundError(
        f"{absent} ({reasons}): put it there, or set GDNP_DATA to the folder that holds {key}."
    ) from failures[-1]


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
