"""fit_metric keeps the function, takes S from the data, and moves an optimizer's memory along."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.optim import SGD, Adam, AdamW, Muon, RMSprop  # noqa: E402

from gdnp.nn import fit_metric, fold, s_norm  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from gdnp.nn.rebase import parameters_of  # noqa: E402

WAYS = [
    ("diagonal", "normalize"),
    ("low_rank", "whiten"),
    ("kronecker", "whiten"),
    ("full", "normalize"),
    ("full", "whiten"),
]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


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


@pytest.mark.parametrize(("metric", "mode"), WAYS)
@pytest.mark.parametrize("make", [mlp, convnet])
def test_function_stays_and_the_metric_is_that_of_the_data(make, metric, mode):
    model = make()
    x = data() if make is mlp else torch.randn(30, 2, 5, 5, dtype=torch.float64) + 1.0
    before = model(x)
    split(model, metric, mode)
    assert fit_metric(model, x.split(7), damping=0.05) is model
    torch.testing.assert_close(model(x), before, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(torch.rand_like(p) + 0.5)
            p.neg_()  # a length may have become negative
    moved = model(x)
    assert not torch.allclose(moved, before)
    fit_metric(model, x.flip(0).split(40), damping=0.2)
    torch.testing.assert_close(model(x), moved, rtol=1e-9, atol=1e-9)
    fold(model)
    torch.testing.assert_close(model(x), moved, rtol=1e-9, atol=1e-9)


def test_the_fitted_metric_standardises_the_units():
    """With S of the data and no damping, g is the standard deviation of a unit and c its mean."""
    model, x = mlp(), data()
    split(model)
    fit_metric(model, iter(x.split(9)), damping=0.0)
    h = x
    for layer in model:
        if isinstance(layer, nn.Linear):
            g, _, c = parameters_of(layer)
            units = layer(h).detach()
            torch.testing.assert_close(g.flatten().detach(), units.std(0, correction=0))
            torch.testing.assert_close(c.detach(), units.mean(0))
        h = layer(h)


def test_only_the_named_layers_move_and_in_one_pass():
    model, x = split(mlp()), data()
    batches = list(x.split(20))
    before = copy.deepcopy(model.state_dict())
    fit_metric(model, (batches.pop() for _ in range(4)), layers=["2"])
    assert not batches
    changed = {
        name.split(".")[0] for name, value in model.state_dict().items() if not value.equal(before[name])
    }
    assert changed == {"2"}
    assert metric_of(model[2]).mean.abs().max() > 0.0
    fit_metric(model, [(x, "a target")], layers="0")
    assert metric_of(model[0]).mean.abs().max() > 0.0


def test_damping_is_kept_for_the_next_metric():
    model, peer, x = mlp(), mlp(), data()
    for one, damping in ((model, 0.7), (peer, 0.0)):
        s_norm(one[0], metric="diagonal")
        fit_metric(one, [x[:9]], damping=damping)
    fit_metric(model, [x])
    fit_metric(peer, [x], damping=0.7)
    torch.testing.assert_close(metric_of(model[0]).factor.scale, metric_of(peer[0]).factor.scale)


def test_rank_is_judged_at_the_accuracy_of_the_data():
    """The eigenvalues that twenty rows leave to rounding in float32 are far above that of float64."""
    model = nn.Sequential(s_norm(nn.Linear(100, 3), mode="whiten"))
    x = torch.randn(20, 100)
    with pytest.raises(ValueError, match="singular to the accuracy of the data"):
        fit_metric(model, [x], damping=0.0)
    fit_metric(model, [x], damping=1e-4)


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
    remember(optimizers, model, torch.autograd.grad(loss_of(model, x), list(model.parameters())))
    fit_metric(model, [x[:40]], damping=0.1, optimizer=optimizers if kind == "muon" else optimizers[0])
    gradients = torch.autograd.grad(loss_of(model, x), list(model.parameters()))
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(remembered(optimizers, p), gradient, rtol=1e-8, atol=1e-11)
        assert p.grad is None or gradient.shape == p.shape[:1]  # that of c stays


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
    fit_metric(model, [x], optimizer=optimizer)
    g, v, c = parameters_of(model[0])
    assert not optimizer.state.get(g)
    assert not optimizer.state.get(v)
    assert optimizer.state[c]
    two_steps(model, [optimizer], x)


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


def test_statistics_of_other_layers_are_left_as_they_were():
    model, x = mlp(nn.BatchNorm1d(5)).double(), data()
    s_norm(model[0])
    model(x)
    before = copy.deepcopy(model[1].state_dict())
    fit_metric(model, x.split(20))
    assert all(torch.equal(value, before[name]) for name, value in model[1].state_dict().items())
    assert model.training


def test_batch_computes_in_evaluation_what_the_layer_did():
    model, x = mlp(), data()
    before = model(x)
    for layer in (model[0], model[2]):
        s_norm(layer, metric="batch")
    fit_metric(model, [x])
    torch.testing.assert_close(model.eval()(x), before, rtol=1e-6, atol=1e-6)
    fold(model)
    torch.testing.assert_close(model(x), before, rtol=1e-6, atol=1e-6)


def test_batch_on_convolutions_and_sequences_counts_every_position():
    for layer, x in (
        (nn.Conv2d(2, 4, 3), torch.randn(9, 2, 7, 8, dtype=torch.float64)),
        (nn.Linear(6, 4), torch.randn(9, 7, 6, dtype=torch.float64)),
    ):
        model = nn.Sequential(layer.double())
        before = model(x)
        s_norm(layer, metric="batch")
        fit_metric(model, x.split(2))
        torch.testing.assert_close(model.eval()(x), before, rtol=1e-9, atol=1e-9)


def test_later_statistics_of_the_batch_leave_length_and_shift():
    model, x = nn.Sequential(nn.Linear(6, 4)).double(), data()
    s_norm(model[0], metric="batch")
    model(x)
    g, c = (p.detach().clone() for p in (model[0].s_norm.g, model[0].s_norm.c))
    trained = model(x)
    fit_metric(model, [x])
    assert torch.equal(model[0].s_norm.g, g)
    assert torch.equal(model[0].s_norm.c, c)
    with torch.no_grad():  # precise statistics: those of all rows, with n - 1 as BatchNorm has it
        torch.testing.assert_close(
            model.eval()(x), c + (trained - c) * (79 / 80) ** 0.5, rtol=1e-5, atol=1e-5
        )


def test_unfitted_batch_layers_stay_without_statistics():
    model, x = mlp(), data()
    s_norm(model[0], metric="batch")
    s_norm(model[2])
    fit_metric(model, [x], layers="2")
    with pytest.raises(RuntimeError, match="seen no batch"):
        model.eval()(x)


def test_identity_needs_no_data():
    model = split(mlp(), "identity")
    before = copy.deepcopy(model.state_dict())
    fit_metric(model, [data()])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_inputs_by_keyword_and_repeated_layers():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 6).double()

        def forward(self, x):
            return self.layer(input=self.layer(input=x).tanh())

    model, x = Twice(), data()
    s_norm(model.layer)
    h = model.layer(x).tanh().detach()
    fit_metric(model, [x])
    torch.testing.assert_close(metric_of(model.layer).mean, torch.cat([x, h]).mean(0))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x: fit_metric(mlp(), [x]), ValueError, "Got a model without; call s_norm"),
        (lambda m, x: fit_metric(m, []), ValueError, "at least one batch. Got none"),
        (lambda m, x: fit_metric(m, [x.numpy()]), TypeError, "must yield tensors.*Got ndarray"),
        (lambda m, x: fit_metric(m, [{"x": x}]), TypeError, "Got dict; wrap it"),
        (lambda m, x: fit_metric(m, [()]), TypeError, "Got tuple"),
        (lambda m, x: fit_metric(m, None), TypeError, "loader must yield batches.*Got NoneType"),
        (lambda m, x: fit_metric(m, [x], layers=3), TypeError, "layers must be names.*Got 3"),
        (lambda m, x: fit_metric(m, [x], optimizer="sgd"), TypeError, "Optimizer of PyTorch.*Got 's'"),
        (lambda m, x: fit_metric(m, [x], layers=["7"]), ValueError, "here '0', '2'. Got '7', no layer"),
        (
            lambda m, x: fit_metric(m, [x], layers=["4"]),
            ValueError,
            "Got '4', a layer without it; call s_norm",
        ),
        (lambda m, x: fit_metric(m, [x], damping=-1.0), ValueError, "damping must be"),
        (lambda m, x: fit_metric(m, [x * float("nan")]), ValueError, "inputs of layer '0' must be finite"),
        (
            lambda m, x: fit_metric(m, [x[:2]], damping=0.0),
            ValueError,
            "layer '0': S must be positive definite",
        ),
        (
            lambda m, x: fit_metric(m, [x], optimizer=SGD([m[0].parametrizations.bias.original], lr=1.0)),
            ValueError,
            "hold g and V.*'0'; make it after s_norm",
        ),
    ],
)
def test_bad_input_is_named_and_changes_nothing(call, error, message):
    model, x = mlp(), data()
    s_norm(model[0])
    s_norm(model[2])
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(error, match=message):
        call(model, x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model)


def test_a_layer_that_is_not_used_is_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(6, 2).double(), s_norm(nn.Linear(6, 2).double())

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ValueError, match="'spare' must be used in the forward pass"):
        fit_metric(Unused(), [data()])


@pytest.mark.parametrize("options", [{"momentum": 0.9, "dampening": 1.0}, {"momentum": 1.0}])
def test_a_buffer_that_is_no_average_is_started_afresh(options):
    torch.manual_seed(0)
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
