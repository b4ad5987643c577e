"""A real Dask cluster for tests: two processes on this machine, reached by loopback alone."""

import os
import signal
from contextlib import contextmanager


@contextmanager
def cluster(workers=2):
    """A client of a cluster of its own."""
    from distributed import Client, LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "host": "127.0.0.1"}
    made = LocalCluster(n_workers=workers, worker_dashboard_address=None, **options)
    with made, Client(made) as client:
        yield client


def kill_one(client):
    """End the process of a worker as a machine does that loses its power; its nanny starts another."""
    pids = client.run(os.getpid)
    os.kill(pids[min(pids)], signal.SIGKILL)
