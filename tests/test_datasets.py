"""gdnp.datasets: published files and their checksums, readers and what they refuse, Gaussian designs."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import os
import pickle
import shutil
import stat
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import issparse
from scipy.stats import kstest

from gdnp import datasets
from gdnp.datasets import Dataset, archive, fetch, files
from gdnp.datasets.image_files import read_cifar_batch, read_idx

REFUSED = "http://127.0.0.1:9"  # the discard port: nobody answers
SMALL = b"+1 1:0.5 3:2\n-1 2:1\n+1 3:1.5\n"
SMALL_KEY = "small/small"


# --- published files


@pytest.fixture
def published():
    folder = os.environ.get("GDNP_DATA")
    keys = ("a9a/a9a", "a9a/a9a.t", "mushrooms/mushrooms")
    if not folder or not all((Path(folder) / key).exists() for key in keys):
        pytest.skip("GDNP_DATA does not name a folder with a9a and mushrooms")
    return Path(folder)


@pytest.mark.parametrize(
    ("name", "shape", "nnz", "positives"),
    [
        ("a9a", (32561, 123), 451592, 7841),
        ("a9a.t", (16281, 123), 225731, 3846),
        ("mushrooms", (8124, 112), 170604, 4208),
    ],
)
def test_published_set(published, name, shape, nnz, positives):
    data = datasets.load(name)
    assert data.name == name
    assert data.X.shape == shape
    assert data.X.nnz == nnz
    assert data.X.format == "csr"
    assert data.X.dtype == np.float64
    assert data.X.indices.dtype == np.int32
    assert set(data.y) == {-1.0, 1.0}
    assert data.y.dtype == np.float64
    assert np.count_nonzero(data.y == 1.0) == positives


def test_published_file_is_used_where_it_lies(published, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # not even needed
    before = sorted(published.rglob("*"))
    assert datasets.fetch_file("a9a/a9a.t") == published / "a9a" / "a9a.t"
    assert sorted(published.rglob("*")) == before


def test_a9a_refuses_another_split():
    with pytest.raises(ValueError, match=r"split must be 'train' or 'test'. Got 'validation'"):
        datasets.fetch_a9a("validation")


# --- downloads, against a server of our own


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path


@pytest.fixture
def server():
    """(base address, pages to serve, paths asked for)."""
    pages, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", pages, asked
        http.shutdown()
        thread.join()


def register(monkeypatch, *mirrors, content=SMALL):
    remote = fetch.RemoteFile(hashlib.sha256(content).hexdigest(), mirrors)
    monkeypatch.setitem(fetch.FILES, SMALL_KEY, remote)
    return remote


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


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


# --- images


def here(*keys):
    """Skip where the published files are not in GDNP_DATA."""
    folder = os.environ.get("GDNP_DATA")
    if not folder or not all((Path(folder) / key).exists() for key in keys):
        pytest.skip(f"GDNP_DATA does not name a folder with {', '.join(keys)}")


def pickled_batch(images, labels):
    """A batch as the archive has it, but for the version of the pickle."""
    return pickle.dumps({"data": images, "labels": labels, "batch_label": "b"}, protocol=3)


def batch_of(n, seed=0):
    drawn = np.random.default_rng(seed)
    return drawn.integers(256, size=(n, 3072), dtype=np.uint8), drawn.integers(10, size=n).tolist()


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize(
    ("split", "n", "first", "ones"),
    [("train", 60000, [5, 0, 4, 1, 9], 6742), ("test", 10000, [7, 2, 1, 0, 4], 1135)],
)
def test_published_mnist(split, n, first, ones):
    here(*datasets.images.MNIST[split])
    data = datasets.fetch_mnist(split)
    assert data.X.shape == (n, 784)
    assert data.X.dtype == np.float32
    assert data.X.min() == 0.0
    assert data.X.max() == 1.0
    assert data.y[:5].tolist() == first
    assert np.count_nonzero(data.y == 1.0) == ones
    image = np.round(255.0 * data.X[0]).reshape(28, 28)
    assert image[:4].sum() == 0.0  # the margin above a digit
    assert data.name == ("mnist" if split == "train" else "mnist.t")


def test_published_cifar10():
    here("cifar-10-batches-py/data_batch_1")
    data = datasets.fetch_cifar10(batches=[1])
    assert data.X.shape == (10000, 3072)
    assert data.X.dtype == np.float32
    assert np.count_nonzero(np.round(255.0 * data.X)) == 30643889
    assert np.bincount(data.y.astype(int)).tolist() == [
        1005,
        974,
        1032,
        1016,
        999,
        937,
        1030,
        1001,
        1025,
        981,
    ]
    assert data.y[:5].tolist() == [6, 9, 9, 4, 1]  # a frog, two lorries, a deer, a car
    assert 1 in datasets.cifar10_batches()


def test_digits():
    data = datasets.load("digits")
    assert data.X.shape == (1797, 64)
    assert set(data.y) == set(range(10))
    assert len(data.feature_names) == 64


@pytest.fixture
def small_cifar(monkeypatch):
    """An archive of six small batches, with its checksums; (contents of the tar file, batches)."""
    batches = {key: batch_of(3 + k, seed=k) for k, key in enumerate(archive.CIFAR10.members)}
    buffer, digests = io.BytesIO(), {}
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for key, content in {**{k: pickled_batch(*b) for k, b in batches.items()}, "../evil": b"x"}.items():
            info = tarfile.TarInfo(key)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            digests[key] = f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
    digests.pop("../evil")
    whole = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    register_archive(monkeypatch, whole, digests)
    return buffer.getvalue(), list(batches.values())


def register_archive(monkeypatch, checksum, members, *mirrors):
    small = archive.Archive("CIFAR-10", checksum, mirrors, members)
    for module in (archive, datasets, datasets.images):
        monkeypatch.setattr(module, "CIFAR10", small)


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


def test_batches_that_are_there_are_enough(cache, small_cifar):
    _, batches = small_cifar
    (cache / "cifar-10-batches-py").mkdir()
    for number in (2, 4):
        path = cache / f"cifar-10-batches-py/data_batch_{number}"
        path.write_bytes(pickled_batch(*batches[number - 1]))
    assert datasets.cifar10_batches() == (2, 4)
    assert datasets.fetch_cifar10().y.tolist() == batches[1][1] + batches[3][1]
    assert datasets.fetch_cifar10(batches=[4]).y.tolist() == batches[3][1]
    assert datasets.fetch_cifar10(batches=[4, 2, 4]).y.tolist() == batches[1][1] + batches[3][1]
    with pytest.raises(
        datasets.DataNotFoundError, match=r"data_batch_3 of CIFAR-10 \(md5 \w{32}\) is not at"
    ):
        _without_mirror(3)


def _without_mirror(number):
    small = archive.CIFAR10
    with pytest.MonkeyPatch.context() as patch:
        register_archive(patch, small.checksum, small.members, REFUSED)
        datasets.fetch_cifar10(batches=[number])


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


def test_pickle_that_calls_something_is_refused_and_calls_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    images, labels = batch_of(2)
    for content in ({"data": Evil(), "labels": labels}, {"data": images, "labels": labels, "extra": Evil()}):
        (tmp_path / "batch").write_bytes(pickle.dumps(content, protocol=3))
        with pytest.raises(ValueError, match=r"a pickle that names posix\.mkdir, which is not called"):
            read_cifar_batch(tmp_path / "batch")
    (tmp_path / "batch").write_bytes(b"cnumpy\nload\n(S'x'\ntR.")
    with pytest.raises(ValueError, match=r"names numpy\.load, which is not called"):
        read_cifar_batch(tmp_path / "batch")
    assert not (tmp_path / "called").exists()


BATCH, LABELS = batch_of(3)
BAD_BATCHES = {
    "empty": (b"", "Got: Ran out of input"),
    "truncated": (pickled_batch(BATCH, LABELS)[:5000], "should be a batch of CIFAR-10. Got: "),
    "no pickle": (SMALL, "should be a batch of CIFAR-10. Got: "),
    "a list": (pickle.dumps([1, 2]), "should be a batch of CIFAR-10. Got: "),
    "no labels": (pickle.dumps({"data": BATCH}, protocol=3), "Got: 'labels'"),
    "floats": (pickled_batch(BATCH.astype(float), LABELS), "an array of type 'f8', which are not bytes"),
    "objects": (pickled_batch(np.array([None, 1]), LABELS), "an array of type 'O8'"),
    "columns first": (pickled_batch(np.asfortranarray(BATCH), LABELS), "not bytes row by row"),
    "fewer columns": (pickled_batch(BATCH[:, :9], LABELS), r"Got images of shape \(3, 9\)"),
    "fewer labels": (pickled_batch(BATCH, LABELS[:2]), r"Got images of shape \(3, 3072\)"),
    "label 10": (pickled_batch(BATCH, [0, 1, 10]), "n labels from 0 to 9"),
    "label True": (pickled_batch(BATCH, [0, 1, True]), "n labels from 0 to 9"),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_unusable_batch(tmp_path, case):
    content, message = BAD_BATCHES[case]
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_cifar_batch(tmp_path / "batch")


def test_batch_and_idx_are_read_as_written(tmp_path):
    (tmp_path / "batch").write_bytes(pickled_batch(BATCH, LABELS))
    images, labels = read_cifar_batch(tmp_path / "batch")
    np.testing.assert_array_equal(images, BATCH)
    assert labels.tolist() == LABELS
    array = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    (tmp_path / "idx.gz").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "idx.gz"), array)


ARRAY = np.arange(12).reshape(3, 4)
BAD_IDX = {
    "no gzip": (b"abc", "should be a whole gzip file. Got: Not a gzipped file"),
    "truncated gzip": (idx(ARRAY)[:20], "should be a whole gzip file. Got: Compressed file ended"),
    "truncated": (gzip.compress(gzip.decompress(idx(ARRAY))[:-1]), "should hold 24 bytes. Got 23: download"),
    "too long": (gzip.compress(gzip.decompress(idx(ARRAY)) + b"x"), "should hold 24 bytes. Got 25"),
    "header alone": (gzip.compress(b"\0\0\x08\x03\0\0"), "should be an IDX file of bytes"),
    "integers": (
        gzip.compress(b"\0\0\x0c\x01\0\0\0\0"),
        "should be an IDX file of bytes. Got one that begins",
    ),
    "nothing": (gzip.compress(b""), "should be an IDX file of bytes"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_unusable_idx(tmp_path, case):
    content, message = BAD_IDX[case]
    (tmp_path / "idx.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "idx.gz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "validation"}, "split must be 'train' or 'test'. Got 'validation'"),
        ({"split": "test", "batches": [1]}, r"from the training split. Got \[1\] for 'test'"),
        ({"batches": [0]}, r"some of 1, 2, 3, 4, 5. Got \[0\]"),
        ({"batches": []}, r"some of 1, 2, 3, 4, 5. Got \[\]"),
    ],
)
def test_cifar10_refuses_what_does_not_exist(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.fetch_cifar10(**options)
    if "batches" not in options:
        with pytest.raises(ValueError, match=message):
            datasets.fetch_mnist(**options)


def test_files_of_every_registered_set():
    assert datasets.files_of("gaussian") == datasets.files_of("digits") == {}
    assert list(datasets.files_of("a9a.t")) == ["a9a/a9a.t"]
    assert list(datasets.files_of("cifar10.t")) == ["cifar-10-batches-py/test_batch"]
    assert len(datasets.files_of("cifar10")) == 5
    assert list(datasets.files_of("mnist")) == list(datasets.images.MNIST["train"])
    for name in datasets.DATASETS:
        for checksum in datasets.files_of(name).values():
            algorithm, _, digest = checksum.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]


# --- by name or by path


def test_breast_cancer():
    data = datasets.load("breast_cancer")
    assert data.X.shape == (569, 30)
    assert data.X.dtype == np.float64
    assert len(data.feature_names) == 30
    assert np.count_nonzero(data.y == 1.0) == 357
    assert np.count_nonzero(data.y == -1.0) == 212


def test_gaussian_by_name():
    data = datasets.load("gaussian")
    assert data.X.shape == (20_000, 20)
    assert set(data.y) == {-1.0, 1.0}


def test_load_takes_a_path(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("label,a\n0,1\n1,2\n")
    np.testing.assert_array_equal(datasets.load(path, target="label").y, [0.0, 1.0])


def test_load_refuses_neither_name_nor_path_and_misplaced_options():
    with pytest.raises(FileNotFoundError, match=r"a file or one of a9a, .*mushrooms. Got 'a9b'"):
        datasets.load("a9b")
    with pytest.raises(ValueError, match=r"are for files. Got them for the data set 'gaussian'"):
        datasets.load("gaussian", n_features=3)


# --- readers: what they read


@pytest.mark.parametrize(
    ("name", "pack"),
    [("s", bytes), ("s.svm", bytes), ("s.t", bytes), ("s.svm.gz", gzip.compress), ("s.bz2", bz2.compress)],
)
def test_libsvm(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(SMALL))
    data = datasets.load_file(path)
    assert data.name == name
    assert issparse(data.X)
    np.testing.assert_array_equal(data.X.toarray(), [[0.5, 0, 2], [0, 1, 0], [0, 0, 1.5]])
    np.testing.assert_array_equal(data.y, [1.0, -1.0, 1.0])
    assert data.feature_names is None


def test_libsvm_columns_and_base(tmp_path):
    path = tmp_path / "s"
    path.write_bytes(SMALL)
    assert datasets.load_file(path, n_features=5).X.shape == (3, 5)
    shifted = datasets.load_file(path, zero_based=True).X
    np.testing.assert_array_equal(shifted.toarray()[:, 1:], datasets.load_libsvm(path).X.toarray())
    assert shifted.shape == (3, 4)


@pytest.mark.parametrize(
    ("name", "separator", "pack"),
    [("t.csv", ",", bytes), ("t.TSV", "\t", bytes), ("t.csv.gz", ",", gzip.compress)],
)
def test_csv(tmp_path, name, separator, pack):
    text = "a,kind,b\n1,yes,2.5\n-3,no,1e-3\n".replace(",", separator)
    (tmp_path / name).write_bytes(pack(text.encode()))
    data = datasets.load_file(tmp_path / name, target="kind")
    np.testing.assert_array_equal(data.X, [[1.0, 2.5], [-3.0, 1e-3]])
    assert data.X.flags.c_contiguous
    assert data.X.dtype == np.float64
    assert data.y.tolist() == ["yes", "no"]
    assert data.feature_names == ("a", "b")
    np.testing.assert_array_equal(data.signs(), [1.0, -1.0])


def test_csv_allows_a_comma_at_the_end_of_each_row(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n1,2,3,\n4,5,6,\n")
    np.testing.assert_array_equal(datasets.load_csv(tmp_path / "t.csv").y, [3.0, 6.0])


def test_csv_labels_that_turn_to_text_late(tmp_path):
    numbers = 300_000  # more than pandas guesses the type of a column from
    (tmp_path / "t.csv").write_text("a,y\n" + "1,1\n" * numbers + "1,x\n")
    y = datasets.load_csv(tmp_path / "t.csv").y
    assert set(y.tolist()) == {"1", "x"}


def test_csv_counted_column_names_are_names(tmp_path):
    (tmp_path / "t.csv").write_text("0,1,2\n5,6,1\n7,8,0\n")
    data = datasets.load_csv(tmp_path / "t.csv")
    np.testing.assert_array_equal(data.X, [[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_array_equal(data.y, [1.0, 0.0])


@pytest.mark.parametrize(
    ("labels", "dtype", "kind"),
    [
        ([2, 1, 2], "int64", "f"),
        ([0.5, 1.5, 2.5], "float32", "f"),
        ([True, False, True], "bool", "b"),
        ([True, False, True], "boolean", "b"),
        (["x", "y", "x"], "str", "U"),
        (["x", "y", "x"], "category", "U"),
        ([7, 8, 7], "category", "f"),
    ],
)
def test_parquet_targets(tmp_path, labels, dtype, kind):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {"a": [1, 2, 3], "b": [True, False, True], "y": pandas.Series(labels, dtype=dtype)}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    data = datasets.load_file(tmp_path / "t.parquet")
    assert data.y.dtype.kind == kind
    assert data.y.tolist() == labels
    np.testing.assert_array_equal(data.X, [[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
    assert data.feature_names == ("a", "b")


# --- readers: what they refuse


BAD = {  # name of the case: (file, contents, what the error says)
    "empty": ("f.svm", b"", "should hold data. Got an empty file"),
    "blank": ("f.svm", b"\n# nothing\n", "Got 0 rows, all empty"),
    "no features": ("f.svm", b"1\n-1\n", "Got 2 rows, all empty"),
    "one row": ("f.svm", b"1 1:2\n", "at least two rows. Got 1"),
    "prose": ("f.txt", b"hello world\n", "should be a LIBSVM file.* Got: could not convert"),
    "binary": ("f", bytes(range(256)), "should be a LIBSVM file"),
    "table": ("f", b"1,2,3\n4,5,6\n", "should be a LIBSVM file"),
    "cut off": ("f", b"1 1:1\n-1 2:", "should be a LIBSVM file"),
    "huge index": ("f", b"1 1:1\n-1 4000000000:1\n", "should be a LIBSVM file.* Got: value too large"),
    "index 0": ("f", b"1 0:1 2:3\n-1 1:2\n", "Invalid index 0 .*pass zero_based=True"),
    "index -1": ("f", b"1 -1:1 2:3\n-1 1:2\n", "Invalid index -1 in .* file.$"),
    "unsorted": ("f", b"1 2:1 1:3\n-1 1:2\n", "should be sorted and unique.$"),
    "NaN": ("f", b"1 1:nan\n-1 1:2\n", "Got 1 NaN or infinite in X"),
    "infinite label": ("f", b"inf 1:1\n-1 1:2\n", "Got 1 NaN or infinite in y"),
    "not gzip": ("f.gz", SMALL, "should be a LIBSVM file.* Got: Not a gzipped file"),
    "gzip cut off": (
        "f.gz",
        gzip.compress(SMALL * 99)[:30],
        "should be a LIBSVM file.* Got: Compressed file",
    ),
    "gzip corrupt": ("f.gz", gzip.compress(SMALL * 99)[:12] + b"\xff" * 40, "should be a LIBSVM file"),
    "bzip2 cut off": ("f.bz2", bz2.compress(SMALL * 99)[:30], "should be a LIBSVM file"),
    "csv empty": ("f.csv", b"", "should hold data. Got an empty file"),
    "csv blank": ("f.csv", b"\n\n", "should be a CSV file. Got: No columns"),
    "csv binary": ("f.csv", bytes(range(256)), "should be a CSV file"),
    "csv NULs": ("f.csv", b"\x00\x01,\x02\n\x00,\x00\n1,2\n", "must be numbers"),
    "csv of libsvm": ("f.csv", SMALL, "at least one feature. Got 1 column"),
    "csv ragged": ("f.csv", b"a,b\n1,2\n1,2,3\n", "should be a CSV file. Got: Error tokenizing"),
    "csv more fields": ("f.csv", b"a,b\n0,2,3\n1,5,6\n", "Got rows with more fields"),
    "csv one long row": ("f.csv", b"a,b\n1,2,3\n4,5\n", "Got rows with more fields"),
    "csv open quote": ("f.csv", b'a,b\n"1,2\n3,4\n', "should be a CSV file. Got: Error tokenizing"),
    "csv no names": (
        "f.csv",
        b"1.5,2.5,x\n1.5,2.5,y\n1,2,x\n",
        r"name the columns. Got the numbers \[1.5, 2.5\]",
    ),
    "csv header only": ("f.csv", b"a,b\n", "at least two rows. Got 0"),
    "csv one row": ("f.csv", b"a,b\n1,2\n", "at least two rows. Got 1"),
    "csv one column": ("f.csv", b"a\n1\n2\n", "at least one feature. Got 1 column"),
    "csv text": ("f.csv", b"a,b,c,y\n1,?,u,0\n2,3,v,1\n", r"encode or drop these columns. Got \['b', 'c'\]"),
    "csv missing": ("f.csv", b"a,b,y\n1,,0\n2,inf,1\n", "Got 2 NaN or infinite in X"),
    "csv no label": ("f.csv", b"a,y\n1,\n2,1\n", "target of .* should have no gaps. Got 1"),
    "csv infinite label": ("f.csv", b"a,y\n1,inf\n2,1\n", "Got 1 NaN or infinite in y"),
    "parquet empty": ("f.parquet", b"", "should hold data. Got an empty file"),
    "parquet prose": ("f.pq", b"hello world, this is no table\n", "should be a readable Parquet file"),
    "suffix": ("f.xlsx", b"PK", r"none or one of .*\.csv.* Got .*f.xlsx"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file(tmp_path, case):
    name, contents, message = BAD[case]
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.load_file(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".csv", ".parquet"])
def test_bad_place(tmp_path, suffix):
    missing, folder = tmp_path / f"missing{suffix}", tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="Got nothing there: check the path"):
        datasets.load_file(missing)
    with pytest.raises(ValueError, match="Got a folder or device"):
        datasets.load_file(folder)


@pytest.mark.skipif(
    os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="every file can be read here"
)
def test_unreadable_file_is_a_permission_error(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("a,y\n1,2\n3,4\n")
    path.chmod(stat.S_IWUSR)
    with pytest.raises(PermissionError, match=r"f.csv"):
        datasets.load_file(path)


def test_libsvm_index_beyond_n_features(tmp_path):
    (tmp_path / "f").write_bytes(SMALL)
    with pytest.raises(ValueError, match=r"at most n_features = 2 columns. Got 3: raise it"):
        datasets.load_file(tmp_path / "f", n_features=2)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_parquet_cut_off(tmp_path, keep):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    pandas.DataFrame({"a": range(1000), "y": range(1000)}).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match=r"should be a readable Parquet file. Got: "):
        datasets.load_parquet(path)


def test_parquet_gap_in_a_nullable_column(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": pandas.Series([1, None, 3], dtype="Int64"), "y": [1, 2, 1]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="Got 1 NaN or infinite in X"):
        datasets.load_parquet(tmp_path / "t.parquet")


def test_parquet_refuses_times_and_repeated_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    frame = pandas.DataFrame({"a": [1, 2], "when": pandas.to_datetime(["2020-01-01", "2021-01-01"])})
    frame.to_parquet(path)
    with pytest.raises(ValueError, match=r"must be numbers, booleans or text. Got datetime64"):
        datasets.load_parquet(path)
    with pytest.raises(ValueError, match=r"must be numbers: .* Got \['when'\]"):
        datasets.load_parquet(path, target="a")
    column = arrow.array([1.0, 2.0])
    files.require("pyarrow.parquet", "Testing").write_table(
        arrow.table([column, column], names=["a", "a"]), path
    )
    with pytest.raises(ValueError, match=r"should be a readable Parquet file. Got: (Duplicate|Multiple)"):
        datasets.load_parquet(path)


def test_options_of_another_format(tmp_path):
    with pytest.raises(ValueError, match=r"target names a column of a CSV or Parquet file. Got 'y'"):
        datasets.load_file(tmp_path / "f.svm", target="y")
    with pytest.raises(ValueError, match="n_features and zero_based are for LIBSVM files"):
        datasets.load_file(tmp_path / "f.csv", n_features=3)


def test_unknown_target(tmp_path):
    (tmp_path / "f.csv").write_text("a,y\n1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"target must be a column of .*\['a', 'y'\]. Got 'z'"):
        datasets.load_csv(tmp_path / "f.csv", target="z")


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("pandas", "f.csv", "^Reading a CSV file needs pandas: pip install"),
        ("pandas", "f.parquet", "^Reading a Parquet file needs pandas: pip install"),
        ("pyarrow", "f.parquet", "^Reading a Parquet file needs pyarrow: pip install"),
    ],
)
def test_missing_extra(monkeypatch, tmp_path, module, name, message):
    pytest.importorskip("pandas")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        datasets.load_file(tmp_path / name)


def test_broken_extra_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "broken_extra.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'a_module_that_is_not_there'"):
        files.require("broken_extra", "Testing")


# --- signs


@pytest.mark.parametrize(
    "labels", [[1.0, 2.0, 1.0], [-1.0, 1.0, -1.0], [False, True, False], ["a", "b", "a"]]
)
def test_signs(labels):
    np.testing.assert_array_equal(Dataset("d", np.ones((3, 1)), np.array(labels)).signs(), [-1.0, 1.0, -1.0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.0, 1.0], "d should have exactly two classes. Got 1: 1.0.$"),
        (["a", "b", "c"], "Got 3: a, b, c.$"),
        (np.arange(9.0), r"Got 9: 0.0, 1.0, 2.0, 3.0, 4.0, ...\.$"),
    ],
)
def test_signs_needs_two_classes(labels, message):
    with pytest.raises(ValueError, match=message):
        Dataset("d", np.ones((len(labels), 1)), np.array(labels)).signs()


# --- Gaussian designs

POPULATIONS = [
    {"d": 2, "kappa": 3.0, "r": 0.9, "spectrum": "linear", "seed": 3},
    {"d": 6, "kappa": 100.0, "r": 0.5, "spectrum": "geometric", "seed": 0},
    {"d": 5, "kappa": 1.0, "r": 0.05, "spectrum": "geometric", "seed": 1},
    {"d": 4, "r": 0.3, "spectrum": [8.0, 1.0, 2.0, 4.0], "seed": 2},
]


@pytest.mark.parametrize("options", POPULATIONS)
def test_population(options):
    u, S = datasets.gaussian_parameters(**options)
    assert u @ np.linalg.solve(S, u) == pytest.approx(options["r"], rel=1e-12)
    np.testing.assert_array_equal(S, S.T)
    eigenvalues, basis = np.linalg.eigh(S)
    assert eigenvalues[-1] == pytest.approx(1.0, rel=1e-12)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(options.get("kappa", 8.0), rel=1e-12)
    parts = np.abs(basis.T @ u) / np.linalg.norm(u)
    if options.get("kappa") != 1.0:  # there every vector is an eigenvector
        assert np.count_nonzero(parts > 1e-3) >= 2
        assert np.linalg.norm(S @ u - u * (u @ S @ u) / (u @ u)) > 1e-3 * np.linalg.norm(S @ u)


@pytest.mark.parametrize(
    ("spectrum", "expected"),
    [
        ("geometric", [0.01, 0.1, 1.0]),
        ("linear", [0.01, 0.505, 1.0]),
        ([3.0, 1.0, 2.0], [1 / 3, 2 / 3, 1.0]),
        (np.array([1e-3, 0.5, 0.25]), [2e-3, 0.5, 1.0]),
    ],
)
def test_spectrum(spectrum, expected):
    _, S = datasets.gaussian_parameters(3, spectrum=spectrum)
    np.testing.assert_allclose(np.linalg.eigvalsh(S), expected, rtol=1e-12)


@pytest.mark.parametrize("options", POPULATIONS)
def test_sample_moments_within_five_sigma(options):
    n = 40_000
    u, S = datasets.gaussian_parameters(**options)
    data = datasets.gaussian_design(n, **options)
    z = -data.y[:, None] * data.X
    sigma, scale = S - np.outer(u, u), np.sqrt(n) / 5.0
    second = z.T @ z / n
    # Var(z_i z_j) of a Gaussian with mean u and covariance Σ (Isserlis)
    spread = np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2 + 2.0 * np.outer(u, u) * sigma
    spread += np.outer(u**2, np.diag(sigma)) + np.outer(np.diag(sigma), u**2)
    assert np.all(np.abs(z.mean(axis=0) - u) * scale < np.sqrt(np.diag(sigma)))
    assert np.all(np.abs(second - S) * scale < np.sqrt(spread))
    assert np.all(np.abs(data.X.mean(axis=0)) * scale < np.sqrt(np.diag(S)))  # Assumption 1: E[x] = 0
    assert abs(data.y.mean()) * scale < 1.0
    assert np.all(np.abs(data.y @ (z - u)) / n * scale < np.sqrt(np.diag(sigma)))  # y says nothing of z


@pytest.mark.parametrize("options", POPULATIONS)
def test_sample_is_gaussian_along_the_optimal_and_a_random_direction(options):
    u, S = datasets.gaussian_parameters(**options)
    data = datasets.gaussian_design(40_000, **options)
    for w in (np.linalg.solve(S, u), np.random.default_rng(0).standard_normal(len(u))):
        norm = np.sqrt(w @ S @ w)
        m = u @ w / norm
        xi = -data.y * (data.X @ w) / norm  # Assumption 2: N(m, 1 - m²)
        assert kstest((xi - m) / np.sqrt(1.0 - m * m), "norm").pvalue > 1e-4


def test_seed():
    first, again = (datasets.gaussian_design(50, 4, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.y, again.y)
    other = datasets.gaussian_design(50, 4, seed=8)
    assert np.abs(first.X - other.X).min() > 0.0
    for a, b in zip(
        datasets.gaussian_parameters(4, seed=7), datasets.gaussian_parameters(4, seed=7), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1, 3), {}, "n must be at least 2 rows. Got 1"),
        ((10, 1), {}, "d must be at least 2 .* Got 1"),
        ((10, 3), {"r": 0.0}, "strictly between 0 and 1. Got 0.0"),
        ((10, 3), {"r": 1.0}, "strictly between 0 and 1. Got 1.0"),
        ((10, 3), {"r": float("nan")}, "strictly between 0 and 1. Got nan"),
        ((10, 3), {"kappa": 0.5}, "condition number of at least 1. Got 0.5"),
        ((10, 3), {"kappa": float("inf")}, "condition number of at least 1. Got inf"),
        ((10, 3), {"spectrum": "flat"}, "'geometric', 'linear' or an array. Got 'flat'"),
        (
            (10, 3),
            {"spectrum": [1.0, 2.0]},
            r"3 finite positive eigenvalues. Got \[1.0, 2.0\] of shape \(2,\)",
        ),
        ((10, 2), {"spectrum": [1.0, 0.0]}, "2 finite positive eigenvalues. Got"),
        ((10, 2), {"spectrum": [1.0, float("nan")]}, "2 finite positive eigenvalues. Got"),
    ],
)
def test_gaussian_refuses(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.gaussian_design(*arguments, **options)
