"""Layers and networks with their inputs, for tests of gdnp.nn."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gdnp.nn import fit_metric, s_norm  # noqa: E402
from gdnp.nn.moments import InputMoments, input_rows, input_shape  # noqa: E402

METRICS = ("identity", "diagonal", "low_rank", "kronecker", "full")
MODES = ("normalize", "whiten")
WAYS = [
    ("diagonal", "normalize"),
    ("low_rank", "whiten"),
    ("kronecker", "whiten"),
    ("full", "normalize"),
    ("full", "whiten"),
]
"""Metrics and modes between them that have all the code of a move from one metric to the next."""


def linear():
    return nn.Linear(6, 4, dtype=torch.float64)


def conv(**options):
    options = {"padding": 1, "groups": 2, **options}
    return nn.Conv2d(4, 6, 3, dtype=torch.float64, **options)


def linear_inputs(n=60):
    return torch.randn(n, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + 3.0


def conv_inputs(n=12):
    mix = torch.randn(4, 4, dtype=torch.float64)
    return torch.einsum("ij,njhw->nihw", mix, torch.randn(n, 4, 5, 5, dtype=torch.float64)) + 2.0


def own(metric, layer):
    """What the metric alone takes."""
    return {"axes": (2, 3)} if metric == "kronecker" and isinstance(layer, nn.Linear) else {}


def signal():
    return nn.Conv1d(4, 6, 3, dilation=2, stride=2, padding=1, padding_mode="circular", dtype=torch.float64)


def volume():
    return nn.Conv3d(4, 6, (1, 3, 2), groups=2, padding=(0, 1, 0), dtype=torch.float64)


def array_inputs(*sizes):
    """Of 4 channels that are mixed."""

    def inputs(n=20):
        mix = torch.randn(4, 4, dtype=torch.float64)
        return torch.einsum("ij,nj...->ni...", mix, torch.randn(n, 4, *sizes, dtype=torch.float64)) + 2.0

    return inputs


LAYERS = {
    "linear": (linear, linear_inputs),
    "conv": (conv, conv_inputs),
    "signal": (signal, array_inputs(9)),
    "volume": (volume, array_inputs(2, 4, 3)),
}


def moments_of(layer, x):
    """Of the inputs of a layer, with all of S."""
    moments = InputMoments(input_shape(layer), "full")
    for rows in input_rows(layer, x):
        moments.update(rows)
    return moments


def fitted(layer, x, metric="full", **options):
    """A layer with s_norm, in the metric of x where it is one of data."""
    s_norm(layer, metric=metric, **own(metric, layer), **options)
    return layer if metric in ("identity", "batch") else fit_metric(layer, [x.detach()])


def rows_with(S):
    """Rows with mean 0 and a covariance of S."""
    values, basis = torch.linalg.eigh(S)
    root = (basis * (values.clamp_min(0.0) * S.shape[-1]).sqrt().unsqueeze(-2)).mT
    return torch.cat([root, -root], dim=-2)


def outcome(layer, x, leaves):
    """Output and gradients of a fixed nonlinear loss."""
    out = layer(x)
    return out, torch.autograd.grad((out * out.detach().sin() + out.square()).sum(), leaves)


def damped(S, damping):
    d = S.shape[-1]
    trace = S.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return S + damping * trace * torch.eye(d, dtype=S.dtype)


def eye(*sizes):
    return torch.eye(sizes[-1], dtype=torch.float64).expand(*sizes, sizes[-1]).clone()


def data(n=80, d=6):
    return torch.randn(n, d, dtype=torch.float64) @ torch.randn(d, d, dtype=torch.float64) + 3.0


def mlp(*extra):
    return nn.Sequential(
        nn.Linear(6, 5), *extra, nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)
    ).double()


def convnet():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(54, 3)
    ).double()


def split(model, metric="full", mode="normalize", **options):
    for layer in model:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            d = layer.weight[0].numel()
            axes = {"axes": (1, d) if d % 2 else (2, d // 2)} if metric == "kronecker" else {}
            s_norm(layer, metric=metric, mode=mode, **axes, **options)
    return model


def loss_of(model, x):
    return (model(x).sin() ** 2).mean() + model(x).mean()


class Residual(nn.Module):
    """x + conv(tanh(bn(conv x)))."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.second(self.norm(self.first(x)).tanh())


def residual_network(channels=4, blocks=2, inputs=2, size=8):
    """A convolution, residual blocks, a linear layer."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(inputs, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        *(Residual(channels) for _ in range(blocks)),
        nn.AvgPool2d(size),
        nn.Flatten(),
        nn.Linear(channels, 3),
    )
