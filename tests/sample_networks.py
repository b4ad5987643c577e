"""Data of two classes off the origin, and f_nn on them written out."""

import pytest

torch = pytest.importorskip("torch")

from gdnp.datasets import gaussian_design  # noqa: E402

BY_NAME = {
    "log_loss": lambda t: -torch.nn.functional.logsigmoid(-t),
    "sigmoid": torch.sigmoid,
    "probit": torch.special.ndtr,
}
THETA = (1.0, -0.7)


def drawn():
    design = gaussian_design(1500, 4, kappa=5.0, r=0.6, seed=0)
    return torch.as_tensor(design.X) + torch.tensor([3.0, 0.0, -1.0, 0.0]), torch.as_tensor(design.y)


def plain(net, loss):
    """f_nn written out, differentiable in W̃."""

    def f(W):
        theta = torch.as_tensor(net.theta, device=W.device)
        return BY_NAME[loss](torch.tanh(net.z.double() @ W.T) @ theta).mean()

    return f
