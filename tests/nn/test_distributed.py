"""Two processes on loopback train and fit like one that has all the rows."""

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

from gdnp.nn import fit_metric, s_norm  # noqa: E402

PROCESSES = 2


def build():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 2)
    ).double()
    s_norm(model[0], metric="full", mode="whiten")
    s_norm(model[2], metric="low_rank", rank=4, mode="whiten")
    s_norm(model[4], metric="diagonal")
    s_norm(model[6], metric="kronecker", axes=(1, 5), mode="whiten")
    return model, torch.randn(32, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + 3.0


def train(model, x, rows):
    """Fit, step, fit again with the optimizer, step; losses are means, as DDP averages gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(2):
        fit_metric(model, x[rows].split(5), optimizer=optimizer)
        for _ in range(3):
            optimizer.zero_grad()
            model(x[rows]).sin().square().mean().backward()
            optimizer.step()
    return model


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    try:
        model, x = build()
        model = train(DistributedDataParallel(model), x, slice(rank, None, PROCESSES))
        torch.save(model.module.state_dict(), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo here")
def test_processes_agree_with_one_that_has_all_rows(tmp_path):
    mp.spawn(work, args=(tmp_path,), nprocs=PROCESSES)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES))
    model, x = build()
    alone = train(model, x, slice(None)).state_dict()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), name
        if "basis" not in name and "gain" not in name:  # eigenvectors are free in sign
            tight = 1e-6 if "factor" in name else 1e-8
            torch.testing.assert_close(first[name], value, rtol=tight, atol=tight, msg=name)
