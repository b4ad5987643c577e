"""param_groups finds what is scale-invariant by its gradient, and nothing else."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from gdnp.nn import param_groups, s_norm  # noqa: E402


def network(dtype=torch.float64):
    model = nn.Sequential(
        nn.Conv2d(1, 3, 2),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(27, 6),
        nn.BatchNorm1d(6),
        nn.Tanh(),
        s_norm(nn.Linear(6, 6), metric="full"),
        nn.Tanh(),
        parametrizations.weight_norm(nn.Linear(6, 6)),
        s_norm(nn.Linear(6, 6), metric="batch"),
        nn.LayerNorm(6),
        nn.Linear(6, 2),
    )
    return model.to(dtype)


def loss_of(model):
    x = torch.randn(40, 1, 4, 4).to(model[0].weight)
    return model(x).square().mean() + model(x).sum().sin()


DIRECTION = {"0.weight", "4.weight", "10.weight"} | {f"{i}.parametrizations.weight.original1" for i in (7, 9)}
LENGTH = {"1.weight", "5.weight", "10.s_norm.weight"} | {
    f"{i}.parametrizations.weight.original0" for i in (7, 9)
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_groups_by_gradient(dtype):
    model = network(dtype)
    loss = loss_of(model)
    groups = param_groups(model, loss)
    assert all(p.grad is None for p in model.parameters())
    loss.backward()  # the graph is still there
    assert [group["role"] for group in groups] == ["direction", "length", "other"]
    assert set(groups[0]["names"]) == DIRECTION
    assert set(groups[1]["names"]) == LENGTH
    named = dict(model.named_parameters())
    assert sorted(name for group in groups for name in group["names"]) == sorted(named)
    for group in groups:
        assert all(named[name] is p for name, p in zip(group["names"], group["params"], strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_hides_no_invariance(dtype):
    model = network(torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        loss = loss_of(model)
    groups = param_groups(model, loss)
    assert set(groups[0]["names"]) == DIRECTION
    assert set(groups[1]["names"]) == LENGTH


def test_one_unit_at_its_best_length_is_no_direction():
    """⟨w, ∇w⟩ = 0 there, and only there; the same unit before BatchNorm has it everywhere."""
    x, y = torch.randn(50, 6, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    head = nn.Linear(6, 1, bias=False).double()
    with torch.no_grad():
        fitted = head(x)
        head.weight.mul_((fitted * y).sum() / fitted.square().sum())
    loss = (head(x) - y).square().mean()
    (slope,) = torch.autograd.grad(loss, head.weight, retain_graph=True)
    assert (slope * head.weight).sum().abs() < 1e-12 < slope.norm()
    assert not param_groups(head, loss)[0]["params"]
    unit = nn.Sequential(nn.Linear(6, 1), nn.BatchNorm1d(1)).double()
    assert param_groups(unit, (unit(x) - y).square().mean())[0]["names"] == ["0.weight"]


def test_units_scaled_together_alone_are_no_directions():
    """LayerNorm makes the whole matrix scale-invariant, and no unit of it."""
    model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)).double()
    assert not param_groups(model, model(torch.randn(30, 6).double()).sin().sum())[0]["params"]


def test_what_cannot_be_differentiated_twice_is_judged_once():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2.0 * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, slope):
            return 2.0 * slope

    model = network()
    x = torch.randn(40, 1, 4, 4).double()
    groups = param_groups(model, Once.apply(model(x)).square().mean())
    assert set(groups[0]["names"]) == DIRECTION


def test_a_loss_that_is_not_finite_tells_nothing():
    model = network()
    with pytest.raises(ValueError, match="finite gradient"):
        param_groups(model, loss_of(model) * float("inf"))


def test_without_gradients_structure_decides():
    direction, length, _ = param_groups(network())
    assert set(direction["names"]) == DIRECTION - {"0.weight", "4.weight"}
    assert set(length["names"]) == LENGTH


def test_each_group_has_its_own_step():
    model = network()
    groups = param_groups(model, loss_of(model), direction={"lr": 0.5}, length={"lr": 0.0})
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.0, 0.1]
    lengths = [p.clone() for p in groups[1]["params"]]
    loss_of(model).backward()
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(lengths, groups[1]["params"], strict=True))


def test_frozen_and_unused_parameters():
    model = network()
    model[0].weight.requires_grad_(False)
    model.spare = nn.Linear(2, 2).double()
    groups = param_groups(model, loss_of(nn.Sequential(*list(model)[:13])))
    names = [set(group["names"]) for group in groups]
    assert names[0] == DIRECTION - {"0.weight"}
    assert not any("0.weight" in found for found in names)
    assert {"spare.weight", "spare.bias"} <= names[2]


def test_a_row_without_invariance_is_enough_to_miss():
    """Half of the units go through BatchNorm."""

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.norm = nn.Linear(5, 4), nn.BatchNorm1d(2)

        def forward(self, x):
            h = self.linear(x)
            return self.norm(h[:, :2]).tanh().sum() + h[:, 2:].tanh().sum()

    model = Half()
    direction, _, other = param_groups(model, model(torch.randn(20, 5)))
    assert not direction["params"]
    assert "linear.weight" in other["names"]


def test_a_weight_without_any_gradient_is_no_direction():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    loss = 0.0 * model[0].weight.sum() + model[1](torch.ones(4, 2)).sum()
    assert not param_groups(model, loss)[0]["params"]


@pytest.mark.parametrize(
    ("loss", "message"),
    [(torch.ones(3, requires_grad=True) * 2, r"Got shape \(3,\);"), (torch.ones(()), "without a graph")],
)
def test_loss_must_be_a_scalar_with_a_graph(loss, message):
    with pytest.raises(ValueError, match=message):
        param_groups(nn.Linear(2, 1), loss)
