"""Networks on an accelerator as on the processor. Without one that half of the tests is skipped."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from gdnp.nn import StepMonitor, cross_dependency, fit_metric, fold, s_norm, s_norm_model, whiten_inputs  # noqa: E402
from layers import METRICS, MODES  # noqa: E402

ABSENT = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=ABSENT)]
WAYS = [(metric, mode) for metric in METRICS for mode in MODES] + [("batch", "normalize")]

pytestmark = pytest.mark.parametrize("device", DEVICES)


def drawn():
    """A network on the processor, and batches that stay there."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    return model, torch.randn(60, 6) + 0.5


def registered(model, metric, mode):
    axes = {"axes": (2, 3)} if metric == "kronecker" else {}
    return s_norm(model[2], metric=metric, mode=mode, **axes)


@pytest.mark.parametrize(("metric", "mode"), WAYS)
def test_a_metric_is_fitted_moved_saved_and_folded(metric, mode, device):
    model, x = drawn()
    host = copy.deepcopy(model).eval()
    model.to(device).eval()
    registered(model, metric, mode)
    fit_metric(model, x.split(20))
    torch.testing.assert_close(model(x.to(device)).cpu(), host(x), rtol=1e-3, atol=1e-4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        model(x.to(device)).square().mean().backward()
        optimizer.step()
    before = model(x.to(device)).detach()
    fit_metric(model, [x], damping=0.3, optimizer=optimizer)
    if metric != "batch":
        torch.testing.assert_close(model(x.to(device)), before, rtol=1e-3, atol=1e-4)
    assert all(part.device.type == device for part in (*model.parameters(), *model.buffers()))
    registered(host, metric, mode)
    host.load_state_dict(model.state_dict())
    torch.testing.assert_close(host(x), model(x.to(device)).cpu(), rtol=1e-3, atol=1e-4)
    after = model(x.to(device)).detach()
    torch.testing.assert_close(fold(model)(x.to(device)), after, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
def test_mixed_precision(narrow, device):
    model, x = drawn()
    model.to(device)
    expected = model(x.to(device)).detach()
    s_norm_model(model)
    with torch.autocast(device, dtype=narrow):
        fit_metric(model, [x])
        out = model(x.to(device))
    assert out.dtype == narrow
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05)
    out.float().square().mean().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


def test_dependencies_are_those_of_the_processor(device):
    model, x = drawn()
    y = torch.arange(60) % 3
    expected = cross_dependency(model, F.cross_entropy, x, y, exact=True)
    model.to(device)
    found = cross_dependency(model, F.cross_entropy, x.to(device), y.to(device), exact=True)
    torch.testing.assert_close(found.norms, expected.norms, rtol=1e-3, atol=1e-7)
    found = cross_dependency(model, F.cross_entropy, x.to(device), y.to(device), probes=200)
    torch.testing.assert_close(found.norms, expected.norms, rtol=0.3, atol=1e-7)


def test_whitened_data_and_a_monitor(device):
    model, x = drawn()
    model.to(device)
    s_norm(model[0], mode="whiten")
    fit_metric(model, [x])
    before = model(x.to(device)).detach()
    inputs = whiten_inputs(model[0])(x.to(device))
    torch.testing.assert_close(model(inputs), before, rtol=1e-3, atol=1e-4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with StepMonitor(model, optimizer) as monitor:
        model(inputs).square().mean().backward()
        optimizer.step()
    assert all(len(steps) == 1 and steps[0][0] > 0.0 for steps in monitor.history.values())


def test_the_random_stream_is_left_as_it_was(device):
    model, x = drawn()
    model = nn.Sequential(nn.Dropout(0.5), model).to(device).train()
    s_norm(model[1][2])
    after = []
    for fits in (False, True):
        torch.manual_seed(3)
        if fits:
            fit_metric(model, [x])
        after.append(torch.rand(4, device=device))
    assert torch.equal(*after)
