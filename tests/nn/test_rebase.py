"""An optimizer's memory moves with the metric: average gradients stay gradients."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.optim import LBFGS, SGD, Adagrad, Adam, AdamW, Muon, RMSprop  # noqa: E402

from gdnp.nn import fit_metric, s_norm  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from gdnp.nn.rebase import parameters_of  # noqa: E402
from layers import WAYS, data, loss_of, mlp, split  # noqa: E402


def two_steps(model, optimizers, x):
    for _ in range(2):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss_of(model, x).backward()
        for optimizer in optimizers:
            optimizer.step()


OPTIMIZERS = {
    "sgd": lambda model: [SGD(model.parameters(), lr=0.05, momentum=0.9, dampening=0.2)],
    "adam": lambda model: [Adam(model.parameters(), lr=0.01, amsgrad=True)],
    "adamw": lambda model: [AdamW(model.parameters(), lr=0.01)],
    "muon": lambda model: [
        Muon([p for n, p in model.named_parameters() if n.endswith("original1")], lr=0.01),
        SGD([p for n, p in model.named_parameters() if not n.endswith("original1")], lr=0.05, momentum=0.5),
    ],
}


def remembered(optimizers, p):
    """The average gradient of a parameter, from the definition of each optimizer."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            state = optimizer.state.get(p)
            if state and any(p is q for q in group["params"]):
                if isinstance(optimizer, SGD):
                    return state["momentum_buffer"] * (1 - group["momentum"]) / (1 - group["dampening"])
                if isinstance(optimizer, Muon):
                    return state["momentum_buffer"]
                return state["exp_avg"] / (1 - group["betas"][0] ** state["step"].item())
    raise AssertionError


def remember(optimizers, model, gradients):
    """Make every average gradient the given one."""
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        state = next(optimizer.state[p] for optimizer in optimizers if optimizer.state.get(p))
        memory = state["exp_avg" if "exp_avg" in state else "momentum_buffer"]
        memory.fill_(1.0)
        memory.copy_(gradient / remembered(optimizers, p))


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(("metric", "mode"), WAYS)
def test_memory_that_is_the_gradient_stays_the_gradient(metric, mode, kind):
    """The average gradient at this point, in the old coordinates, becomes the one in the new coordinates."""
    model, x = split(mlp(), metric, mode), data()
    fit_metric(model, [x], damping=0.5)
    optimizers = OPTIMIZERS[kind](model)
    two_steps(model, optimizers, x)
    slopes = torch.autograd.grad(loss_of(model, x), list(model.parameters()))
    remember(optimizers, model, slopes)
    for p, slope in zip(model.parameters(), slopes, strict=True):
        p.grad = slope.clone()  # as between the parts of an accumulated gradient
    fit_metric(model, [x[:40]], damping=0.1, optimizer=optimizers if kind == "muon" else optimizers[0])
    gradients = torch.autograd.grad(loss_of(model, x), list(model.parameters()))
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(remembered(optimizers, p), gradient, rtol=1e-8, atol=1e-11)
        torch.testing.assert_close(p.grad, gradient, rtol=1e-8, atol=1e-11)


def test_gradients_that_are_not_all_there_are_cleared():
    """Those of V in the new metric need those of g and c in the old one."""
    model, x = split(mlp(), "full", "whiten"), data()
    g, v, c = parameters_of(model[0])
    g.requires_grad_(False)
    loss_of(model, x).backward()
    fit_metric(model, [x], layers="0")
    assert all(p.grad is None for p in (g, v, c))
    assert all(p.grad is not None for p in model[2].parameters())


def test_direction_alone_moves_by_the_inverse_transpose():
    """Without memory of lengths and biases, V' = V T takes m to m T^(-T)."""
    model, x = split(mlp(), "full", "whiten"), data()
    fit_metric(model, [x], damping=0.5)
    directions = [p for n, p in model.named_parameters() if n.endswith("original1")]
    optimizer = SGD([{"params": directions, "momentum": 0.9}, {"params": others(model, directions)}], lr=0.01)
    two_steps(model, [optimizer], x)
    old = copy.deepcopy(model)
    buffers = [optimizer.state[p]["momentum_buffer"].clone() for p in directions]
    fit_metric(model, [x[:40]], damping=0.1, optimizer=optimizer)
    for layer, was, p, m in zip(model[::2], old[::2], directions, buffers, strict=True):
        eye = torch.eye(p.shape[1], dtype=torch.float64)
        T = metric_of(layer).factor.colour(metric_of(was).factor.whiten(eye))
        torch.testing.assert_close(p.detach(), parameters_of(was)[1].detach() @ T)
        torch.testing.assert_close(optimizer.state[p]["momentum_buffer"], m @ torch.linalg.inv(T).mT)


