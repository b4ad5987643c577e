"""Downloads with a checksum, against a server of our own; files in place are read and never written."""

import hashlib
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from downloads import BATCHES, REFUSED, SMALL, files_in, here, register_archive
from gdnp import datasets
from gdnp.datasets import fetch

SMALL_KEY = "small/small"


def test_published_file_is_used_where_it_lies(monkeypatch):
    published = here("a9a/a9a.t")
    monkeypatch.setitem(sys.modules, "pooch", None)  # not even needed
    before = sorted(published.rglob("*"))
    assert datasets.fetch_file("a9a/a9a.t") == published / "a9a" / "a9a.t"
    assert sorted(published.rglob("*")) == before


def test_a9a_refuses_another_split():
    with pytest.raises(ValueError, match=r"split must be 'train' or 'test'. Got 'validation'"):
        datasets.fetch_a9a("validation")


def register(monkeypatch, *mirrors, content=SMALL):
    remote = fetch.RemoteFile("small", f"sha256:{hashlib.sha256(content).hexdigest()}", mirrors)
    monkeypatch.setitem(fetch.FILES, SMALL_KEY, remote)
    return remote


def test_download_is_cached(cache, server, monkeypatch):
    address, pages, asked = server
    pages["/small"] = SMALL
    register(monkeypatch, f"{address}/small")
    for _ in range(2):
        path = datasets.fetch_file(SMALL_KEY)
        assert path == cache / SMALL_KEY
        assert path.read_bytes() == SMALL
    assert asked == ["/small"]
    assert files_in(cache) == [SMALL_KEY]


def test_download_is_renamed_into_place(cache, server, monkeypatch):
    address, pages, _ = server
    pages["/small"] = SMALL
    register(monkeypatch, f"{address}/small")
    moved = []
    move = shutil.move

    def recording(source, target):
        moved.append((Path(source).parent, Path(source).read_bytes(), Path(target), Path(target).exists()))
        return move(source, target)

    monkeypatch.setattr("shutil.move", recording)
    path = datasets.fetch_file(SMALL_KEY)
    assert moved == [(path.parent, SMALL, path, False)]  # complete, in the same folder, and only then named


def test_next_mirror_after_refusal_missing_page_and_wrong_contents(cache, server, monkeypatch):
    address, pages, asked = server
    pages.update({"/other": b"another file", "/small": SMALL})
    register(monkeypatch, REFUSED, f"{address}/absent", f"{address}/other", f"{address}/small")
    assert datasets.fetch_file(SMALL_KEY).read_bytes() == SMALL
    assert asked == ["/absent", "/other", "/small"]
    assert files_in(cache) == [SMALL_KEY]


def test_wrong_contents_everywhere_leave_nothing_behind(cache, server, monkeypatch):
    address, pages, _ = server
    pages["/other"] = b"another file"
    register(monkeypatch, f"{address}/other")
    with pytest.raises(datasets.DataNotFoundError, match=r"no mirror served it \(ValueError\)"):
        datasets.fetch_file(SMALL_KEY)
    assert files_in(cache) == []


@pytest.mark.parametrize("name", ["a9a", "a9a.t", "mushrooms"])
def test_offline_error_says_what_to_put_where(cache, monkeypatch, name):
    for key, remote in fetch.FILES.items():
        monkeypatch.setitem(fetch.FILES, key, replace(remote, mirrors=(REFUSED, f"{REFUSED}/x")))
    with pytest.raises(datasets.DataNotFoundError, match=f"^{name} ") as caught:
        datasets.load(name)
    (key,) = (key for key in fetch.FILES if key.endswith(f"/{name}"))
    message = str(caught.value)
    for part in (
        fetch.FILES[key].checksum.replace(":", " "),
        str(cache / key),
        "GDNP_DATA",
        "(ConnectionError, ConnectionError)",
    ):
        assert part in message
    assert "\n" not in message
    assert isinstance(caught.value, FileNotFoundError)
    assert files_in(cache) == []


def test_unwritable_cache_is_data_not_found(cache, server, monkeypatch):
    address, pages, _ = server
    pages["/small"] = SMALL
    register(monkeypatch, f"{address}/small")
    (cache / "small").write_text("a file where the folder should be")
    with pytest.raises(datasets.DataNotFoundError, match="no mirror served it"):
        datasets.fetch_file(SMALL_KEY)


