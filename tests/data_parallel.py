"""A network that two processes train; in a module of its own, which a process that starts can import."""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from gdnp.nn import fit_metric, s_norm, s_norm_model

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


def train(model, x, rows, **options):
    """Fit, step, fit again with the optimizer, step; losses are means, as DDP averages gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(2):
        fit_metric(model, x[rows].split(5), optimizer=optimizer, **options)
        for _ in range(3):
            optimizer.zero_grad()
            model(x[rows]).sin().square().mean().backward()
            optimizer.step()
    return model


def refusals(rank, model, x):
    """What is refused in each process: {what: sentence}; none waits for another that has refused."""
    calls = {
        "bare": lambda: fit_metric(model, [x]),
        "no batch": lambda: fit_metric(model, [x][:rank], process_group=dist.group.WORLD),
        "no group": lambda: fit_metric(model, [x], process_group=3),
        "wrapped before": lambda: s_norm_model(DistributedDataParallel(build()[0])),
        "sharded": lambda: fit_metric(fully_shard(build()[0]), [x], process_group=dist.group.WORLD),
        "sharded before": lambda: s_norm(fully_shard(nn.Linear(6, 4))),
    }
    found = {}
    for name, call in calls.items():
        try:
            call()
        except (TypeError, ValueError) as error:
            found[name] = str(error)
    return found


def bare(rank, x):
    """A bare model with the processes named: gradients are averaged by hand, and S is pooled."""
    model = build()[0]
    hooks = [p.register_post_accumulate_grad_hook(average) for p in model.parameters()]
    train(model, x, slice(rank, None, PROCESSES), process_group=dist.group.WORLD)
    assert hooks
    return model


def average(p):
    dist.all_reduce(p.grad)
    p.grad /= PROCESSES


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    try:
        model, x = build()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        found = {"refused": refusals(rank, model, x)}
        after = model.state_dict()
        found["untouched"] = all(torch.equal(value, before[name]) for name, value in after.items())
        model = train(DistributedDataParallel(model), x, slice(rank, None, PROCESSES))
        found["wrapped"], found["bare"] = model.module.state_dict(), bare(rank, x).state_dict()
        torch.save(found, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()
