"""A network that two processes train; in a module of its own, which a process that starts can import."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gdnp.nn import fit_metric, s_norm

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
