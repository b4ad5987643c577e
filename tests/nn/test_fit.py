"""fit_metric keeps the function and takes S from the data, of the layers that are named and of no other."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.optim import SGD  # noqa: E402

from gdnp.nn import fit_metric, fold, s_norm  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from gdnp.nn.rebase import parameters_of  # noqa: E402
from layers import WAYS, convnet, data, mlp, split  # noqa: E402


@pytest.mark.parametrize(("metric", "mode"), WAYS)
@pytest.mark.parametrize("make", [mlp, convnet])
def test_function_stays_and_the_metric_is_that_of_the_data(make, metric, mode):
    model = make()
    x = data() if make is mlp else torch.randn(30, 2, 5, 5, dtype=torch.float64) + 1.0
    before = model(x)
    split(model, metric, mode)
    assert fit_metric(model, x.split(7), damping=0.05) is model
    torch.testing.assert_close(model(x), before, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(torch.rand_like(p) + 0.5)
            p.neg_()  # a length may have become negative
    moved = model(x)
    assert not torch.allclose(moved, before)
    fit_metric(model, x.flip(0).split(40), damping=0.2)
    torch.testing.assert_close(model(x), moved, rtol=1e-9, atol=1e-9)
    fold(model)
    torch.testing.assert_close(model(x), moved, rtol=1e-9, atol=1e-9)


def test_the_fitted_metric_standardises_the_units():
    """With S of the data and no damping, g is the standard deviation of a unit and c its mean."""
    model, x = mlp(), data()
    split(model)
    fit_metric(model, iter(x.split(9)), damping=0.0)
    h = x
    for layer in model:
        if isinstance(layer, nn.Linear):
            g, _, c = parameters_of(layer)
            units = layer(h).detach()
            torch.testing.assert_close(g.flatten().detach(), units.std(0, correction=0))
            torch.testing.assert_close(c.detach(), units.mean(0))
        h = layer(h)


def test_only_the_named_layers_move_and_in_one_pass():
    model, x = split(mlp()), data()
    batches = list(x.split(20))
    before = copy.deepcopy(model.state_dict())
    fit_metric(model, (batches.pop() for _ in range(4)), layers=["2"])
    assert not batches
    changed = {
        name.split(".")[0] for name, value in model.state_dict().items() if not value.equal(before[name])
    }
    assert changed == {"2"}
    assert metric_of(model[2]).mean.abs().max() > 0.0
    fit_metric(model, [(x, "a target")], layers="0")
    assert metric_of(model[0]).mean.abs().max() > 0.0


def test_damping_is_kept_for_the_next_metric():
    model, peer, x = mlp(), mlp(), data()
    for one, damping in ((model, 0.7), (peer, 0.0)):
        s_norm(one[0], metric="diagonal")
        fit_metric(one, [x[:9]], damping=damping)
    fit_metric(model, [x])
    fit_metric(peer, [x], damping=0.7)
    torch.testing.assert_close(metric_of(model[0]).factor.scale, metric_of(peer[0]).factor.scale)


def test_rank_is_judged_at_the_accuracy_of_the_data():
    """The eigenvalues that twenty rows leave to rounding in float32 are far above that of float64."""
    model = nn.Sequential(s_norm(nn.Linear(100, 3), mode="whiten"))
    x = torch.randn(20, 100)
    with pytest.raises(ValueError, match="singular to the accuracy of the data"):
        fit_metric(model, [x], damping=0.0)
    fit_metric(model, [x], damping=1e-4)


def test_statistics_of_other_layers_are_left_as_they_were():
    model, x = mlp(nn.BatchNorm1d(5)).double(), data()
    s_norm(model[0])
    model(x)
    before = copy.deepcopy(model[1].state_dict())
    fit_metric(model, x.split(20))
    assert all(torch.equal(value, before[name]) for name, value in model[1].state_dict().items())
    assert model.training


def test_identity_needs_no_data():
    model = split(mlp(), "identity")
    before = copy.deepcopy(model.state_dict())
    fit_metric(model, [data()])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_inputs_by_keyword_and_repeated_layers():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 6).double()

        def forward(self, x):
            return self.layer(input=self.layer(input=x).tanh())

    model, x = Twice(), data()
    s_norm(model.layer)
    h = model.layer(x).tanh().detach()
    fit_metric(model, [x])
    torch.testing.assert_close(metric_of(model.layer).mean, torch.cat([x, h]).mean(0))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x: fit_metric(mlp(), [x]), ValueError, "Got a model without; call s_norm"),
        (lambda m, x: fit_metric(m, []), ValueError, "at least one batch. Got none"),
        (lambda m, x: fit_metric(m, [x.numpy()]), TypeError, "must yield tensors.*Got ndarray"),
        (lambda m, x: fit_metric(m, [{"x": x}]), TypeError, "Got dict; say how"),
        (lambda m, x: fit_metric(m, [()]), TypeError, "Got tuple"),
        (lambda m, x: fit_metric(m, None), TypeError, "loader must yield batches.*Got NoneType"),
        (lambda m, x: fit_metric(m, [x], layers=3), TypeError, "layers must be names.*Got 3"),
        (lambda m, x: fit_metric(m, [x], optimizer="sgd"), TypeError, "Optimizer of PyTorch.*Got 's'"),
        (lambda m, x: fit_metric(m, [x], layers=["7"]), ValueError, "here '0', '2'. Got '7', no layer"),
        (
            lambda m, x: fit_metric(m, [x], layers=["4"]),
            ValueError,
            "Got '4', a layer without it; call s_norm",
        ),
        (lambda m, x: fit_metric(m, [x], damping=-1.0), ValueError, "damping must be"),
        (lambda m, x: fit_metric(m, [x * float("nan")]), ValueError, "inputs of layer '0' must be finite"),
        (
            lambda m, x: fit_metric(m, [x[:2]], damping=0.0),
            ValueError,
            "layer '0': S must be positive definite",
        ),
        (
            lambda m, x: fit_metric(m, [x], optimizer=SGD([m[0].parametrizations.bias.original], lr=1.0)),
            ValueError,
            "hold g and V.*'0'; make it after s_norm",
        ),
    ],
)
def test_bad_input_is_named_and_changes_nothing(call, error, message):
    model, x = mlp(), data()
    s_norm(model[0])
    s_norm(model[2])
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(error, match=message):
        call(model, x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model)


def test_a_layer_that_is_not_used_is_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(6, 2).double(), s_norm(nn.Linear(6, 2).double())

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ValueError, match="'spare' must be used in the forward pass"):
        fit_metric(Unused(), [data()])


class Reader(nn.Module):
    """Words to vectors, layers on them, and one on their mean; takes several inputs by name."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 6)
        self.inner, self.head = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, ids, weight):
        h = self.inner(self.words(ids)).tanh()
        return self.head((h * weight[..., None]).sum(1) / weight.sum(1, keepdim=True))