def others(model, directions):
    return [p for p in model.parameters() if not any(p is q for q in directions)]


def test_adam_goes_on_from_its_average_gradient_alone():
    """Its next step is bounded: neither a second moment of zero nor a correction for many steps is left."""
    model, x = split(mlp(), "full", "whiten"), data()
    optimizer = Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        two_steps(model, [optimizer], x)
    fit_metric(model, [x], optimizer=optimizer)
    g, v, c = parameters_of(model[0])
    for p in (g, v):
        average = optimizer.state[p]["exp_avg"] / 0.1
        torch.testing.assert_close(optimizer.state[p]["exp_avg_sq"], 0.001 * average.square())
        assert optimizer.state[p]["step"] == 1.0
    assert optimizer.state[c]["step"] == 60.0
    was = v.detach().clone()
    two_steps(model, [optimizer], x)
    assert (v - was).abs().max() <= 2 * 0.01 * 2**0.5


def test_other_optimizers_start_afresh():
    model, x = split(mlp()), data()
    optimizer = RMSprop(model.parameters(), lr=1e-3)
    two_steps(model, [optimizer], x)
    with pytest.warns(UserWarning, match="memory of RMSprop has no known transform"):
        fit_metric(model, [x], optimizer=optimizer)
    g, v, c = parameters_of(model[0])
    assert not optimizer.state.get(g)
    assert not optimizer.state.get(v)
    assert optimizer.state[c]
    two_steps(model, [optimizer], x)


def test_the_memory_of_all_parameters_together_does_not_survive():
    """LBFGS keeps its pairs with the first parameter alone, whichever layer moves."""
    model, x = mlp(), data()
    s_norm(model[2])
    optimizer = LBFGS(model.parameters(), max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert optimizer.state
    with pytest.warns(UserWarning, match="LBFGS"):
        fit_metric(model, [x], layers="2", optimizer=optimizer)
    assert not optimizer.state
    optimizer.step(closure)


def test_adagrad_starts_afresh_with_its_state():
    model, x = split(mlp()), data()
    optimizer = Adagrad(model.parameters(), lr=1e-3, initial_accumulator_value=0.1)
    two_steps(model, [optimizer], x)
    with pytest.warns(UserWarning, match="Adagrad"):
        fit_metric(model, [x], optimizer=optimizer)
    g, _, c = parameters_of(model[0])
    assert float(optimizer.state[g]["sum"].max()) == pytest.approx(0.1)
    assert float(optimizer.state[c]["step"]) == 2.0
    two_steps(model, [optimizer], x)


class Wrapped(torch.optim.Optimizer):
    """As accelerate has it: an Optimizer around one, whose state and groups are its own."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)

    def step(self):
        self.optimizer.step()

    def zero_grad(self):
        self.optimizer.zero_grad()


def test_wrapped_optimizers_are_followed_to_the_inner_one():
    x, models = data(), [split(mlp()) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [SGD(model.parameters(), lr=0.05, momentum=0.9) for model in models]
    wrapped = [optimizers[0], Wrapped(Wrapped(optimizers[1]))]
    for model, optimizer in zip(models, wrapped, strict=True):
        two_steps(model, [optimizer], x)
        fit_metric(model, [x], optimizer=optimizer)
        two_steps(model, [optimizer], x)
    for p, q in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(p, q, rtol=0.0, atol=0.0)


def test_training_goes_on_through_a_move_of_no_distance():
    """The same metric again is the identity map, so a run with such moves is the run without them."""
    x = data()
    model = split(mlp(), "full", "whiten")
    fit_metric(model, [x], layers="0")
    peer = copy.deepcopy(model)
    runs = [
        (model, SGD(model.parameters(), lr=0.02, momentum=0.9)),
        (peer, SGD(peer.parameters(), lr=0.02, momentum=0.9)),
    ]
    for _ in range(3):
        for one, optimizer in runs:
            two_steps(one, [optimizer], x)
        fit_metric(model, [x], layers="0", optimizer=runs[0][1])
    torch.testing.assert_close(model(x), peer(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options", [{"momentum": 0.9, "dampening": 1.0}, {"momentum": 1.0}])
def test_a_buffer_that_is_no_average_is_started_afresh(options):
    x = torch.randn(60, 4, dtype=torch.float64) * torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    model = nn.Sequential(s_norm(nn.Linear(4, 2, dtype=torch.float64), metric="full", mode="whiten"))
    fit_metric(model, [x])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, **options)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    before = model(x).detach()
    fit_metric(model, [x[:30]], optimizer=optimizer)
    torch.testing.assert_close(model(x), before)
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()
    assert all(torch.isfinite(p).all() for p in model.parameters())
