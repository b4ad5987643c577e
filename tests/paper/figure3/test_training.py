"""What Figure 3 trains and measures, against the same by hand."""

import numpy as np
import pytest

from gdnp.paper.figure3.verdicts import collect
from paper_problems import DIGITS, saved
from paper_problems import FIGURE3 as TINY


def test_measurements_are_those_of_cross_dependency_on_the_trained_network(torch, figure3):
    """The run once more by hand: same weights, plain steps, exact norms."""
    from torch.nn import functional as F

    from gdnp.datasets import load_digits
    from gdnp.nn import cross_dependency, matrix_layers
    from gdnp.paper.figure3.training import build

    settings, results = saved(TINY, figure3)
    data = load_digits()
    X = data.X[:40] - data.X[:40].mean(axis=0)
    X = torch.from_numpy((X / X.std()).astype(np.float32))
    y = torch.from_numpy(data.y[:40].astype(np.int64))
    for network in ("bn", "gd"):
        runs = collect(settings, results, network)
        model = build(64, 10, depth=4, width=6, normalised=network == "bn", seed=1)
        assert list(matrix_layers(model)) == ["W1", "W2", "W3", "W4", "W5"]
        for _ in range(4):
            model.zero_grad()
            F.cross_entropy(model(X), y).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= runs.step * parameter.grad
        loss = F.cross_entropy(model(X), y)
        assert float(loss.detach()) == pytest.approx(runs.loss[1, 4], rel=1e-4)
        gradient = torch.autograd.grad(loss, list(model.parameters()))
        norm = torch.cat([piece.flatten() for piece in gradient]).norm()
        assert float(norm) == pytest.approx(runs.gradient_norm[1, 4], rel=1e-3)
        exact = cross_dependency(model, F.cross_entropy, X, y, "W3", exact=True)
        found = runs.dependencies["raw"][1, list(runs.times).index(4)]
        np.testing.assert_allclose(found, [value for value, _ in exact.values()], rtol=0.5)  # four probes
        weights = [float(weight.detach().norm()) for weight in matrix_layers(model).values()]
        scale = weights[2] * np.delete(weights, 2)
        np.testing.assert_allclose(
            runs.dependencies["scaled"][1, list(runs.times).index(4)], found * scale, rtol=1e-3
        )


def test_every_measurement_has_random_vectors_of_its_own(torch):
    from gdnp.paper.figure3.training import _measure, build

    X, y = torch.linspace(-1.0, 1.0, 40).reshape(10, 4), torch.arange(10) % 3
    model = build(4, 3, depth=2, width=5, normalised=True, seed=0)
    config = {"seed": 1, "network": {"layer": 2}, "probes": 2}
    first, again, later, other = (
        _measure(model, X, y, {**config, "seed": seed}, t)["norm"]
        for seed, t in ((1, 0), (1, 0), (1, 5), (2, 0))
    )
    assert first == again
    assert first != later
    assert first != other


def test_networks_start_from_the_same_weights_and_leave_the_random_state(torch):
    from gdnp.nn import matrix_layers
    from gdnp.paper.figure3.training import build

    before = torch.get_rng_state()
    bn, gd = (build(5, 3, depth=2, width=4, normalised=flag, seed=3) for flag in (True, False))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(matrix_layers(bn).values(), matrix_layers(gd).values(), strict=True):
        assert torch.equal(a, b)
    assert [name for name, _ in bn.named_children()] == ["W1", "BN1", "tanh1", "W2", "BN2", "tanh2", "W3"]
    assert [name for name, _ in gd.named_children()] == ["W1", "tanh1", "W2", "tanh2", "W3"]
    assert bn.W1.bias is None
    assert not gd.W1.bias.any()


def test_step_is_the_best_of_the_grid_and_a_diverging_one_is_not(torch):
    from gdnp.paper.figure3.training import tune

    _, settings = TINY.settings(DIGITS)
    (part,) = (part for part in TINY.parts(settings, DIGITS) if part.name == "gd/step")
    found = tune({**part.config, "steps": [float("inf"), 1e-6, 0.3], "iterations": 10})
    assert found["step"] == 0.3
    assert found["losses"][2] < found["losses"][1]
    assert np.isnan(found["losses"][0])
