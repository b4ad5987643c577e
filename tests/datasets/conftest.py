"""A cache of its own, a server of its own, and a small archive of batches."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from downloads import BATCHES, batch_of, pickled_batch


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


@pytest.fixture
def small_cifar():
    """An archive of six small batches, with its checksums; (contents of the tar file, its
    checksum, those of its members by their keys, batches)."""
    batches = {key: batch_of(3 + k, seed=k) for k, key in enumerate(BATCHES)}
    buffer, digests = io.BytesIO(), {}
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for key, content in {**{k: pickled_batch(*b) for k, b in batches.items()}, "../evil": b"x"}.items():
            info = tarfile.TarInfo(key)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            digests[key] = f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
    digests.pop("../evil")
    whole = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    return buffer.getvalue(), whole, digests, list(batches.values())
