"""s_norm against weight_norm, BatchNorm and constructed metrics; the registered layer is the layer it was."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, parametrize  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from gdnp.nn import fold, s_norm  # noqa: E402
from gdnp.nn.moments import InputMoments, input_rows, input_shape  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402

METRICS = ("identity", "diagonal", "low_rank", "kronecker", "full")
MODES = ("normalize", "whiten")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def linear():
    return nn.Linear(6, 4, dtype=torch.float64)


def conv(**options):
    options = {"padding": 1, "groups": 2, **options}
    return nn.Conv2d(4, 6, 3, dtype=torch.float64, **options)


def linear_inputs(n=60):
    return torch.randn(n, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + 3.0


def conv_inputs(n=12):
    mix = torch.randn(4, 4, dtype=torch.float64)
    return torch.einsum("ij,njhw->nihw", mix, torch.randn(n, 4, 5, 5, dtype=torch.float64)) + 2.0


def own(metric, layer):
    """What the metric alone takes."""
    return {"axes": (2, 3)} if metric == "kronecker" and isinstance(layer, nn.Linear) else {}


LAYERS = {"linear": (linear, linear_inputs), "conv": (conv, conv_inputs)}


def known(layer, x, second="full"):
    """S and E[x] of the inputs of a layer."""
    moments = InputMoments(input_shape(layer), "full")
    for rows in input_rows(layer, x):
        moments.update(rows)
    return {"S": moments.products[0], "mean": moments.mean}


def outcome(layer, x, leaves):
    """Output and gradients of a fixed nonlinear loss."""
    out = layer(x)
    return out, torch.autograd.grad((out * out.detach().sin() + out.square()).sum(), leaves)


def damped(S, damping):
    d = S.shape[-1]
    trace = S.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return S + damping * trace * torch.eye(d, dtype=S.dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", LAYERS)
def test_identity_is_the_weight_norm_of_torch(kind, mode):
    make, inputs = LAYERS[kind]
    ours = make()
    theirs = parametrizations.weight_norm(copy.deepcopy(ours))
    s_norm(ours, metric="identity", mode=mode)
    assert list(ours.state_dict())[:3] == list(theirs.state_dict())
    with torch.no_grad():
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.mul_(torch.rand_like(p) + 0.5)
            q.copy_(p)
    x = inputs()
    out, gradients = outcome(ours, x, list(ours.parameters()))
    expected, slopes = outcome(theirs, x, list(theirs.parameters()))
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(gradients, slopes, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("given", [False, True], ids=["before data", "with S"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", LAYERS)
def test_registering_keeps_function_and_input_gradient(kind, metric, mode, given):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs().requires_grad_()
    before, (slope,) = outcome(layer, x, [x])
    options = known(layer, x.detach()) if given and metric != "identity" else {}
    assert s_norm(layer, **own(metric, layer), metric=metric, mode=mode, **options) is layer
    after, (slope_after,) = outcome(layer, x, [x])
    torch.testing.assert_close(after, before, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(slope_after, slope, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
def test_weight_is_the_formula_and_the_bias_is_centred(metric, mode):
    layer, x = linear(), linear_inputs()
    options = known(layer, x) if metric != "identity" else {}
    s_norm(layer, **own(metric, layer), metric=metric, mode=mode, damping=0.3, **options)
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
        metric_matrix = damped(options["S"], 0.3)
        expected = g * v / ((v @ metric_matrix) * v).sum(1, keepdim=True).sqrt()
    else:
        metric_matrix = torch.linalg.inv(F.mT @ F)
        expected = g * v / ((v @ metric_matrix) * v).sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(layer.weight, expected, rtol=1e-11, atol=1e-12)
    if metric != "identity":
        torch.testing.assert_close(layer.bias, c - layer.weight @ options["mean"], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("metric", "options"), [("full", {}), ("low_rank", {"rank": 5}), ("diagonal", {})])
def test_f_is_a_root_of_the_inverse_and_whitens(metric, options):
    """Rank d - 1 leaves one eigenvalue for the rest of the spectrum, and so all of S."""
    layer, x = linear(), linear_inputs()
    moments = known(layer, x)
    S = moments["S"] if metric != "diagonal" else torch.diag(moments["S"].diagonal())
    for damping in (0.0, 0.5):
        s_norm(
            layer, **own(metric, layer), metric=metric, mode="whiten", damping=damping, **options, **moments
        )
        F = metric_of(layer).factor.whiten(torch.eye(6, dtype=torch.float64))
        torch.testing.assert_close(F.mT @ F @ damped(S, damping), torch.eye(6).double(), rtol=0.0, atol=1e-9)
        if metric == "full":
            torch.testing.assert_close(F, F.mT, rtol=0.0, atol=1e-12)
        if damping == 0.0:
            torch.testing.assert_close(F @ S @ F.mT, torch.eye(6).double(), rtol=0.0, atol=1e-9)
        fold(layer)


def test_low_rank_is_exact_on_low_rank_plus_diagonal():
    """Columns of a Hadamard matrix: the diagonal of S is constant, so damping is the flat rest."""
    hadamard = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(5):
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    Q = hadamard[:, [1, 5, 17]] / 32**0.5
    units = torch.logspace(-3, 3, 32, dtype=torch.float64)
    S = Q @ torch.diag(torch.tensor([50.0, 5.0, 0.5], dtype=torch.float64)) @ Q.mT
    layer = nn.Linear(32, 3, dtype=torch.float64)
    s_norm(layer, metric="low_rank", mode="whiten", rank=3, damping=0.2, S=S)
    F = metric_of(layer).factor.whiten(torch.eye(32, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.inv(F.mT @ F), damped(S, 0.2), rtol=1e-9, atol=1e-10)
    # A flat rest that the sketch sees, in any units of the columns: near.
    scaled = nn.Linear(32, 3, dtype=torch.float64)
    noise = 1e-3 * S.diagonal().mean()
    T = units[:, None] * (S + noise * torch.eye(32)) * units
    s_norm(scaled, metric="low_rank", mode="whiten", rank=3, damping=0.0, S=T)
    F = metric_of(scaled).factor.whiten(torch.eye(32, dtype=torch.float64))
    torch.testing.assert_close(F @ T @ F.mT, torch.eye(32).double(), rtol=0.0, atol=0.3)


@pytest.mark.parametrize("groups", [(), (3,)])
def test_kronecker_is_exact_on_a_separable_covariance(groups):
    axes, d = (2, 3, 4), 24
    parts = [torch.randn(*groups, a, 3 * a, dtype=torch.float64) for a in axes]
    parts = [part @ part.mT for part in parts]
    S = torch.einsum("...ab,...cd,...ef->...acebdf", *parts).reshape(*groups, d, d)
    layer = nn.Conv2d(2 * max(1, *groups, 1), 6, (3, 4), groups=max(1, *groups, 1), dtype=torch.float64)
    for damping in (0.0, 0.3):
        s_norm(layer, metric="kronecker", mode="whiten", damping=damping, S=S)
        F = metric_of(layer).factor.whiten(eye(*groups, d))
        torch.testing.assert_close(F, F.mT)
        torch.testing.assert_close(F @ damped(S, damping) @ F.mT, eye(*groups, d), rtol=0.0, atol=1e-9)
        fold(layer)


def test_kronecker_streams_the_partial_traces():
    """From rows as from S, whatever the covariance; and of all entries the variance stays the mean one."""
    x, layers = linear_inputs(), [linear(), linear()]
    for layer in layers:
        s_norm(layer, metric="kronecker", mode="whiten", axes=(2, 3), damping=0.1)
    metric_of(layers[0]).update(metric_of(layers[0]).factor.moments().known(**known(linear(), x)))
    moments = metric_of(layers[1]).factor.moments()
    for rows in x.split(7):
        moments.update(rows)
    metric_of(layers[1]).update(moments)
    first, second = (metric_of(layer).factor.whiten(eye(6)) for layer in layers)
    torch.testing.assert_close(first, second, rtol=0.0, atol=1e-10)
    torch.testing.assert_close(
        torch.linalg.inv(first @ first.mT).diagonal().mean(), 1.1 * x.var(0, correction=0).mean()
    )


class Largest(TorchDispatchMode):
    """The most numbers that any result has."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return out


