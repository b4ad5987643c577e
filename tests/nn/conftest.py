"""Random numbers of PyTorch are the same in every test."""

import pytest


@pytest.fixture(autouse=True)
def _seeded():
    pytest.importorskip("torch").manual_seed(0)
