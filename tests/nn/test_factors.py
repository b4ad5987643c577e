"""The dial of metrics: Weight Normalization at one end, F with Fᵀ F = Ŝ⁻¹ at the other."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from gdnp.nn import fold, s_norm  # noqa: E402
from gdnp.nn.factors import FACTORS  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from layers import LAYERS, MODES, damped, eye, known, linear, linear_inputs, outcome, own  # noqa: E402


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


def test_a_negative_metric_is_refused():
    with pytest.raises(ValueError, match=r"S must be positive semidefinite\. Got an eigenvalue of -1"):
        s_norm(nn.Linear(3, 3), S=-torch.eye(3))


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