@pytest.mark.parametrize(
    "options", [{"metric": "low_rank", "rank": 4}, {"metric": "kronecker", "axes": (30, 50)}]
)
@pytest.mark.parametrize("mode", MODES)
def test_no_square_matrix_is_formed(mode, options):
    d, layer = 1500, nn.Linear(1500, 2)
    with Largest() as largest:
        s_norm(layer, mode=mode, **options)
        moments = metric_of(layer).factor.moments()
        moments.update(torch.randn(30, d))
        moments.update(torch.randn(30, d))
        metric_of(layer).update(moments)
        layer(torch.randn(3, d)).sum().backward()
        layer.weight = torch.randn(2, d)
    assert largest.numbers <= 30 * d


def bn(out, kind):
    norm = nn.BatchNorm1d(out) if kind == "linear" else nn.BatchNorm2d(out)
    return norm.double()


@pytest.mark.parametrize("kind", LAYERS)
def test_batch_is_batch_norm_in_training_and_evaluation(kind):
    make, inputs = LAYERS[kind]
    layer = make()
    plain, norm = copy.deepcopy(layer), bn(layer.weight.shape[0], kind)
    plain.bias = None  # BatchNorm would cancel it
    s_norm(layer, metric="batch")
    part = layer.s_norm
    with torch.no_grad():
        part.g.uniform_(0.5, 2.0)
        norm.weight.copy_(part.g)
        norm.bias.copy_(part.c)
        norm.running_var.copy_(part.running_var)
    peer = nn.Sequential(plain, norm)
    for training in (True, True, False):
        layer.train(training)
        peer.train(training)
        x = inputs().requires_grad_()
        out, ours = outcome(layer, x, [x, layer.weight, part.g, part.c])
        expected, theirs = outcome(peer, x, [x, plain.weight, norm.weight, norm.bias])
        torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-11)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(part.running_mean, norm.running_mean)
        torch.testing.assert_close(part.running_var, norm.running_var)


