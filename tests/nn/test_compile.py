"""torch.compile takes every metric in one graph, and sees a metric that has moved."""

import shutil

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gdnp.nn import fit_metric, s_norm  # noqa: E402

COMPILER = next((path for name in ("g++", "clang++", "c++") if (path := shutil.which(name))), None)
CHEAP = {"cpp_cache_precompile_headers": False, "cpp.simdlen": 1}  # to compile: half the time

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()


def outcome(model, call, x):
    out = call(x)
    return out, torch.autograd.grad(out.square().mean(), list(model.parameters()))


def check(model, compiled, x):
    out, gradients = outcome(model, compiled, x)
    expected, slopes = outcome(model, model, x)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    for a, b in zip(gradients, slopes, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


def test_one_graph_with_the_same_output_and_gradient():
    layers = [
        s_norm(nn.Linear(6, 6), metric="full", mode="whiten"),
        s_norm(nn.Linear(6, 6), metric="low_rank"),
        s_norm(nn.Linear(6, 6), metric="batch"),
        s_norm(nn.Linear(6, 6), metric="diagonal"),
        s_norm(nn.Linear(6, 6), metric="identity"),
    ]
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh()))).double()
    x = torch.randn(40, 6, dtype=torch.float64) + 2.0
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    check(model, compiled, x)
    before = model(x).detach()
    fit_metric(compiled, x.split(20))  # sees the inputs although the graph runs no new hooks
    assert model[0].parametrizations.weight[0].mean.abs().max() > 0.5
    torch.testing.assert_close(model(x), before, rtol=1e-9, atol=1e-9)
    check(model, compiled, x)


def test_a_compiled_part_of_a_model_is_fitted():
    part = nn.Sequential(s_norm(nn.Linear(6, 4)), nn.Tanh()).double()
    model = nn.Sequential(torch.compile(part, backend="aot_eager", fullgraph=True), nn.Tanh())
    x = torch.randn(40, 6, dtype=torch.float64) + 2.0
    with torch.no_grad():  # a graph without gradients, as fit_metric runs it, that knows no hook
        model(x)
    fit_metric(model, [x])
    torch.testing.assert_close(part[0].parametrizations.weight[0].mean, x.mean(0))


@pytest.mark.skipif(COMPILER is None, reason="torch.compile needs a C++ compiler, and none is on the PATH")
def test_compiled_code():
    layer = s_norm(nn.Linear(6, 4), metric="full", mode="whiten").double()
    x = torch.randn(40, 6, dtype=torch.float64) + 2.0
    fit_metric(layer, [x])
    with torch._inductor.config.patch(CHEAP):
        check(layer, torch.compile(layer, fullgraph=True), x)
