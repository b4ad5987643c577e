"""s_norm: the registered layer is the layer it was, its weight is the formula, and folding undoes it."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, parametrize, prune  # noqa: E402

from gdnp.nn import fit_metric, fold, s_norm  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from layers import LAYERS, METRICS, MODES, damped, fitted, linear, linear_inputs, moments_of, outcome, own  # noqa: E402


@pytest.mark.parametrize("given", [False, True], ids=["before data", "with data"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", LAYERS)
def test_registering_keeps_function_and_input_gradient(kind, metric, mode, given):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs().requires_grad_()
    before, (slope,) = outcome(layer, x, [x])
    assert s_norm(layer, **own(metric, layer), metric=metric, mode=mode) is layer
    if given:
        fit_metric(layer, [x.detach()])
    after, (slope_after,) = outcome(layer, x, [x])
    torch.testing.assert_close(after, before, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(slope_after, slope, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
def test_weight_is_the_formula_and_the_bias_is_centred(metric, mode):
    layer, x = linear(), linear_inputs()
    fitted(layer, x, metric, mode=mode, damping=0.3)
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(torch.rand_like(p) + 0.5)
    part = metric_of(layer)
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    c = layer.parametrizations.bias.original if metric != "identity" else layer.bias
    F = part.factor.whiten(torch.eye(6, dtype=torch.float64))
    if mode == "whiten":
        expected = g * v / v.norm(dim=1, keepdim=True) @ F
    elif metric == "full":
        metric_matrix = damped(moments_of(layer, x).products[0], 0.3)
        expected = g * v / ((v @ metric_matrix) * v).sum(1, keepdim=True).sqrt()
    else:
        metric_matrix = torch.linalg.inv(F.mT @ F)
        expected = g * v / ((v @ metric_matrix) * v).sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(layer.weight, expected, rtol=1e-11, atol=1e-12)
    if metric != "identity":
        torch.testing.assert_close(layer.bias, c - layer.weight @ x.mean(0), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", LAYERS)
def test_direction_is_scale_invariant(kind, metric, mode):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs()
    fitted(layer, x, metric, mode=mode)
    v = layer.parametrizations.weight.original1
    before, (slope,) = outcome(layer, x, [v])
    torch.testing.assert_close(
        (v * slope).flatten(1).sum(1), torch.zeros(len(v)).double(), rtol=0.0, atol=1e-8
    )
    assert slope.norm() > 1e-3
    with torch.no_grad():
        v.mul_(torch.rand(len(v), *(1,) * (v.ndim - 1)) + 0.5)
    torch.testing.assert_close(layer(x), before, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("metric", [*METRICS, "batch"])
@pytest.mark.parametrize("kind", LAYERS)
def test_fold_leaves_a_plain_layer_with_the_same_function(kind, metric):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs()
    model = nn.Sequential(layer)
    fitted(layer, x, metric)
    with torch.no_grad():
        layer(x)  # statistics
        for p in layer.parameters():
            p.mul_(torch.rand_like(p) + 0.5)
    expected = model.eval()(x)
    assert fold(model) is model
    assert type(layer) is type(make())
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert not layer._forward_hooks
    assert not list(layer.buffers())
    assert metric_of(layer) is None
    torch.testing.assert_close(model(x), expected, rtol=1e-11, atol=1e-11)
    s_norm(layer)  # and can be split again


@pytest.mark.parametrize("metric", [*METRICS, "batch"])
@pytest.mark.parametrize("kind", LAYERS)
def test_state_dict_round_trip_into_a_fresh_layer(kind, metric):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs()
    fitted(layer, x, metric)
    with torch.no_grad():
        layer(x)
        for p in layer.parameters():
            p.mul_(torch.rand_like(p) + 0.5)
    fresh = s_norm(make(), metric=metric, **own(metric, layer))
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True), strict=True)
    torch.testing.assert_close(fresh.eval()(x), layer.eval()(x))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("torch_s", [parametrizations.weight_norm, nn.utils.weight_norm], ids=["new", "old"])
@pytest.mark.parametrize("kind", LAYERS)
def test_weight_normalization_exchanges_states_with_torch(kind, torch_s):
    make, inputs = LAYERS[kind]
    ours, theirs, x = (
        nn.Sequential(s_norm(make(), metric="identity")),
        nn.Sequential(torch_s(make())),
        inputs(),
    )
    with torch.no_grad():
        for p in theirs.parameters():
            p.mul_(torch.rand_like(p) + 0.5)
    ours = pickle.loads(pickle.dumps(ours))  # a copy reads them too
    ours.load_state_dict(theirs.state_dict(), strict=True)
    torch.testing.assert_close(ours(x), theirs(x))
    fresh = nn.Sequential(parametrizations.weight_norm(make()))
    fresh.load_state_dict(ours.state_dict(), strict=True)
    torch.testing.assert_close(fresh(x), theirs(x))


@pytest.mark.parametrize(
    ("metric", "mode"), [("low_rank", "whiten"), ("full", "whiten"), ("full", "normalize")]
)
def test_assigning_the_weight_and_then_the_bias(metric, mode):
    layer, x = linear(), linear_inputs()
    fitted(layer, x, metric, mode=mode)
    weight, bias = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    layer.weight = weight
    layer.bias = bias
    torch.testing.assert_close(layer(x), nn.functional.linear(x, weight, bias), rtol=1e-10, atol=1e-10)
    assert layer.parametrizations.weight.original1.data_ptr() != weight.data_ptr()


@pytest.mark.parametrize("metric", ["full", "batch"])
def test_layer_without_a_bias(metric):
    """There is nothing to take up the mean: the function stays, S is centred all the same."""
    layer, x = nn.Linear(6, 4, bias=False, dtype=torch.float64), linear_inputs()
    before = layer(x)
    fitted(layer, x, metric)
    if metric == "full":
        torch.testing.assert_close(layer(x), before)
        assert layer.bias is None
    else:
        torch.testing.assert_close(layer(x).mean(0), torch.zeros(4).double(), rtol=0.0, atol=1e-12)
        fold(layer.eval())
        assert layer.bias is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("metric", "mode"), [*((metric, mode) for metric in METRICS for mode in MODES), ("batch", "normalize")]
)
def test_narrow_types(metric, mode, dtype):
    layer, x = linear(), linear_inputs()
    layer, x = layer.to(dtype), x.to(dtype)
    before = layer(x)
    fitted(layer, x, metric, mode=mode)
    after = layer(x)
    assert after.dtype == dtype
    assert {b.dtype for b in layer.buffers()} <= {dtype, torch.long}
    if metric != "batch":
        tight = 1e-4 if dtype == torch.float32 else 0.15
        torch.testing.assert_close(after, before, rtol=tight, atol=tight)
    after.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
    layer.double()(x.double())


def test_cached_weights_are_shared():
    layer, x = linear(), linear_inputs()
    fitted(layer, x, mode="whiten")
    with parametrize.cached():
        assert layer.weight is layer.weight
        torch.testing.assert_close(layer(x), layer(x))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
def test_gradients_can_be_differentiated(metric, mode):
    layer, x = linear(), linear_inputs(5)
    fitted(layer, linear_inputs(), metric, mode=mode)
    names = [name for name, _ in layer.named_parameters()]

    def output(*values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), x).tanh()

    assert torch.autograd.gradgradcheck(output, tuple(layer.parameters()), atol=1e-4)


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", 0.5)


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (nn.ReLU, {}, TypeError, "Linear, Conv1d, Conv2d and Conv3d.*Got ReLU"),
        (lambda: nn.LayerNorm(6), {}, TypeError, "Linear, Conv1d, Conv2d and Conv3d.*LayerNorm"),
        (lambda: nn.LazyLinear(4), {}, ValueError, "LazyLinear of real numbers.*a lazy one; run a batch"),
        (lambda: s_norm(linear()), {}, ValueError, "one that has it already; move.*fit_metric, or fold"),
        (lambda: s_norm(linear(), metric="batch"), {}, ValueError, "one that has it already"),
        (lambda: parametrizations.weight_norm(linear()), {}, ValueError, "one with another; remove it first"),
        (
            linear,
            {"metric": "fisher"},
            ValueError,
            "one of identity, diagonal, low_rank, kronecker, full, batch. Got 'fisher'",
        ),
        (linear, {"name": "bias"}, ValueError, "name must be 'weight'.*Got 'bias'"),
        (
            lambda: pruned(linear()),
            {},
            ValueError,
            "is no Parameter; remove the older weight_norm or pruning",
        ),
        (linear, {"mode": "colour"}, ValueError, "'normalize' or 'whiten'. Got 'colour'"),
        (linear, {"metric": "batch", "mode": "whiten"}, ValueError, "use metric='full' to whiten"),
        (linear, {"damping": -1.0}, ValueError, "damping must be a finite number >= 0.*Got -1.0"),
        (linear, {"damping": "big"}, ValueError, "damping must be a finite number >= 0.*Got 'big'"),
        (linear, {"rank": 2.5, "metric": "low_rank"}, ValueError, "whole number from 1 to 5.*Got 2.5"),
        (lambda: nn.Linear(1, 3), {"metric": "low_rank"}, ValueError, "two inputs.*use metric='diagonal'"),
        (linear, {"damping": float("nan")}, ValueError, "damping must be a finite number"),
        (
            linear,
            {"rank": 6, "metric": "low_rank"},
            ValueError,
            "rank must be a whole number from 1 to 5.*Got 6",
        ),
        (linear, {"rank": 2}, ValueError, "rank belongs to metric='low_rank'. Got rank=2 with metric='full'"),
        (linear, {"axes": (2, 3)}, ValueError, "axes belongs to metric='kronecker'"),
        (linear, {"metric": "kronecker"}, ValueError, "needs axes for a Linear layer"),
        (linear, {"metric": "kronecker", "axes": (2, 4)}, ValueError, r"product of 6.*Got \(2, 4\)"),
        (linear, {"metric": "kronecker", "axes": (2, 3.0)}, ValueError, r"sizes with.*Got \(2, 3.0\)"),
        (linear, {"metric": "kronecker", "axes": "23"}, ValueError, "two or more sizes"),
        (linear, {"metric": "kronecker", "axes": (6,)}, ValueError, r"two or more sizes.*Got \(6,\)"),
    ],
)
def test_bad_input_is_named(make, options, error, message):
    layer = make()
    before = list(layer.state_dict())
    with pytest.raises(error, match=message):
        s_norm(layer, **options)
    assert list(layer.state_dict()) == before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", ["diagonal", "low_rank", "kronecker", "full"])
def test_a_singular_metric_is_refused(metric, mode):
    layer = s_norm(linear(), **own(metric, linear()), metric=metric, mode=mode, damping=0.0)
    rows = linear_inputs() * torch.tensor([1.0, 1, 1, 1, 1, 0])
    rows = rows if metric == "diagonal" else rows[:, :1].expand(-1, 6)
    with pytest.raises(ValueError, match=r"positive definite.*raise damping"):
        fit_metric(layer, [rows])


def test_a_unit_without_weight_has_no_direction():
    layer = linear()
    nn.init.zeros_(layer.weight)
    with pytest.raises(ValueError, match="Got 4 of 4 without; initialise the layer"):
        s_norm(layer)
    assert type(layer) is nn.Linear


@pytest.mark.parametrize("mode", ["normalize", "whiten"])
def test_one_weight_a_pass(mode, monkeypatch):
    """The bias takes the weight that its layer has just made, and none of other parts."""
    made = []
    layer = s_norm(nn.Linear(6, 4).double(), mode=mode)
    x = torch.randn(40, 6, dtype=torch.float64) + 2.0
    fit_metric(layer, [x])
    split = layer.parametrizations.weight[0]
    work = type(split).forward
    monkeypatch.setattr(type(split), "forward", lambda *args: made.append(1) or work(*args))
    layer(x).sum().backward()
    assert len(made) == 1
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    changes = [lambda: v.mul_(torch.rand_like(v)), lambda: g.mul_(2.0), lambda: split.mean.add_(1.0)]
    for change in changes:
        held = layer.weight
        with torch.no_grad():
            change()
        there = layer.bias
        assert held is not None
        expected = layer.parametrizations.bias.original - layer.weight @ split.mean
        torch.testing.assert_close(there, expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        held = layer.weight
    assert layer.bias.requires_grad
    held = layer.weight
    assert pickle.loads(pickle.dumps(layer)).bias.shape == copy.deepcopy(layer).bias.shape == (4,)
