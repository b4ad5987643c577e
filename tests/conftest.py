"""Fixtures every test module may use; one thread a process, since test processes share the cores."""

import os

import numpy as np
import pytest


def pytest_configure():
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")  # for PyTorch and for subprocesses


@pytest.fixture
def rng():
    return np.random.default_rng(0)
