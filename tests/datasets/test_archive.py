"""One archive for all batches: downloaded once, unpacked by name, and each member checked."""

import sys

import numpy as np
import pytest

from downloads import REFUSED, files_in, register_archive
from gdnp import datasets
from gdnp.datasets import archive


def test_archive_is_downloaded_once_for_all_batches(cache, server, monkeypatch, small_cifar):
    address, pages, asked = server
    content, batches = small_cifar
    pages["/cifar"] = content
    small = archive.CIFAR10
    register_archive(monkeypatch, small.checksum, small.members, REFUSED, f"{address}/cifar")
    test = datasets.fetch_cifar10("test")
    train = datasets.load("cifar10")
    assert asked == ["/cifar"]
    assert files_in(cache) == sorted(small.members)
    assert not (cache.parent / "evil").exists()
    np.testing.assert_array_equal(train.X, np.concatenate([b[0] for b in batches[:5]]) / np.float32(255.0))
    assert test.y.tolist() == batches[5][1]
    assert test.name == "cifar10.t"


def test_download_leaves_a_batch_that_is_there_as_it_is(cache, server, monkeypatch, small_cifar):
    address, pages, _ = server
    pages["/cifar"], _ = small_cifar
    register_archive(monkeypatch, archive.CIFAR10.checksum, archive.CIFAR10.members, f"{address}/cifar")
    mine = cache / "cifar-10-batches-py" / "data_batch_1"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert datasets.fetch_cifar10("test").X.shape == (8, 3072)
    assert mine.read_bytes() == b"mine"
    with pytest.raises(datasets.ChecksumError, match=r"data_batch_1 should have md5 \w{32}. Got \w{32}"):
        datasets.fetch_cifar10(batches=[1])


def test_archive_offline_says_what_to_put_where(cache, monkeypatch):
    real = archive.CIFAR10
    register_archive(monkeypatch, real.checksum, real.members, REFUSED)
    with pytest.raises(datasets.DataNotFoundError) as caught:
        datasets.load("cifar10.t")
    for part in ("md5 40351d587109b95175f43aff81a1287e", "GDNP_DATA", "(ConnectionError)", "test_batch"):
        assert part in str(caught.value)
    assert files_in(cache) == []
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"^Downloading test_batch of CIFAR-10 needs pooch"):
        datasets.load("cifar10.t")


def test_archive_that_lacks_a_batch_is_no_archive(cache, server, monkeypatch, small_cifar):
    address, pages, _ = server
    pages["/cifar"], _ = small_cifar
    small = archive.CIFAR10
    members = {"cifar-10-batches-py/data_batch_1": "md5:" + 32 * "0", "cifar-10-batches-py/absent": "md5:0"}
    register_archive(monkeypatch, small.checksum, members, f"{address}/cifar")
    with pytest.raises(datasets.DataNotFoundError, match=r"no mirror served its archive \(KeyError\)"):
        archive.fetch_member(archive.CIFAR10, "cifar-10-batches-py/absent")
    # What came out of it is kept as it is, and refused for its checksum.
    with pytest.raises(datasets.ChecksumError, match=r"should have md5 0{32}. Got \w{32}: move it away"):
        archive.fetch_member(archive.CIFAR10, "cifar-10-batches-py/data_batch_1")
