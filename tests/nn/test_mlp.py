"""Networks on data: f_nn against autograd and the population; Algorithm 2 descends and gives the network."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from gdnp import Status  # noqa: E402
from gdnp.datasets import gaussian_design, gaussian_parameters  # noqa: E402
from gdnp.losses import LOSSES, Sigmoid  # noqa: E402
from gdnp.nn import SampleMLP, train_mlp  # noqa: E402
from gdnp.population import PopulationMLP  # noqa: E402
from gdnp.population.examples import Target  # noqa: E402
from gdnp.solvers.units import minimize_units  # noqa: E402
from sample_networks import THETA, drawn, plain  # noqa: E402

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]
CLASSIFICATION = [name for name, loss in LOSSES.items() if loss.task == "classification"]


@pytest.fixture
def data():
    return drawn()


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_gradient_on_data_is_that_of_autograd(rng, data, name):
    net = SampleMLP(*data, THETA, name)
    W = torch.tensor(rng.standard_normal((2, 4)), requires_grad=True)
    value = plain(net, name)(W)
    value.backward()
    assert net.value(W.detach().numpy()) == pytest.approx(value.item(), rel=1e-14)
    assert net.gradient(W.detach().numpy()) == pytest.approx(W.grad.numpy(), abs=1e-15)


def test_line_on_data_is_that_of_autograd(rng, data):
    net, W, d = SampleMLP(*data, THETA), rng.standard_normal((2, 4)), rng.standard_normal(4)
    f, along = plain(net, "log_loss"), torch.as_tensor(np.stack([np.zeros(4), d]))

    def restriction(t):
        return f(torch.as_tensor(W) + t * along)

    t = torch.tensor(0.4, dtype=torch.float64)
    line = net.unit(1, W).at(W[1]).line(d)
    second = line.expansion(0.4)
    assert second.value == pytest.approx(restriction(t).item(), rel=1e-14)
    slope = torch.autograd.functional.jacobian(restriction, t).item()
    assert second.gradient == pytest.approx([slope, 0.0], abs=1e-14)
    curvature = torch.autograd.functional.hessian(restriction, t).item()
    assert second.hessian[0, 0] == pytest.approx(curvature, abs=1e-13)
    assert line.point(0.4).value == pytest.approx(second.value, rel=1e-14)
    assert line.point(0.4).coef == pytest.approx(W[1] + 0.4 * d)


def test_moments_are_those_of_the_centred_rows(data):
    X, y = (tensor.numpy() for tensor in data)
    net = SampleMLP(X, y, THETA)
    z = -y[:, None] * (X - X.mean(0))
    assert net.u == pytest.approx(z.mean(0), abs=1e-14)
    assert pytest.approx(z.T @ z / len(z), rel=1e-12, abs=1e-14) == net.covariance.S
    plain_rows = SampleMLP(X, y, THETA, center=False)
    assert not plain_rows.mean.any()
    assert plain_rows.u == pytest.approx(-(y[:, None] * X).mean(0), abs=1e-14)


def test_a_large_sample_approaches_the_population(rng):
    u, S = gaussian_parameters(3, kappa=3.0, r=0.6, seed=1)
    population = PopulationMLP(u, S, THETA)
    coef = np.outer([-1.5, 0.8], population.optimal_direction)
    coef[1] += 0.0
    errors = []
    for n in (2_000, 200_000):
        design = gaussian_design(n, 3, kappa=3.0, r=0.6, seed=1)
        sample = SampleMLP(design.X, design.y, THETA, center=False)
        w = np.array([0.4, -1.0, 0.3])
        exact, found = population.unit(1, coef).at(w), sample.unit(1, coef).at(w)
        errors.append(abs(found.value - exact.value))
        assert found.mean_curvature == pytest.approx(exact.mean_curvature, abs=2.0 / math.sqrt(n))
        ours = sample.unit(1, coef).stein_coefficient(found)
        theirs = population.unit(1, coef).stein_coefficient(exact)
        assert ours == pytest.approx(theirs, abs=2.0 / math.sqrt(n))
        assert found.gradient == pytest.approx(exact.gradient, abs=3.0 / math.sqrt(n))
    assert errors[1] < 2e-3


def test_lemma_2_has_a_counterexample():
    """Two units at a strict minimum off the line; quadrature over the plane, nothing of the library."""
    h, r = 0.06, 0.6
    grid = h * torch.arange(-134, 135, dtype=torch.float64)
    weight = torch.exp(-0.5 * grid**2)
    weight = torch.outer(weight, weight).ravel() / weight.sum() ** 2
    s1, s2 = torch.meshgrid(math.sqrt(r) + math.sqrt(1.0 - r) * grid, grid, indexing="ij")
    z = torch.stack([s1.ravel(), s2.ravel()], dim=1)

    def f(flat):
        return weight @ -torch.nn.functional.logsigmoid(-torch.tanh(z @ flat.reshape(2, 2).T).sum(1))

    W = torch.tensor([-2.938, 0.254, -2.938, -0.254], dtype=torch.float64)
    for _ in range(4):
        hessian = torch.autograd.functional.hessian(f, W)
        W = W - torch.linalg.solve(hessian, torch.autograd.functional.jacobian(f, W))
    assert torch.autograd.functional.jacobian(f, W).abs().max() < 1e-13
    assert torch.linalg.eigvalsh(torch.autograd.functional.hessian(f, W))[0].item() == pytest.approx(
        1.3e-3, rel=0.05
    )
    assert W.tolist() == pytest.approx([-2.938, 0.254, -2.938, -0.254], abs=1e-3)
    assert f(W).item() == pytest.approx(0.309585, abs=5e-7)
    population = PopulationMLP([math.sqrt(r), 0.0], np.eye(2), (1.0, 1.0))
    aligned = minimize_units(population, "gdnp_metric", sweeps=14, max_iter=10, tol=1e-11)
    assert aligned.objective == pytest.approx(0.309660, abs=5e-7)
    flat = torch.as_tensor(aligned.coef.ravel())
    assert f(flat).item() == pytest.approx(aligned.objective, abs=1e-12)
    assert torch.autograd.functional.jacobian(f, flat).abs().max() < 1e-10
    least = torch.linalg.eigvalsh(torch.autograd.functional.hessian(f, flat))[0].item()
    assert least == pytest.approx(-2.6e-3, rel=0.05)  # the best aligned point is a strict saddle


def test_losses_that_cannot_be_taken_are_refused(data):
    for loss, error, message in (
        ("pseudo_huber", ValueError, "Got 'pseudo_huber'"),
        (3, TypeError, "Got int"),
        ("no_such_loss", ValueError, "loss must be one of"),
        (lambda t: t, TypeError, "a name or a gdnp.losses.Loss. Got function"),
    ):
        with pytest.raises(error, match=message):
            SampleMLP(*data, THETA, loss)


def test_a_loss_with_formulas_of_its_own(data):
    """ℓ of a user on arrays."""
    network, f = SampleMLP(*data, THETA, Target()), Target()
    W = np.ones((2, 4))
    outputs = np.tanh(network.z.numpy() @ W.T) @ THETA
    assert network.value(W) == pytest.approx(f.value(outputs).mean(), rel=1e-12)


# Algorithm 2


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_training_descends_and_gives_the_network(data, dtype, device):
    X, y = data[0].to(device, dtype), data[1].to(device)
    result = train_mlp(X, y, THETA, method="gdnp_metric", sweeps=2, max_iter=15)
    for tensor in (result.coef, result.intercept, result.direction, result.length, result.theta):
        assert tensor.dtype == dtype
        assert tensor.device == X.device
    assert (np.diff(result.history["objective"]) < 0.0).all()
    tol = 1e-12 if dtype == torch.float64 else 1e-6
    F = result.module()(X)
    assert F.shape == (len(X), 1)
    value = torch.nn.functional.softplus(-y * F[:, 0].double()).mean()
    assert value.item() == pytest.approx(result.objective, rel=tol)
    assert ((F[:, 0] > 0) == (y > 0)).double().mean() > 0.8
    assert torch.allclose(result.coef, result.length[:, None] * result.direction, rtol=1e-5)


def test_float32_follows_float64(data):
    X, y = data
    fine, coarse = (
        train_mlp(X.to(dtype), y, THETA, method="gdnp_metric", max_iter=8)
        for dtype in (torch.float64, torch.float32)
    )
    assert coarse.objective == pytest.approx(fine.objective, rel=1e-4)
    assert coarse.coef.numpy() == pytest.approx(fine.coef.numpy(), rel=0.02, abs=0.02)


def test_training_does_not_depend_on_units_of_measurement(data):
    """x -> Dx + b is no change: the columns are centred and the steps are in the metric S."""
    X, y = data
    scale = torch.tensor([1e-3, 1.0, 50.0, 7.0], dtype=torch.float64)
    start = torch.tensor([[1.0, -2.0, 0.5, 1.0], [0.3, 0.3, -1.0, 2.0]], dtype=torch.float64)
    plain_units, other = (
        train_mlp(rows, y, THETA, method="gdnp_metric", max_iter=6, start=w0)
        for rows, w0 in ((X, start), (X * scale + 2.0, start / scale))
    )
    assert other.objective == pytest.approx(plain_units.objective, rel=1e-9)
    assert (other.coef * scale).numpy() == pytest.approx(plain_units.coef.numpy(), rel=1e-6, abs=1e-8)


def test_gdnp_trains_on_data_too(data):
    result = train_mlp(*data, (2.0,), max_iter=60, tol=1e-5)
    assert result.status is Status.CONVERGED
    f = plain(SampleMLP(*data, (2.0,)), "log_loss")
    W = result.coef.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(W), W)
    assert gradient.abs().max() < 1e-5


def test_training_on_much_data_ends_near_the_population():
    design = gaussian_design(100_000, 3, kappa=3.0, r=0.6, seed=2)
    found = train_mlp(design.X, design.y, THETA, method="gdnp_metric", max_iter=6)
    u, S = gaussian_parameters(3, kappa=3.0, r=0.6, seed=2)
    population = PopulationMLP(u, S, THETA)
    exact = minimize_units(population, "gdnp_metric", max_iter=10, tol=1e-10)
    assert found.objective == pytest.approx(exact.objective, abs=5e-3)
    lengths = [population.covariance.norm(row) for row in exact.coef]
    assert found.length.numpy() == pytest.approx(lengths, rel=0.05)


def test_a_loss_by_name_or_of_a_users_own(data):
    by_name, by_object = (
        train_mlp(*data, THETA, loss=loss, method="gdnp_metric", max_iter=3).objective
        for loss in ("sigmoid", Sigmoid())
    )
    assert by_name == by_object
    result = train_mlp(*data, THETA, loss=Target(), method="gdnp_metric")
    assert result.history["objective"][-1] < result.history["objective"][0]


def test_training_leaves_random_numbers_and_inputs_alone(data):
    X, y = data[0].requires_grad_(), data[1]
    before, copy = torch.get_rng_state(), X.detach().clone()
    module = train_mlp(X, y, THETA, method="gdnp_metric", max_iter=2).module()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(X.detach(), copy)
    assert X.grad is None
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_arrays_may_be_read_only_and_labels_of_any_kind(data):
    X, y = data[0].numpy().copy(), data[1].numpy().copy()
    X.flags.writeable = y.flags.writeable = False
    options = {"method": "gdnp_metric", "max_iter": 2}
    expected = train_mlp(*data, torch.tensor(THETA, dtype=torch.float64), **options).coef.tolist()
    assert train_mlp(X, y, THETA, **options).coef.tolist() == expected
    for labels in (y.astype(int).tolist(), (y + 1.0) / 2.0, np.where(y > 0.0, "yes", "no")):
        assert train_mlp(X, labels, THETA, **options).coef.tolist() == expected


def test_bad_data_are_refused(data):
    X, y = data
    for rows, labels, error, message in (
        (X[0], y, ValueError, r"X must have shape \(n, d\)\. Got \(4,\)"),
        (X.long(), y, TypeError, r"X must hold float32 or float64\. Got torch\.int64; convert"),
        (X.half(), y, TypeError, r"Got torch\.float16"),
        (X / 0.0, y, ValueError, "X must be finite. Got NaN or infinity"),
        (X, y[:-1], ValueError, r"y must have one entry per row of X, shape \(1500,\)\. Got shape \(1499,\)"),
        (X, torch.arange(len(y)) % 3, ValueError, "y must have two labels for log_loss. Got 3: 0"),
        (X, torch.ones_like(y), ValueError, r"y must have rows of both classes.* Got 1 alone"),
        (torch.ones_like(X), y, ValueError, "X must tell the classes apart"),
    ):
        with pytest.raises(error, match=message):
            train_mlp(rows, labels, THETA)
    with pytest.raises(ValueError, match=r"coef must have shape \(2, 4\)\. Got \(4,\)"):
        SampleMLP(X, y, THETA).unit(0, np.zeros(4))
    with pytest.raises(ValueError, match=r"theta must hold"):
        train_mlp(X, y, [])
    with pytest.raises(ValueError, match=r"sweeps must be a whole number of at least 1\. Got 0"):
        train_mlp(X, y, THETA, sweeps=0)
