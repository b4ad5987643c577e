"""Whitening the data once is training on raw data, to rounding."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gdnp.nn import fit_metric, fold, s_norm, whiten_inputs  # noqa: E402

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
}


@pytest.fixture
def x():
    return torch.randn(60, 8, dtype=torch.float64) @ torch.randn(8, 8, dtype=torch.float64) + 3.0


def network(x, metric):
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    axes = {"axes": (2, 4)} if metric == "kronecker" else {}
    s_norm(model[0], metric=metric, mode="whiten", **axes)
    return fit_metric(model, [x], damping=0.01)


def train(model, x, optimizer, steps=12):
    for step in range(steps):
        optimizer.zero_grad()
        rows = slice(10 * (step % 6), 10 * (step % 6) + 10)
        model(x[rows]).sin().square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("metric", ["diagonal", "low_rank", "kronecker", "full"])
def test_the_trajectory_is_that_on_raw_data(x, metric, kind):
    raw = network(x, metric)
    optimizer = OPTIMIZERS[kind](raw.parameters())
    train(raw, x, optimizer)  # an optimizer goes on as it was
    white = copy.deepcopy(raw)
    other = OPTIMIZERS[kind](white.parameters())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    kept = [id(p) for p in white.parameters()]
    whitener = whiten_inputs(white[0])
    inputs = whitener(x)
    torch.testing.assert_close(white(inputs), raw(x), rtol=1e-9, atol=1e-9)
    train(raw, x, optimizer)
    train(white, inputs, other)
    for p, q in zip(raw.parameters(), white.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-8, atol=1e-9)
    assert [id(p) for p in white.parameters()] == kept
    torch.testing.assert_close(nn.Sequential(whitener, white)(x), raw(x), rtol=1e-8, atol=1e-8)
    fold(white)
    torch.testing.assert_close(white(inputs), raw(x), rtol=1e-8, atol=1e-8)


def test_a_fitted_whitener_whitens(x):
    model = network(x, "full")
    fit_metric(model, [x], damping=0.0)
    white = whiten_inputs(model[0])(x)
    torch.testing.assert_close(white.mT.cov(correction=0), torch.eye(8).double(), rtol=0.0, atol=1e-9)
    torch.testing.assert_close(white.mean(0), torch.zeros(8).double(), rtol=0.0, atol=1e-9)
    assert not white.requires_grad


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: nn.Linear(3, 2), "Got Linear without s_norm"),
        (lambda: s_norm(nn.Linear(3, 2)), "Got Linear with mode='normalize'"),
        (lambda: s_norm(nn.Conv2d(1, 2, 2), mode="whiten"), "Got Conv2d"),
    ],
)
def test_other_layers_are_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        whiten_inputs(layer())


def test_rows_are_whitened_a_few_at_a_time(x, monkeypatch):
    whitener = whiten_inputs(network(x, "full")[0])
    expected = whitener(x)
    monkeypatch.setattr("gdnp.nn.whitener.CACHED", 50)  # six rows, of sixty
    torch.testing.assert_close(whitener(x), expected)
    torch.testing.assert_close(whitener(x.view(3, 20, 8)), expected.view(3, 20, 8))
    torch.testing.assert_close(whitener(x[0]), expected[0])
