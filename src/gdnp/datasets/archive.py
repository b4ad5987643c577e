"""CIFAR-10's archive: one download for all its batches, and a checksum for each."""

import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gdnp._files import replacing, require
from gdnp.datasets.fetch import checked, data_dir, from_mirrors, retrieve


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
    """Path of the member `key`, under the terms of `fetch_file`; the archive is downloaded for it."""
    path, checksum = data_dir() / key, archive.members[key]

    def get(url: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A scratch folder goes with whatever went wrong.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as scratch:
            file = Path(scratch) / "archive.tar"
            retrieve(url, archive.checksum, file)
            _unpack(archive, file, path.parent.parent)

    if not path.exists():
        what = f"{path.name} of {archive.name}"
        require("pooch", f"Downloading {what}")
        absent = f"{what} ({checksum.replace(':', ' ')}) is not at {path} and no mirror served its archive"
        from_mirrors(archive.mirrors, get, absent, key)
    return checked(path, checksum)


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
