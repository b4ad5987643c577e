"""The dial of metrics: Weight Normalization at one end, F with Fᵀ F = Ŝ⁻¹ at the other."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from gdnp.nn import fit_metric, fold, s_norm  # noqa: E402
from gdnp.nn.factors import FACTORS, Factor, check_positive, damped_diagonal  # noqa: E402
from gdnp.nn.moments import InputMoments  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from layers import LAYERS, MODES, damped, eye, fitted, linear, linear_inputs, moments_of, outcome, rows_with  # noqa: E402


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", LAYERS)
def test_identity_is_the_weight_norm_of_torch(kind, mode):
    make, inputs = LAYERS[kind]
    ours = make()
    theirs = parametrizations.weight_norm(copy.deepcopy(ours))
    s_norm(ours, "weight", metric="identity", mode=mode)
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


@pytest.mark.parametrize(("metric", "options"), [("full", {}), ("low_rank", {"rank": 5}), ("diagonal", {})])
def test_f_is_a_root_of_the_inverse_and_whitens(metric, options):
    """Rank d - 1 leaves one eigenvalue for the rest of the spectrum, and so all of S."""
    layer, x = linear(), linear_inputs()
    moments = moments_of(layer, x)
    S = moments.products[0] if metric != "diagonal" else torch.diag(moments.variance)
    for damping in (0.0, 0.5):
        fitted(layer, x, metric, mode="whiten", damping=damping, **options)
        F = metric_of(layer).factor.whiten(torch.eye(6, dtype=torch.float64))
        torch.testing.assert_close(F.mT @ F @ damped(S, damping), torch.eye(6).double(), rtol=0.0, atol=1e-9)
        if metric == "full":
            torch.testing.assert_close(F, F.mT, rtol=0.0, atol=1e-12)
        if damping == 0.0:
            torch.testing.assert_close(F @ S @ F.mT, torch.eye(6).double(), rtol=0.0, atol=1e-9)
        fold(layer)


@pytest.mark.parametrize("groups", [(), (3,)], ids=["one metric", "a metric a group"])
@pytest.mark.parametrize("whitens", [True, False], ids=["whiten", "normalize"])
@pytest.mark.parametrize("name", FACTORS)
def test_what_every_factor_is(name, whitens, groups):
    """F and its inverse, and the norm of Ŝ = (Fᵀ F)⁻¹: after data as before them."""
    d, wide = 6, torch.float64
    options = {"axes": (2, 3)} if name == "kronecker" else {}
    factor = FACTORS[name]((*groups, d), torch.zeros(1, dtype=wide), whitens=whitens, **options)
    moments = factor.moments()
    x = torch.randn(*groups, 50, d, dtype=wide) @ torch.randn(d, d, dtype=wide) + 1.0
    rows = torch.randn(*groups, 4, d, dtype=wide)
    torch.testing.assert_close(factor.norm(rows), rows.norm(dim=-1, keepdim=True))
    moments.update(x)
    factor.update(moments, 0.1)
    colour = factor.colour(eye(*groups, d))
    S = colour @ colour.mT
    torch.testing.assert_close(factor.norm(rows).square(), ((rows @ S) * rows).sum(-1, keepdim=True))
    if name == "full":
        centred = x - x.mean(-2, keepdim=True)
        torch.testing.assert_close(S, damped(centred.mT @ centred / 50, 0.1))
    elif name != "identity":
        diagonal = damped(torch.diag_embed(x.var(-2, correction=0)), 0.1).diagonal(dim1=-2, dim2=-1)
        units = S.diagonal(dim1=-2, dim2=-1)
        if name == "diagonal":
            torch.testing.assert_close(units, diagonal)
        elif name == "kronecker":  # keeps the trace of S, and low rank that of the correlations
            torch.testing.assert_close(units.sum(-1), diagonal.sum(-1))
        else:
            torch.testing.assert_close((units / diagonal).sum(-1), torch.full(groups, d, dtype=wide))
    if whitens:
        torch.testing.assert_close(factor.whiten(colour), eye(*groups, d))
        torch.testing.assert_close(factor.colour(factor.whiten(rows)), rows)
        # W x + b = V F (x - E[x]): what the weight does to F, the inputs do.
        F = factor.whiten(eye(*groups, d))
        torch.testing.assert_close(factor.inputs(x), x @ F.mT)


# What every metric checks before it is taken


def test_damping_is_in_units_of_the_mean_variance():
    moments = InputMoments((2, 3), "diagonal")
    moments.update(torch.tensor([[[0.0, 0, 0], [2, 4, 0]], [[0, 0, 0], [20, 40, 0]]], dtype=torch.float64))
    third = 5.0 / 3.0
    expected = torch.tensor([[1.0, 4.0, 0.0], [100.0, 400.0, 0.0]]) + 0.3 * torch.tensor(
        [[third], [100.0 * third]]
    )
    torch.testing.assert_close(damped_diagonal(moments, 0.3), expected.double())


def test_one_singular_metric_of_a_group_is_enough():
    most = torch.tensor([1.0, 1.0])
    check_positive(torch.tensor([1e-3, 1e-5]), most, 1e-6)
    for least in (1e-7, 0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"positive definite after damping\. Got .*; raise damping"):
            check_positive(torch.tensor([1e-3, least]), most, 1e-6)


def test_representations_say_how():
    factor, rows = Factor((2,), torch.zeros(1), whitens=True), torch.ones(1, 2)
    for method in (factor.whiten, factor.inputs, factor.colour, factor.norm):
        with pytest.raises(NotImplementedError):
            method(rows)


# Metrics without a d x d matrix, exact where the covariance has their structure


def test_low_rank_is_exact_on_low_rank_plus_diagonal():
    """Columns of a Hadamard matrix: the diagonal of S is constant, so damping is the flat rest."""
    hadamard = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(5):
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    Q = hadamard[:, [1, 5, 17]] / 32**0.5
    units = torch.logspace(-3, 3, 32, dtype=torch.float64)
    S = Q @ torch.diag(torch.tensor([50.0, 5.0, 0.5], dtype=torch.float64)) @ Q.mT
    layer = nn.Linear(32, 3, dtype=torch.float64)
    fitted(layer, rows_with(S), "low_rank", mode="whiten", rank=3, damping=0.2)
    F = metric_of(layer).factor.whiten(torch.eye(32, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.inv(F.mT @ F), damped(S, 0.2), rtol=1e-9, atol=1e-10)
    # A flat rest that the sketch sees, in any units of the columns: near.
    scaled = nn.Linear(32, 3, dtype=torch.float64)
    noise = 1e-3 * S.diagonal().mean()
    flat = S + noise * torch.eye(32)
    T = units[:, None] * flat * units
    fitted(scaled, rows_with(flat) * units, "low_rank", mode="whiten", rank=3, damping=0.0)
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
        s_norm(layer, metric="kronecker", mode="whiten", damping=damping)
        factor = metric_of(layer).factor
        moments = factor.moments()
        moments.update(rows_with(S))
        factor.update(moments, damping)
        F = factor.whiten(eye(*groups, d))
        torch.testing.assert_close(F, F.mT)
        torch.testing.assert_close(F @ damped(S, damping) @ F.mT, eye(*groups, d), rtol=0.0, atol=1e-9)
        fold(layer)


def test_kronecker_streams_the_partial_traces():
    """In blocks as at once, and as rows of the same S; of all entries the variance stays the mean one."""
    x = linear_inputs()
    found = []
    for batches in ([x], x.split(7), [rows_with(x.mT.cov(correction=0))]):
        layer = s_norm(linear(), metric="kronecker", mode="whiten", axes=(2, 3), damping=0.1)
        fit_metric(layer, batches)
        found.append(metric_of(layer).factor.whiten(eye(6)))
    first, second, third = found
    torch.testing.assert_close(first, third, rtol=0.0, atol=1e-10)
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