def test_wrong_checksum_is_an_error_and_never_repaired(cache, server, monkeypatch):
    address, pages, asked = server
    pages["/small"] = SMALL
    digest = register(monkeypatch, f"{address}/small").checksum.removeprefix("sha256:")
    path = cache / SMALL_KEY
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(datasets.ChecksumError, match=f"should have sha256 {digest}. Got "):
        datasets.fetch_file(SMALL_KEY)
    assert path.read_bytes() == b"mine"
    assert asked == []


def test_pooch_is_asked_for_in_one_sentence(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r'^Downloading a9a needs pooch: pip install "gdnp\[cli\]"\.$'):
        datasets.load("a9a")
    monkeypatch.delenv("GDNP_DATA")
    with pytest.raises(ImportError, match=r"^Caching data needs pooch"):
        datasets.data_dir()


def test_default_cache_is_the_users(monkeypatch):
    monkeypatch.setenv("GDNP_DATA", "")
    assert datasets.data_dir().name == "gdnp"


@pytest.mark.parametrize("key", list(datasets.FILES))
def test_registry_is_well_formed(key):
    remote = datasets.FILES[key]
    algorithm, digest = remote.checksum.split(":")
    assert len(bytes.fromhex(digest)) == {"sha256": 32, "md5": 16}[algorithm]
    assert remote.of in datasets.DATASETS
    assert len(remote.mirrors) == (1 if remote.archive else 2)
    assert all(url.startswith("https://") for url in remote.mirrors)


# --- one archive for all batches: downloaded once, unpacked by name, and each member checked


def test_archive_is_downloaded_once_for_all_batches(cache, server, monkeypatch, small_cifar):
    address, pages, asked = server
    pages["/cifar"], checksum, members, batches = small_cifar
    register_archive(monkeypatch, checksum, members, REFUSED, f"{address}/cifar")
    test = datasets.fetch_cifar10("test")
    train = datasets.load("cifar10")
    assert asked == ["/cifar"]
    assert files_in(cache) == sorted(members)
    assert not (cache.parent / "evil").exists()
    np.testing.assert_array_equal(train.X, np.concatenate([b[0] for b in batches[:5]]) / np.float32(255.0))
    assert test.y.tolist() == batches[5][1]
    assert test.name == "cifar10.t"


def test_download_leaves_a_batch_that_is_there_as_it_is(cache, server, monkeypatch, small_cifar):
    address, pages, _ = server
    pages["/cifar"], checksum, members, _ = small_cifar
    register_archive(monkeypatch, checksum, members, f"{address}/cifar")
    mine = cache / "cifar-10-batches-py" / "data_batch_1"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert datasets.fetch_cifar10("test").X.shape == (8, 3072)
    assert mine.read_bytes() == b"mine"
    with pytest.raises(datasets.ChecksumError, match=r"data_batch_1 should have md5 \w{32}. Got \w{32}"):
        datasets.fetch_cifar10(batches=[1])


def test_archive_offline_says_what_to_put_where(cache, monkeypatch):
    members = {key: fetch.FILES[key].checksum for key in BATCHES}
    register_archive(monkeypatch, fetch.FILES[BATCHES[0]].archive, members, REFUSED)
    with pytest.raises(datasets.DataNotFoundError) as caught:
        datasets.load("cifar10.t")
    for part in ("md5 40351d587109b95175f43aff81a1287e", "GDNP_DATA", "(ConnectionError)", "test_batch"):
        assert part in str(caught.value)
    assert files_in(cache) == []
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"^Downloading test_batch needs pooch"):
        datasets.load("cifar10.t")


def test_archive_that_lacks_a_batch_is_no_archive(cache, server, monkeypatch, small_cifar):
    address, pages, _ = server
    pages["/cifar"], checksum, _, _ = small_cifar
    members = {"cifar-10-batches-py/data_batch_1": "md5:" + 32 * "0", "cifar-10-batches-py/absent": "md5:0"}
    register_archive(monkeypatch, checksum, members, f"{address}/cifar")
    with pytest.raises(datasets.DataNotFoundError, match=r"no mirror served its archive \(KeyError\)"):
        datasets.fetch_file("cifar-10-batches-py/absent")
    # What came out of it is kept as it is, and refused for its checksum.
    with pytest.raises(datasets.ChecksumError, match=r"should have md5 0{32}. Got \w{32}: move it away"):
        datasets.fetch_file("cifar-10-batches-py/data_batch_1")