@pytest.mark.parametrize("kind", LAYERS)
def test_full_metric_of_the_batch_is_batch_norm_without_epsilon(kind):
    """The same function of (V, g, c), and so the same gradient; only BatchNorm's x has one through S."""
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs()
    plain, norm = copy.deepcopy(layer), bn(layer.weight.shape[0], kind)
    plain.bias = None
    norm.eps = 1e-300
    s_norm(layer, metric="full", damping=0.0, **known(layer, x))
    lists = layer.parametrizations
    leaves = [lists.weight.original1, lists.weight.original0, lists.bias.original]
    with torch.no_grad():
        leaves[1].uniform_(0.5, 2.0)
        norm.weight.copy_(leaves[1].flatten())
        norm.bias.copy_(leaves[2])
    out, ours = outcome(layer, x, leaves)
    expected, theirs = outcome(nn.Sequential(plain, norm), x, [plain.weight, norm.weight, norm.bias])
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b.view_as(a), rtol=1e-9, atol=1e-9)


def test_batch_takes_sequences_like_flattened_rows():
    layer = s_norm(linear(), metric="batch")
    other, x = copy.deepcopy(layer), torch.randn(7, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x).flatten(0, 1), other(x.flatten(0, 1)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", LAYERS)
def test_direction_is_scale_invariant(kind, metric, mode):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs()
    s_norm(
        layer,
        **own(metric, layer),
        metric=metric,
        mode=mode,
        **(known(layer, x) if metric != "identity" else {}),
    )
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
    s_norm(
        layer,
        **own(metric, layer),
        metric=metric,
        **({} if metric in ("identity", "batch") else known(layer, x)),
    )
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
def test_copies_are_independent(metric):
    layer, x = linear(), linear_inputs()
    s_norm(
        layer,
        **own(metric, layer),
        metric=metric,
        **({} if metric in ("identity", "batch") else known(layer, x)),
    )
    layer(x)
    layer.eval()
    expected = layer(x).detach()
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    copies = [
        copy.deepcopy(layer),
        copy.deepcopy(copy.deepcopy(layer)),
        pickle.loads(pickle.dumps(layer)),
        pickle.loads(pickle.dumps(copy.deepcopy(layer))),
        torch.load(buffer, weights_only=False),
    ]
    for one in copies:
        torch.testing.assert_close(one(x), expected)
        assert list(one.state_dict()) == list(layer.state_dict())
        assert not {p.data_ptr() for p in one.parameters()} & {p.data_ptr() for p in layer.parameters()}
        with parametrize.cached():
            layer(x)
            with torch.no_grad():
                next(one.parameters()).mul_(2.0)
            assert not torch.allclose(one(x), expected)
            with torch.no_grad():
                next(one.parameters()).mul_(0.5)
        fold(one)
        torch.testing.assert_close(one(x), expected)
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("metric", [*METRICS, "batch"])
@pytest.mark.parametrize("kind", LAYERS)
def test_state_dict_round_trip_into_a_fresh_layer(kind, metric):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs()
    moments = {} if metric in ("identity", "batch") else known(layer, x)
    s_norm(layer, metric=metric, mode="normalize", **own(metric, layer), **moments)
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


@pytest.mark.parametrize(
    ("metric", "mode"), [("low_rank", "whiten"), ("full", "whiten"), ("full", "normalize")]
)
def test_assigning_the_weight_and_then_the_bias(metric, mode):
    layer, x = linear(), linear_inputs()
    s_norm(layer, **own(metric, layer), metric=metric, mode=mode, **known(layer, x))
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
    s_norm(layer, **own(metric, layer), metric=metric, **(known(layer, x) if metric == "full" else {}))
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
    options = {} if metric in ("identity", "batch") else {k: v.to(dtype) for k, v in known(layer, x).items()}
    layer, x = layer.to(dtype), x.to(dtype)
    before = layer(x)
    s_norm(layer, **own(metric, layer), metric=metric, mode=mode, **options)
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
    s_norm(layer, metric="full", mode="whiten", **known(layer, x))
    with parametrize.cached():
        assert layer.weight is layer.weight
        torch.testing.assert_close(layer(x), layer(x))


def eye(*sizes):
    return torch.eye(sizes[-1], dtype=torch.float64).expand(*sizes, sizes[-1]).clone()


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (nn.ReLU, {}, ValueError, r"needs a layer with a parameter 'weight'\. Got ReLU"),
        (lambda: nn.Linear(6, 4), {"name": "kernel"}, ValueError, "parameter 'kernel'"),
        (lambda: nn.Linear(6, 4), {"name": "bias"}, TypeError, "Got 'bias' of Linear"),
        (lambda: nn.LayerNorm(6), {}, TypeError, "Linear and Conv2d.*LayerNorm"),
        (lambda: nn.LazyLinear(4), {}, ValueError, "lazy LazyLinear; run a batch"),
        (lambda: s_norm(linear()), {}, ValueError, "second registration.*fit_metric, or fold"),
        (lambda: s_norm(linear(), metric="batch"), {}, ValueError, "second registration"),
        (lambda: parametrizations.weight_norm(linear()), {}, ValueError, "remove them first"),
        (
            linear,
            {"metric": "fisher"},
            ValueError,
            "one of identity, diagonal, low_rank, kronecker, full, batch. Got 'fisher'",
        ),
        (linear, {"mode": "colour"}, ValueError, "'normalize' or 'whiten'. Got 'colour'"),
        (linear, {"metric": "batch", "mode": "whiten"}, ValueError, "use metric='full' to whiten"),
        (linear, {"damping": -1.0}, ValueError, "damping must be a finite number >= 0.*Got -1.0"),
        (linear, {"damping": "big"}, ValueError, "damping must be a finite number >= 0.*Got 'big'"),
        (linear, {"rank": 2.5, "metric": "low_rank"}, ValueError, "whole number from 1 to 5.*Got 2.5"),
        (lambda: nn.Linear(1, 3), {"metric": "low_rank"}, ValueError, "two inputs.*use metric='diagonal'"),
        (linear, {"S": eye(6).numpy()}, TypeError, "S must be a Tensor. Got ndarray"),
        (linear, {"S": eye(6) + torch.ones(6, 6).triu(1)}, ValueError, "S must be symmetric"),
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
        (
            linear,
            {"metric": "kronecker", "axes": (2, 3), "S": torch.ones(6)},
            ValueError,
            "S must have shape",
        ),
        (
            linear,
            {"metric": "kronecker", "axes": (2, 3), "S": torch.ones(6, 6), "damping": 0.0},
            ValueError,
            "raise damping",
        ),
        (linear, {"S": eye(5)}, ValueError, r"S must have shape \(6, 6\).*Got \(5, 5\)"),
        (linear, {"S": torch.ones(6)}, ValueError, r"S must have shape \(6, 6\).*Got \(6,\)"),
        (conv, {"S": eye(18)}, ValueError, r"S must have shape \(2, 18, 18\)"),
        (linear, {"S": eye(6), "mean": torch.ones(5)}, ValueError, r"mean must have shape \(6,\)"),
        (linear, {"mean": torch.ones(6)}, ValueError, "mean without S"),
        (linear, {"S": eye(6), "metric": "identity"}, ValueError, "takes no S"),
        (linear, {"S": eye(6) * float("nan")}, ValueError, "S and its mean must be finite"),
        (linear, {"S": eye(6), "mean": torch.full((6,), float("inf"))}, ValueError, "must be finite"),
        (linear, {"S": torch.ones(6, 6), "damping": 0.0}, ValueError, "positive definite.*raise damping"),
        (linear, {"S": torch.ones(6, 6), "damping": 0.0, "mode": "whiten"}, ValueError, "raise damping"),
        (linear, {"S": eye(6) - 0.5 * torch.ones(6, 6), "damping": 0.0}, ValueError, "positive definite"),
        (linear, {"S": torch.ones(6, 6), "damping": 0.0, "metric": "low_rank"}, ValueError, "raise damping"),
        (
            linear,
            {"S": torch.tensor([1.0, 1, 1, 1, 1, 0]), "damping": 0.0, "metric": "diagonal"},
            ValueError,
            "raise damping",
        ),
    ],
)
def test_bad_input_is_named(make, options, error, message):
    layer = make()
    before = list(layer.state_dict())
    with pytest.raises(error, match=message):
        s_norm(layer, **options)
    assert list(layer.state_dict()) == before


