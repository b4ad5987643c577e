"""Effective steps against steps written down, and displays from matrices."""

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from gdnp.nn import DependencyDisplay, StepMonitor, cross_dependency, fit_metric, s_norm  # noqa: E402
from gdnp.nn.dependency import DependencyMatrix  # noqa: E402
from layers import data, mlp, residual_network, split  # noqa: E402


def test_angle_and_growth_of_steps_that_are_known():
    """Each unit turned by its own small angle in a plane, and the whole weight scaled."""
    layer = nn.Linear(4, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(4)[:3])
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    angles = torch.tensor([1e-6, 1e-3, 0.5], dtype=torch.float64)
    turned = angles.cos()[:, None] * torch.eye(4)[:3].double()
    turned[:, 3] = angles.sin()
    with StepMonitor(layer, optimizer) as monitor:
        layer.weight.grad = layer.weight.detach() - 2.0 * turned
        optimizer.step()
    ((angle, growth),) = monitor.history["weight"]
    assert angle == pytest.approx(float(angles.mean()), rel=1e-5)
    assert growth == pytest.approx(math.log(2.0), rel=1e-6)
    optimizer.step()  # no longer watched
    assert len(monitor.history["weight"]) == 1


def test_parametrised_weights_are_those_that_the_layer_computes_with():
    """Growing V alone is no step of W; growing g is one of length alone."""
    model, x = split(mlp(), "full", "whiten"), data()
    fit_metric(model, [x])
    lists = model[0].parametrizations.weight
    optimizers = [torch.optim.SGD([p], lr=1.0) for p in (lists.original0, lists.original1)]
    monitor = StepMonitor(model, optimizers)
    for p, growth in ((lists.original1, 0.0), (lists.original0, math.log(3.0))):
        for other in (lists.original0, lists.original1):
            other.grad = torch.zeros_like(other)
        p.grad = -2.0 * p.detach()
        for optimizer in optimizers:
            optimizer.step()
        angle, found = monitor.history["0"][-1]
        assert angle == pytest.approx(0.0, abs=1e-5)
        assert found == pytest.approx(growth, abs=1e-6)
    assert monitor.history["2"] == [(0.0, 0.0)] * 2


def test_training_is_the_same_with_a_monitor():
    runs = []
    for watched in (False, True):
        model = residual_network()
        s_norm(model[2].second)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        monitor = StepMonitor(model, optimizer) if watched else None
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(2, 2, 8, 8).cumsum(3)).square().mean().backward()
            optimizer.step()
        runs.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    assert all(len(steps) == 2 and steps[0][0] > 0.0 for steps in monitor.history.values())


def matrix(scale=1.0):
    norms = torch.tensor([[4.0, 1.0], [1.0, 2.0]], dtype=torch.float64) * scale
    return DependencyMatrix(("a", "b"), norms, 0.0 * norms, torch.tensor([2.0, 3.0], dtype=torch.float64))


def test_a_heat_map_and_a_history():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    display = DependencyDisplay({0: matrix(), 10: matrix(10.0)})
    shown = display.plot(scaled=False).ax_.images[0].get_array()
    torch.testing.assert_close(torch.as_tensor(shown.data), matrix(10.0).norms.log10())
    shown = display.plot().ax_.images[0].get_array()
    assert float(shown[0, 1]) == pytest.approx(math.log10(10.0 * 6.0))
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["a", "b"]
    lines = display.plot_history().ax_.lines
    assert [list(line.get_ydata()) for line in lines] == [[0.25, 0.25], [0.5, 0.5]]
    assert [list(line.get_xdata()) for line in lines] == [[0, 10]] * 2
    model, x = mlp(), data()
    y = torch.arange(len(x)) % 3
    _, ax = pyplot.subplots()
    found = cross_dependency(model, F.cross_entropy, x, y, probes=1)
    assert DependencyDisplay(found).plot(ax=ax).ax_ is ax
    expected = found.scaled.norms.log10()
    torch.testing.assert_close(torch.as_tensor(ax.images[0].get_array().data), expected)
    pyplot.close("all")
    with pytest.raises(ValueError, match="at least one DependencyMatrix"):
        DependencyDisplay({})


@pytest.mark.parametrize("of", ["another model", "none"])
def test_an_optimizer_of_other_parameters_is_refused(of):
    other = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizer must hold parameters of the model"):
        StepMonitor(nn.Linear(2, 2), other if of == "another model" else [])
