"""Downloads with a checksum, against a server of our own; files in place are read and never written."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from downloads import REFUSED, SMALL, files_in, here
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
    remote = fetch.RemoteFile(hashlib.sha256(content).hexdigest(), mirrors)
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
        monkeypatch.setitem(fetch.FILES, key, fetch.RemoteFile(remote.sha256, (REFUSED, f"{REFUSED}/x")))
    with pytest.raises(datasets.DataNotFoundError, match=f"^{name} ") as caught:
        datasets.load(name)
    (key,) = (key for key in fetch.FILES if key.endswith(f"/{name}"))
    message = str(caught.value)
    for part in (
        fetch.FILES[key].sha256,
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
    remote = register(monkeypatch, f"{address}/small")
    path = cache / SMALL_KEY
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(datasets.ChecksumError, match=f"should have sha256 {remote.sha256}. Got "):
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
    assert len(bytes.fromhex(remote.sha256)) == 32
    assert len(remote.mirrors) == 2
    assert all(url.startswith("https://") for url in remote.mirrors)
