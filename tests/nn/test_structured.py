"""Metrics without a d x d matrix: exact where the covariance has their structure."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from gdnp.nn import fold, s_norm  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from layers import MODES, damped, eye, known, linear, linear_inputs  # noqa: E402


def test_low_rank_is_exact_on_low_rank_plus_diagonal():
    """Columns of a Hadamard matrix: the diagonal of S is constant, so damping is the flat rest."""
    hadamard = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(5):
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    Q = hadamard[:, [1, 5, 17]] / 32**0.5
    units = torch.logspace(-3, 3, 32, dtype=torch.float64)
    S = Q @ torch.diag(torch.tensor([50.0, 5.0, 0.5], dtype=torch.float64)) @ Q.mT
    layer = nn.Linear(32, 3, dtype=torch.float64)
    s_norm(layer, metric="low_rank", mode="whiten", rank=3, damping=0.2, S=S)
    F = metric_of(layer).factor.whiten(torch.eye(32, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.inv(F.mT @ F), damped(S, 0.2), rtol=1e-9, atol=1e-10)
    # A flat rest that the sketch sees, in any units of the columns: near.
    scaled = nn.Linear(32, 3, dtype=torch.float64)
    noise = 1e-3 * S.diagonal().mean()
    T = units[:, None] * (S + noise * torch.eye(32)) * units
    s_norm(scaled, metric="low_rank", mode="whiten", rank=3, damping=0.0, S=T)
    F = metric_of(scaled).factor.whiten(torch.eye(32, dtype=torch.float64))
    torch.testing.assert_close(F @ T @ F.mT, torch.eye(32).double(), rtol=0.0, atol=0.3)


@pytest.mark.parametrize("groups", [(), (3,)])
def test_kronecker_is_exact_on_a_separable_covariance(groups):
    axes, d = (2, 3, 4), 24
    parts = [torch.randn(*groups, a, 3 * a, dtype=torch.float64) for a in axes]
    parts = [part @ part.mT for part in parts]
    S = torch.einsum("...ab,...cd,...ef->...acebdf", *parts).reshape(*groups, d, d)
    layer = nn.Conv2d(2 * max(1, *groups, 1), 6, (3, 4), groups=max(1, *groups, 1), dtype=torch.float64)
    for damping in (0.0, 0.3):
        s_norm(layer, metric="kronecker", mode="whiten", damping=damping, S=S)
        F = metric_of(layer).factor.whiten(eye(*groups, d))
        torch.testing.assert_close(F, F.mT)
        torch.testing.assert_close(F @ damped(S, damping) @ F.mT, eye(*groups, d), rtol=0.0, atol=1e-9)
        fold(layer)


def test_kronecker_streams_the_partial_traces():
    """From rows as from S, whatever the covariance; and of all entries the variance stays the mean one."""
    x, layers = linear_inputs(), [linear(), linear()]
    for layer in layers:
        s_norm(layer, metric="kronecker", mode="whiten", axes=(2, 3), damping=0.1)
    metric_of(layers[0]).update(metric_of(layers[0]).factor.moments().known(**known(linear(), x)))
    moments = metric_of(layers[1]).factor.moments()
    for rows in x.split(7):
        moments.update(rows)
    metric_of(layers[1]).update(moments)
    first, second = (metric_of(layer).factor.whiten(eye(6)) for layer in layers)
    torch.testing.assert_close(first, second, rtol=0.0, atol=1e-10)
    torch.testing.assert_close(
        torch.linalg.inv(first @ first.mT).diagonal().mean(), 1.1 * x.var(0, correction=0).mean()
    )


class Largest(TorchDispatchMode):
    """The most numbers that any result has."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return out


@pytest.mark.parametrize(
    "options", [{"metric": "low_rank", "rank": 4}, {"metric": "kronecker", "axes": (30, 50)}]
)
@pytest.mark.parametrize("mode", MODES)
def test_no_square_matrix_is_formed(mode, options):
    d, layer = 1500, nn.Linear(1500, 2)
    with Largest() as largest:
        s_norm(layer, mode=mode, **options)
        moments = metric_of(layer).factor.moments()
        moments.update(torch.randn(30, d))
        moments.update(torch.randn(30, d))
        metric_of(layer).update(moments)
        layer(torch.randn(3, d)).sum().backward()
        layer.weight = torch.randn(2, d)
    assert largest.numbers <= 30 * d
