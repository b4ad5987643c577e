"""A whole network: which layers are taken, with which metric, and what is said of the others."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from gdnp.nn import fit_metric, fold, s_norm_model  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from gdnp.nn.whole import WIDEST_FULL  # noqa: E402
from layers import convnet, data, mlp, residual_network  # noqa: E402


@pytest.mark.parametrize("make", [mlp, convnet, residual_network])
def test_hidden_layers_are_taken_and_the_function_stays(make):
    model = make().double().eval()
    x = {mlp: data(), convnet: torch.randn(9, 2, 5, 5), residual_network: torch.randn(4, 2, 8, 8)}[make]
    x = x.double()
    before = model(x)
    layers = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert s_norm_model(model) == dict.fromkeys(layers[1:-1], "full")
    assert [name for name, layer in model.named_modules() if metric_of(layer)] == layers[1:-1]
    fit_metric(model, [x])
    torch.testing.assert_close(model(x), before)
    fold(model)
    torch.testing.assert_close(model(x), before)


def test_wide_layers_keep_leading_directions():
    widths = [3, WIDEST_FULL, WIDEST_FULL + 1, 2, 1]
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)))
    assert s_norm_model(model) == {"1": "full", "2": "low_rank"}


def test_select_decides_and_what_is_left_is_said():
    model = nn.ModuleDict(
        {
            "words": nn.Embedding(9, 6),
            "attention": nn.MultiheadAttention(6, 2),
            "normed": parametrizations.weight_norm(nn.Linear(6, 6)),
            "inner": nn.Linear(6, 6),
            "head": nn.Linear(6, 9, bias=False),
        }
    )
    model["head"].weight = model["words"].weight
    found = s_norm_model(model, metric="diagonal", mode="normalize", damping=0.1, select=lambda name, _: True)
    assert found["inner"] == "diagonal"
    assert metric_of(model["inner"]).damping == 0.1
    assert not metric_of(model["inner"]).whitens
    left = {"attention.out_proj": "only lends", "normed": "parametrisation", "head": "shares it"}
    for name, why in left.items():
        assert found[name].startswith("left as it is")
        assert why in found[name]
    assert model["head"].weight is model["words"].weight


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (lambda: nn.Linear(3, 2), {}, "say which with select="),
        (mlp, {"select": lambda name, layer: False}, "Got none"),
        (mlp, {"metric": "fisher"}, "metric must be one of"),
    ],
)
def test_nothing_taken_is_an_error(model, options, message):
    with pytest.raises(ValueError, match=message):
        s_norm_model(model(), **options)


@pytest.mark.parametrize("options", [{"metric": "foo"}, {"mode": "foo"}, {"damping": -1.0}], ids=str)
def test_wrong_options_are_not_a_missing_layer(options):
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name} must be"):
        s_norm_model(model, **options)