def test_a_unit_without_weight_has_no_direction():
    layer = linear()
    nn.init.zeros_(layer.weight)
    with pytest.raises(ValueError, match="Got 4 of 4 without; initialise the layer"):
        s_norm(layer)
    assert type(layer) is nn.Linear


@pytest.mark.parametrize("act", [lambda layer: layer(linear_inputs()), fold])
def test_batch_needs_statistics_in_evaluation(act):
    layer = s_norm(linear(), metric="batch").eval()
    with pytest.raises(RuntimeError, match="seen no batch; run one in training mode, or call fit_metric"):
        act(layer)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
def test_gradients_can_be_differentiated(metric, mode):
    layer, x = linear(), linear_inputs(5)
    s_norm(
        layer,
        **own(metric, layer),
        metric=metric,
        mode=mode,
        **(known(layer, linear_inputs()) if metric != "identity" else {}),
    )
    names = [name for name, _ in layer.named_parameters()]

    def output(*values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), x).tanh()

    assert torch.autograd.gradgradcheck(output, tuple(layer.parameters()), atol=1e-4)


def test_a_negative_metric_is_refused():
    with pytest.raises(ValueError, match="S must be positive definite"):
        s_norm(nn.Linear(3, 3), S=-torch.eye(3))


def test_a_single_image_is_no_batch():
    layer = s_norm(nn.Conv2d(3, 8, 3, padding=1), metric="batch")
    with pytest.raises(ValueError, match="needs a batch of images"):
        layer(torch.randn(3, 8, 8))
