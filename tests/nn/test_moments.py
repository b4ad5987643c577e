"""Moments of layer inputs against the whole data at once, and against what a convolution computes."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gdnp.nn.moments import InputMoments, input_rows, input_shape  # noqa: E402


def streamed(layer, x, second, sizes, columns=0):
    moments = InputMoments(input_shape(layer), second, columns=columns)
    for block in x.split(sizes):
        for rows in input_rows(layer, block):
            moments.update(rows)
    return moments


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [3, 40, 7], [0, 49, 1]])
def test_blocks_merge_to_the_moments_of_all_rows(sizes):
    layer = nn.Linear(5, 2)
    x = torch.randn(50, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64) + 10.0
    found = streamed(layer, x, "full", sizes)
    assert found.count == 50
    torch.testing.assert_close(found.mean, x.mean(0))
    torch.testing.assert_close(found.products[0], x.mT.cov(correction=0))
    torch.testing.assert_close(found.variance, found.products[0].diagonal())
    sketch = streamed(layer, x, "sketch", sizes, columns=3)
    torch.testing.assert_close(sketch.products[0], found.products[0] @ sketch.probe)
    assert streamed(layer, x, "diagonal", sizes).products == []


def test_offsets_do_not_swamp_the_variance():
    """In float32 an uncentred sum of these squares has no digit of the variance left, and its mean two."""
    x = (2.0**20 + torch.randn(4000, 3, dtype=torch.float64)).float()
    found = streamed(nn.Linear(3, 1), x, "full", 100)
    torch.testing.assert_close(found.products[0], x.double().mT.cov(correction=0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.mean, x.double().mean(0), rtol=1e-14, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 1, "groups": 2},
        {"padding": (2, 1), "stride": (1, 2), "dilation": (2, 1)},
        {"padding": "same", "kernel_size": (2, 3)},
        {"padding": "valid"},
        {"padding": 2, "padding_mode": "reflect"},
        {"padding": (1, 0), "padding_mode": "circular", "groups": 4},
    ],
)
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_patches_are_what_the_convolution_sees(options, batched):
    """The variance of the output over images and positions is wᵀ S w, its mean wᵀ E[x]."""
    layer = nn.Conv2d(4, 8, **{"kernel_size": 3, **options}, bias=False, dtype=torch.float64)
    x = torch.randn(*(9,) * batched, 4, 7, 8, dtype=torch.float64) + 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gdnp.nn.moments.BLOCK_ELEMENTS", 3000)  # a few images at a time
        found = streamed(layer, x, "full", 4 if batched else len(x))
    out = layer(x).detach()
    out = out.movedim(1, 0).flatten(1) if batched else out.flatten(1)
    rows = layer.weight.detach().reshape(*found.mean.shape[:-1], -1, found.mean.shape[-1])
    mean = (rows @ found.mean.unsqueeze(-1)).flatten()
    variance = ((rows @ found.products[0]) * rows).sum(-1).flatten()
    assert found.count == out.shape[1]
    torch.testing.assert_close(mean, out.mean(1))
    torch.testing.assert_close(variance, out.var(1, correction=0))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(4, 6, 3, stride=2, dilation=2, padding=2, groups=2, bias=False),
        nn.Conv1d(4, 6, 1, padding=1, padding_mode="replicate", bias=False),
        nn.Conv3d(4, 6, (2, 1, 3), stride=(1, 2, 1), padding=(1, 0, 2), bias=False),
        nn.Conv3d(4, 6, 2, dilation=(2, 1, 1), groups=2, padding="same", bias=False),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_rows_of_any_convolution_give_its_output(layer):
    """Every output is a row of inputs times a unit's weights, in some order of the places."""
    layer = layer.double()
    sizes = (4, 5, 6)[: layer.weight.ndim - 2]
    x = torch.randn(3, 4, *sizes, dtype=torch.float64)
    (rows,) = input_rows(layer, x)
    weight = layer.weight.detach().reshape(layer.groups, -1, layer.weight[0].numel())
    out = (rows if layer.groups > 1 else rows[None]) @ weight.mT
    places = layer(x).detach().movedim(1, -1).reshape(-1, 6).unflatten(1, (layer.groups, -1)).movedim(1, 0)
    torch.testing.assert_close(out, places)


def test_sketch_is_seeded_and_leaves_the_generator_alone():
    x = torch.randn(30, 12)
    layer = nn.Linear(12, 1)
    state = torch.get_rng_state()
    first, again = (streamed(layer, x, "sketch", 10, columns=4) for _ in range(2))
    assert torch.equal(first.products[0], again.products[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert first.probe.shape == (12, 4)


def test_narrow_rows_are_summed_wide():
    x = torch.randn(100, 4).bfloat16()
    found = streamed(nn.Linear(4, 1), x, "full", 10)
    assert found.products[0].dtype == torch.float64
    assert found.eps == torch.finfo(torch.float32).eps
    assert streamed(nn.Linear(4, 1), x.double(), "full", 10).eps == torch.finfo(torch.float64).eps
    torch.testing.assert_close(found.products[0], x.double().mT.cov(correction=0), rtol=1e-5, atol=1e-6)
