"""Small files of every published kind, and what tests of downloads look at."""

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from gdnp import datasets
from gdnp.datasets import fetch

REFUSED = "http://127.0.0.1:9"  # the discard port: nobody answers
SMALL = b"+1 1:0.5 3:2\n-1 2:1\n+1 3:1.5\n"


def here(*keys):
    """Skip where the published files are not in GDNP_DATA."""
    folder = os.environ.get("GDNP_DATA")
    if not folder or not all((Path(folder) / key).exists() for key in keys):
        pytest.skip(f"GDNP_DATA does not name a folder with {', '.join(keys)}")
    return Path(folder)


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pickled_batch(images, labels):
    """A batch as the archive has it, but for the version of the pickle."""
    return pickle.dumps({"data": images, "labels": labels, "batch_label": "b"}, protocol=3)


def batch_of(n, seed=0):
    drawn = np.random.default_rng(seed)
    return drawn.integers(256, size=(n, 3072), dtype=np.uint8), drawn.integers(10, size=n).tolist()


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes())


BATCHES = [key for key in datasets.FILES if key.startswith("cifar-10")]


def register_archive(monkeypatch, checksum, members, *mirrors):
    """Let `members`, {key: checksum}, be those of an archive in place of CIFAR-10's."""
    for key in BATCHES:
        monkeypatch.delitem(fetch.FILES, key)
    for key, digest in members.items():
        of = "cifar10.t" if key.endswith("test_batch") else "cifar10"
        monkeypatch.setitem(fetch.FILES, key, fetch.RemoteFile(of, digest, mirrors, checksum))
