"""Algorithm 2 on tensors: it descends, gives the network, and depends on no units of measurement."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from gdnp import Status  # noqa: E402
from gdnp.datasets import gaussian_design, gaussian_parameters  # noqa: E402
from gdnp.losses import Sigmoid  # noqa: E402
from gdnp.nn import SampleMLP, train_mlp  # noqa: E402
from gdnp.population import PopulationMLP  # noqa: E402
from gdnp.solvers.units import minimize_units  # noqa: E402
from sample_networks import THETA, drawn, plain  # noqa: E402

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]


@pytest.fixture
def data():
    return drawn()


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


def test_a_loss_of_a_users_own(data):
    result = train_mlp(*data, THETA, loss=lambda t: torch.sqrt(1.0 + (t + 1.0) ** 2), method="gdnp_metric")
    assert result.history["objective"][-1] < result.history["objective"][0]
    by_name, by_function = (
        train_mlp(*data, THETA, loss=loss, method="gdnp_metric", max_iter=3)
        for loss in ("sigmoid", torch.sigmoid)
    )
    # formulas on arrays and autograd on tensors: the same iterates
    np.testing.assert_allclose(by_name.coef, by_function.coef, rtol=1e-10)
    assert train_mlp(*data, THETA, loss=Sigmoid(), method="gdnp_metric", max_iter=3).objective == (
        by_name.objective
    )


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
    assert train_mlp(X, y.astype(int).tolist(), THETA, **options).coef.tolist() == expected


def test_bad_data_are_refused(data):
    X, y = data
    for rows, labels, error, message in (
        (X[0], y, ValueError, r"X must have shape \(n, d\)\. Got \(4,\)"),
        (X.long(), y, TypeError, r"X must hold float32 or float64\. Got torch\.int64; convert"),
        (X.half(), y, TypeError, r"Got torch\.float16"),
        (X / 0.0, y, ValueError, "X must be finite. Got NaN or infinity"),
        (X, y[:-1], ValueError, r"y must have one entry per row of X, shape \(1500,\)\. Got \(1499,\)"),
        (X, (y + 1) / 2, ValueError, "as -1 and \\+1. Got 0, 1; map"),
        (X, torch.ones_like(y), ValueError, r"y must hold both classes.* Got 1; map"),
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
