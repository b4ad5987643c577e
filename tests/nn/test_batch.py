"""``metric="batch"`` is Batch Normalization, in training, in evaluation and against the full metric."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gdnp.nn import fit_metric, fold, s_norm  # noqa: E402
from layers import LAYERS, data, fitted, linear, mlp, outcome  # noqa: E402


def bn(out, kind):
    norms = {
        "linear": nn.BatchNorm1d,
        "signal": nn.BatchNorm1d,
        "conv": nn.BatchNorm2d,
        "volume": nn.BatchNorm3d,
    }
    norm = norms[kind](out)
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
        part.weight.uniform_(0.5, 2.0)
        norm.weight.copy_(part.weight)
        norm.bias.copy_(part.bias)
        norm.running_var.copy_(part.running_var)
    peer = nn.Sequential(plain, norm)
    for training in (True, True, False):
        layer.train(training)
        peer.train(training)
        x = inputs().requires_grad_()
        out, ours = outcome(layer, x, [x, layer.weight, part.weight, part.bias])
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
    fitted(layer, x, damping=0.0)
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


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("act", [lambda layer: layer, fold])
def test_batch_without_statistics_computes_in_evaluation_what_the_layer_did(kind, act):
    make, inputs = LAYERS[kind]
    layer, x = make(), inputs()
    before = layer(x)
    layer = act(s_norm(layer, metric="batch").eval())
    torch.testing.assert_close(layer(x), before, rtol=1e-12, atol=1e-12)


def test_batch_is_a_batch_norm_for_what_looks_for_one():
    model, x = mlp(), data()
    s_norm(model[0], metric="batch")
    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert type(model[0].s_norm) is nn.SyncBatchNorm
    fit_metric(model, [x])
    precise = copy.deepcopy(model.state_dict())
    torch.optim.swa_utils.update_bn([x], model)
    for name in ("0.s_norm.running_mean", "0.s_norm.running_var"):
        torch.testing.assert_close(model.state_dict()[name], precise[name])
    before = model.eval()(x)
    torch.testing.assert_close(fold(model)(x), before)
    assert not model[0]._forward_hooks


def test_a_single_image_is_no_batch():
    layer = s_norm(nn.Conv2d(3, 8, 3, padding=1), metric="batch")
    with pytest.raises(ValueError, match="needs a batch of images"):
        layer(torch.randn(3, 8, 8))


def test_batch_computes_in_evaluation_what_the_layer_did():
    model, x = mlp(), data()
    before = model(x)
    for layer in (model[0], model[2]):
        s_norm(layer, metric="batch")
    fit_metric(model, [x])
    torch.testing.assert_close(model.eval()(x), before, rtol=1e-6, atol=1e-6)
    fold(model)
    torch.testing.assert_close(model(x), before, rtol=1e-6, atol=1e-6)


def test_batch_on_convolutions_and_sequences_counts_every_position():
    for layer, x in (
        (nn.Conv2d(2, 4, 3), torch.randn(9, 2, 7, 8, dtype=torch.float64)),
        (nn.Linear(6, 4), torch.randn(9, 7, 6, dtype=torch.float64)),
    ):
        model = nn.Sequential(layer.double())
        before = model(x)
        s_norm(layer, metric="batch")
        fit_metric(model, x.split(2))
        torch.testing.assert_close(model.eval()(x), before, rtol=1e-9, atol=1e-9)


def test_later_statistics_of_the_batch_leave_length_and_shift():
    model, x = nn.Sequential(nn.Linear(6, 4)).double(), data()
    s_norm(model[0], metric="batch")
    model(x)
    part = model[0].s_norm
    g, c = (p.detach().clone() for p in (part.weight, part.bias))
    trained = model(x)
    fit_metric(model, [x])
    assert torch.equal(part.weight, g)
    assert torch.equal(part.bias, c)
    with torch.no_grad():  # precise statistics: those of all rows, with n - 1 as BatchNorm has it
        torch.testing.assert_close(
            model.eval()(x), c + (trained - c) * (79 / 80) ** 0.5, rtol=1e-5, atol=1e-5
        )


def test_unfitted_batch_layers_stay_without_statistics():
    model, x = mlp(), data()
    before = model(x)
    s_norm(model[0], metric="batch")
    s_norm(model[2])
    fit_metric(model, [x], layers="2")
    assert not model[0].s_norm.num_batches_tracked
    torch.testing.assert_close(model.eval()(x), before)


def test_a_row_without_a_batch_is_evaluated():
    layer = linear()
    x = torch.randn(layer.in_features, dtype=layer.weight.dtype)
    expected = layer(x)
    s_norm(layer, metric="batch").eval()
    torch.testing.assert_close(layer(x), expected)


def test_damping_is_not_accepted_and_ignored():
    with pytest.raises(ValueError, match=r"damping is for a fitted metric\. Got 0\.1"):
        s_norm(linear(), metric="batch", damping=0.1)
