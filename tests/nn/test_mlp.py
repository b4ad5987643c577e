"""f_nn on data against autograd, and against the population."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from gdnp.datasets import gaussian_design, gaussian_parameters  # noqa: E402
from gdnp.losses import LOSSES  # noqa: E402
from gdnp.nn import SampleMLP  # noqa: E402
from gdnp.population import PopulationMLP  # noqa: E402
from gdnp.population.examples import Target  # noqa: E402
from gdnp.solvers.units import minimize_units  # noqa: E402
from sample_networks import BY_NAME, THETA, drawn, plain  # noqa: E402

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


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_functions_of_tensors_are_differentiated(name, data):
    t = np.linspace(-30.0, 30.0, 121)
    by_autograd = SampleMLP(*data, THETA, BY_NAME[name])
    value, first, second = by_autograd.outer(t)
    loss = LOSSES[name]
    assert value == pytest.approx(loss.value(t), rel=1e-13, abs=1e-15)
    assert first == pytest.approx(loss.gradient(t), rel=1e-12, abs=1e-15)
    assert second == pytest.approx(loss.curvature(t), rel=1e-11, abs=1e-15)
    np.testing.assert_array_equal(by_autograd.slope(t), first)
    value, first, second = SampleMLP(*data, THETA, lambda t: 3.0 * t).outer(t)
    assert set(first) == {3.0}
    assert set(second) == {0.0}


def test_losses_that_cannot_be_taken_are_refused(data):
    for loss, error, message in (
        ("pseudo_huber", ValueError, "Got 'pseudo_huber'"),
        (3, TypeError, "Got int"),
        ("no_such_loss", ValueError, "loss must be one of"),
    ):
        with pytest.raises(error, match=message):
            SampleMLP(*data, THETA, loss)


def test_a_loss_with_formulas_of_its_own(data):
    """ℓ of a user on arrays."""
    network, f = SampleMLP(*data, THETA, Target()), Target()
    W = np.ones((2, 4))
    outputs = np.tanh(network.z.numpy() @ W.T) @ THETA
    assert network.value(W) == pytest.approx(f.value(outputs).mean(), rel=1e-12)