def sentences():
    ids = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]])
    return {"ids": ids, "weight": (ids != 0).double(), "name": "a batch"}


def run(model, batch):
    return model(batch["ids"], weight=batch["weight"])


def kept(batch):
    return batch["ids"] != 0


@pytest.mark.parametrize("metric", ["full", "batch"])
def test_dictionaries_several_inputs_and_padding(metric):
    model, batch = Reader().double().eval(), sentences()
    before = run(model, batch)
    s_norm(model.inner, metric=metric)
    s_norm(model.head)
    fit_metric(model, [batch], forward=run, mask=kept)
    rows = model.words(batch["ids"])[kept(batch)].detach()
    if metric == "full":
        torch.testing.assert_close(metric_of(model.inner).mean, rows.mean(0))
    else:
        out = rows @ model.inner.weight.T
        torch.testing.assert_close(model.inner.s_norm.running_mean, out.mean(0).detach())
    assert metric_of(model.head).mean.shape == (5,)  # of every sentence: the mask is not of its rows
    torch.testing.assert_close(run(model, batch), before, rtol=1e-5, atol=1e-5)


def test_a_mask_is_used_or_refused():
    model, batch = Reader().double(), sentences()
    s_norm(model.inner)
    for mask, error, message in (
        (lambda batch: batch["weight"], TypeError, "tensor of booleans. Got torch.float64"),
        (lambda batch: None, TypeError, "tensor of booleans. Got NoneType"),
        (lambda batch: kept(batch)[:, 0], ValueError, r"shape of a layer's inputs.*Got \(3,\), that of none"),
    ):
        with pytest.raises(error, match=message):
            fit_metric(model, [batch], forward=run, mask=mask)
    images = nn.Sequential(s_norm(nn.Conv1d(2, 3, 2)))
    with pytest.raises(ValueError, match="patches of a convolution are padding"):
        fit_metric(images, [torch.ones(2, 2, 4)], mask=lambda x: x[:, 0] > 0.0)


def test_unused_batch_layers_compute_what_they_did_while_others_are_fitted():
    """In evaluation, before any statistics: the layers behind see the inputs that they will see."""
    model, x = mlp().eval(), data()
    before = model(x)
    s_norm(model[0], metric="batch")
    s_norm(model[2])
    fit_metric(model, [x])
    torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(metric_of(model[2]).mean, model[:2](x).mean(0).detach(), rtol=1e-4, atol=1e-4)
