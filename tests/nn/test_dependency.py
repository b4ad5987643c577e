"""gdnp.nn.cross_dependency against whole Hessians, finite differences and its own standard errors."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.autograd.functional import hessian  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from gdnp.nn import cross_dependency, matrix_layers  # noqa: E402
from gdnp.nn.dependency import _layers  # noqa: E402
from layers import residual_network  # noqa: E402

N = 12


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(1)
    X = torch.randn(N, 4, generator=random, dtype=torch.float64)
    return X, torch.randint(3, (N,), generator=random)


def seeded(*modules, seed=0):
    """A model in float64 with all parameters drawn, so that no test sits on a symmetry."""
    model = nn.Sequential(*modules).double()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return model


def normalised():
    layers = [nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh()]
    return seeded(*layers, nn.Linear(5, 3))


def plain():
    return seeded(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))


def projection(weight):
    """I - wwᵀ/‖w‖² of every row, as one matrix on the flattened weight."""
    rows, columns = weight.shape
    P = torch.eye(rows * columns, dtype=weight.dtype)
    for r, w in enumerate(weight):
        P[r * columns : (r + 1) * columns, r * columns : (r + 1) * columns] -= torch.outer(w, w) / (w @ w)
    return P


def by_full_hessian(model, X, y, layer, *, directional=True):
    """The same norms from the Hessian with respect to all weights at once."""
    weights = {f"{name}.weight": weight.detach() for name, weight in matrix_layers(model).items()}
    sizes = [weight.numel() for weight in weights.values()]

    def loss(flat):
        pieces = [piece.view_as(w) for piece, w in zip(flat.split(sizes), weights.values(), strict=True)]
        replaced = dict(zip(weights, pieces, strict=True))
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return F.cross_entropy(functional_call(model, {**replaced, **buffers}, (X,)), y)

    H = hessian(loss, torch.cat([weight.flatten() for weight in weights.values()]))
    if directional:
        P = torch.block_diag(*[projection(weight) for weight in weights.values()])
        H = P @ H @ P
    blocks = [row.split(sizes, dim=1) for row in H.split(sizes)]
    names = list(matrix_layers(model))
    k = names.index(layer)
    return {name: float(blocks[k][i].norm()) for i, name in enumerate(names) if i != k}


# --- the numbers


@pytest.mark.parametrize("directional", [True, False])
@pytest.mark.parametrize(
    ("make", "layer"), [(normalised, "3"), (normalised, "6"), (plain, "0"), (plain, "2")]
)
def test_exact_is_the_block_of_the_whole_hessian(batch, make, layer, directional):
    model = make()
    expected = by_full_hessian(model, *batch, layer, directional=directional)
    found = cross_dependency(model, F.cross_entropy, *batch, layer, exact=True, directional=directional)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert value > 1e-3
        assert found[name] == (pytest.approx(value, rel=1e-10), 0.0)


def test_training_mode_matches_differences_of_gradients(batch):
    """With BatchNorm's statistics moving along: (∇_i f(W_k + hE) - ∇_i f(W_k - hE))/2h for every entry."""
    model, (X, y) = normalised(), batch
    first, middle = model[0].weight, model[3].weight
    columns, h = [], 1e-5
    for k in range(middle.numel()):
        sides = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                middle.view(-1)[k] += sign * h
            (gradient,) = torch.autograd.grad(F.cross_entropy(model(X), y), first)
            sides.append(gradient)
            with torch.no_grad():
                middle.view(-1)[k] -= sign * h
        columns.append(((sides[0] - sides[1]) / (2.0 * h)).flatten())
    expected = float(torch.stack(columns).norm())
    found = cross_dependency(model, F.cross_entropy, X, y, "3", exact=True, directional=False)
    assert found["0"][0] == pytest.approx(expected, rel=1e-7)
    frozen = cross_dependency(model.eval(), F.cross_entropy, X, y, "3", exact=True, directional=False)
    assert abs(frozen["0"][0] / expected - 1.0) > 0.05  # other statistics, another function


def test_batch_norm_leaves_no_radial_part_and_its_absence_does(batch):
    """Between two layers that BatchNorm follows; without it the length of a unit matters."""
    both = [
        {
            flag: cross_dependency(model, F.cross_entropy, *batch, layer, exact=True, directional=flag)
            for flag in (True, False)
        }
        for model, layer in ((normalised(), "3"), (plain(), "2"))
    ]
    assert both[0][True]["0"][0] == pytest.approx(both[0][False]["0"][0], rel=1e-4)
    assert both[1][True]["0"][0] < 0.97 * both[1][False]["0"][0]


def test_directional_part_is_the_block_in_directions_of_a_decoupled_weight(batch):
    """W = g V/‖V‖ at V = W, with the lengths fixed, by PyTorch's own weight_norm."""
    model = plain()
    found = cross_dependency(model, F.cross_entropy, *batch, "2", exact=True)
    for k in (0, 2, 4):
        parametrizations.weight_norm(model[k])
    decoupled = cross_dependency(model, F.cross_entropy, *batch, "2", exact=True, directional=False)
    assert list(decoupled) == ["0", "4"]
    for name in found:
        assert decoupled[name][0] == pytest.approx(found[name][0], rel=1e-9)


def test_blocks_scale_with_the_inverse_of_normalised_weights(batch):
    model = normalised()
    before = cross_dependency(model, F.cross_entropy, *batch, "3", exact=True)["0"][0]
    with torch.no_grad():
        model[0].weight *= 3.0
    after = cross_dependency(model, F.cross_entropy, *batch, "3", exact=True)["0"][0]
    assert after == pytest.approx(before / 3.0, rel=1e-3)


def test_estimate_is_within_its_standard_errors_and_they_are_honest(batch):
    model = normalised()
    exact = cross_dependency(model, F.cross_entropy, *batch, "3", exact=True)
    random = torch.Generator().manual_seed(5)
    runs = [
        cross_dependency(model, F.cross_entropy, *batch, "3", probes=16, generator=random) for _ in range(60)
    ]
    for name, (truth, _) in exact.items():
        norms = torch.tensor([run[name][0] for run in runs], dtype=torch.float64)
        errors = torch.tensor([run[name][1] for run in runs], dtype=torch.float64)
        # The mean of the squares is unbiased; its error over 60 runs is known from their spread.
        squares = norms.square()
        assert abs(float(squares.mean()) - truth**2) < 4.0 * float(squares.std()) / math.sqrt(len(runs))
        # The standard errors that are reported are the spread that is seen.
        assert float(errors.mean()) == pytest.approx(float(norms.std()), rel=0.35)
        assert float(((norms - truth).abs() < 3.0 * errors).double().mean()) > 0.85


def test_more_probes_come_closer_and_calls_repeat(batch):
    model = normalised()
    few, many = (cross_dependency(model, F.cross_entropy, *batch, "3", probes=probes) for probes in (8, 512))
    assert many["0"][1] < few["0"][1] / 4.0
    assert few == cross_dependency(model, F.cross_entropy, *batch, "3", probes=8)
    seed = torch.Generator().manual_seed(7)
    assert few != cross_dependency(model, F.cross_entropy, *batch, "3", probes=8, generator=seed)


def test_one_probe_has_no_standard_error(batch):
    found = cross_dependency(plain(), F.cross_entropy, *batch, "2", probes=1)
    assert all(norm > 0.0 and math.isnan(error) for norm, error in found.values())


# --- any module


def test_convolutions_and_their_transposes_project_output_channels():
    """The projection of a unit removes its radial direction, whichever dimension the units are in."""
    random = torch.Generator().manual_seed(2)
    X = torch.randn(6, 4, 5, generator=random, dtype=torch.float64)
    layers = [
        nn.Conv1d(4, 6, 3, groups=2),
        nn.BatchNorm1d(6),
        nn.Tanh(),
        nn.ConvTranspose1d(6, 4, 3, groups=2),
        nn.BatchNorm1d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(20, 2),
    ]
    model = seeded(*layers, seed=3)

    def loss(output, target):
        return output.square().mean() + output.tanh().mean()

    for layer, other in (("0", "3"), ("3", "0")):
        part = cross_dependency(model, loss, X, None, layer, exact=True)
        whole = cross_dependency(model, loss, X, None, layer, exact=True, directional=False)
        assert part[other][0] == pytest.approx(whole[other][0], rel=1e-3)
        assert part["7"][0] < 0.999 * whole["7"][0]  # nothing normalises the last layer


@pytest.mark.parametrize(
    "module", [nn.Linear(4, 6), nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(4, 6, (3, 2), groups=2)]
)
def test_weights_grown_unit_by_unit_have_no_directional_part(module):
    """Each output channel's weights, times a number of its own: found by growing the outputs instead."""
    module = module.double()
    with torch.no_grad():
        module.bias.zero_()
    X = torch.linspace(-1.0, 2.0, 4 if isinstance(module, nn.Linear) else 100, dtype=torch.float64)
    X = X if isinstance(module, nn.Linear) else X.sin().reshape(1, 4, 5, 5)
    growth = torch.arange(1.0, 7.0, dtype=torch.float64)
    target = module(X).detach() * (growth if isinstance(module, nn.Linear) else growth.view(-1, 1, 1))
    (layer,) = _layers(nn.Sequential(module)).values()
    # Of all changes of the weight that give these outputs, the growth is the one that keeps their shape.
    radial = layer.weight.detach().reshape(layer.shape)
    order = growth.view(2, 1, 3, 1) if layer.dims == (1, 3) else growth.view(-1, 1)
    grown = (radial * order).reshape(layer.weight.shape)
    with torch.no_grad():
        module.weight.copy_(grown)
    torch.testing.assert_close(module(X), target)
    assert float(layer.project(grown).norm()) < 1e-12
    assert float(layer.project(grown + 1.0).norm()) > 0.1


def test_a_loss_that_is_linear_in_the_weights_has_no_dependencies():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x):
            return self.a(x) + self.b(x)

    for options in ({"exact": True}, {"probes": 2}):
        found = cross_dependency(Sum(), lambda out, _: out.mean(), torch.ones(3, 2), None, "a", **options)
        assert found == {"b": (0.0, 0.0)}


def test_recurrent_embedded_tied_and_unused_weights():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(7, 3)
            self.memory = nn.RNN(3, 3, batch_first=True)
            self.out = nn.Linear(3, 7, bias=False)
            self.out.weight = self.words.weight
            self.idle = nn.Linear(2, 2)

        def forward(self, tokens, scale):
            return scale * self.out(self.memory(self.words(tokens))[0][:, -1])

    model = Reader().double()
    assert list(matrix_layers(model)) == ["words", "memory.weight_ih_l0", "memory.weight_hh_l0", "idle"]
    tokens = torch.arange(12).reshape(3, 4) % 7
    found = cross_dependency(
        model, F.cross_entropy, (tokens, 2.0), torch.tensor([0, 3, 5]), "memory.weight_hh_l0"
    )
    assert found["words"][0] > 0.0
    assert found["idle"] == (0.0, 0.0)
    nothing = cross_dependency(model, F.cross_entropy, (tokens, 2.0), torch.tensor([0, 3, 5]), "idle")
    assert set(nothing.values()) == {(0.0, 0.0)}


def test_parametrised_weights_stand_for_their_direction(batch):
    model = plain()
    for k in (0, 2):
        parametrizations.weight_norm(model[k])
    layers = matrix_layers(model)
    assert list(layers) == ["0", "2", "4"]
    assert layers["2"] is model[2].parametrizations.weight.original1


def test_zero_weights_have_no_direction_to_remove(batch):
    model = plain()
    with torch.no_grad():
        model[2].weight[0] = 0.0
    part = cross_dependency(model, F.cross_entropy, *batch, "2", exact=True)
    assert all(math.isfinite(norm) and norm > 0.0 for norm, _ in part.values())


def test_single_precision_and_frozen_weights(batch):
    X, y = batch
    model = normalised()
    expected = cross_dependency(model, F.cross_entropy, X, y, "3", probes=4)
    model.float().requires_grad_(False)
    with torch.no_grad():
        found = cross_dependency(model, F.cross_entropy, X.float(), y, "3", probes=4)
    assert found["0"][0] == pytest.approx(expected["0"][0], rel=1e-4)


# --- the whole matrix, over a loader, of compiled models


def whole_matrix(model, X, y, *, directional=True):
    """All blocks from the Hessian with respect to all weights at once, the diagonal included."""
    weights = matrix_layers(model)
    sizes = [weight.numel() for weight in weights.values()]
    names = [f"{name}.weight" for name in weights]

    def loss(flat):
        pieces = [piece.view_as(w) for piece, w in zip(flat.split(sizes), weights.values(), strict=True)]
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        replaced = dict(zip(names, pieces, strict=True))
        return F.cross_entropy(functional_call(model, {**replaced, **buffers}, (X,)), y)

    H = hessian(loss, torch.cat([weight.detach().flatten() for weight in weights.values()]))
    if directional:
        P = torch.block_diag(*[projection(weight.detach()) for weight in weights.values()])
        H = P @ H @ P
    return torch.stack([torch.stack([b.norm() for b in row.split(sizes, dim=1)]) for row in H.split(sizes)])


@pytest.mark.parametrize("directional", [True, False])
def test_matrix_is_that_of_the_whole_hessian(batch, directional):
    model = normalised()
    found = cross_dependency(model, F.cross_entropy, *batch, exact=True, directional=directional)
    expected = whole_matrix(model, *batch, directional=directional)
    assert found.names == ("0", "3", "6")
    torch.testing.assert_close(found.norms, expected, rtol=1e-9, atol=1e-12)
    assert not found.errors.any()
    sizes = torch.stack([weight.detach().norm() for weight in matrix_layers(model).values()])
    torch.testing.assert_close(found.scaled.norms, expected * torch.outer(sizes, sizes))
    torch.testing.assert_close(found.scaled.scaled.norms, found.scaled.norms)
    others = expected.square().sum(1) - expected.diagonal().square()
    torch.testing.assert_close(found.coupling, others.sqrt() / expected.diagonal())


def test_matrix_estimates_are_within_their_errors_and_both_layers_probes_count(batch):
    model = normalised()
    exact = cross_dependency(model, F.cross_entropy, *batch, exact=True)
    random = torch.Generator().manual_seed(3)
    runs = [cross_dependency(model, F.cross_entropy, *batch, probes=8, generator=random) for _ in range(40)]
    norms = torch.stack([run.norms for run in runs])
    errors = torch.stack([run.errors for run in runs])
    assert torch.equal(norms, norms.mT)
    within = ((norms - exact.norms).abs() < 3.0 * errors).double().mean(0)
    assert (within > 0.8).all()
    assert ((errors.mean(0) / norms.std(0)).log().abs() < 0.5).all()
    rows = cross_dependency(model, F.cross_entropy, *batch, "3", probes=8)
    alone = cross_dependency(model, F.cross_entropy, *batch, "0", probes=8)["3"][0]
    both = cross_dependency(model, F.cross_entropy, *batch, probes=8)
    assert float(both.norms[0, 1]) == pytest.approx(math.sqrt((alone**2 + rows["0"][0] ** 2) / 2.0))


def test_a_loader_is_the_mean_over_its_rows(batch):
    """Without statistics of a batch that is the one large batch; batches need not have one size."""
    X, y = batch
    model = plain()
    together = cross_dependency(model, F.cross_entropy, X, y)
    pairs = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=5)
    apart = cross_dependency(model, F.cross_entropy, pairs)
    torch.testing.assert_close(apart.norms, together.norms, rtol=1e-10, atol=0.0)
    torch.testing.assert_close(apart.errors, together.errors)
    one = cross_dependency(model, F.cross_entropy, [((X[:7],), y[:7]), (X[7:], y[7:])], layer="2")
    assert one["0"][0] == pytest.approx(cross_dependency(model, F.cross_entropy, X, y, "2")["0"][0])
    for loader in ([], [X], [(X, y, y)]):
        with pytest.raises(ValueError, match="loader must yield pairs"):
            cross_dependency(model, F.cross_entropy, loader)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_compiled_models_are_taken_out_of_it(batch):
    model = normalised()
    expected = cross_dependency(model, F.cross_entropy, *batch)
    compiled = torch.compile(model, backend="aot_eager")
    compiled(batch[0])
    assert list(matrix_layers(compiled)) == ["0", "3", "6"]
    model.load_state_dict(normalised().state_dict())
    found = cross_dependency(compiled, F.cross_entropy, *batch)
    torch.testing.assert_close(found.norms, expected.norms)
    model.compile(backend="aot_eager")
    torch.testing.assert_close(cross_dependency(model, F.cross_entropy, *batch).norms, expected.norms)


def test_a_small_residual_network():
    model = residual_network().double()
    X, y = torch.randn(6, 2, 8, 8, dtype=torch.float64), torch.arange(6) % 3
    found = cross_dependency(model, F.cross_entropy, X, y, probes=2)
    assert len(found.names) == 6
    assert (found.norms > 0.0).all()
    k = found.names.index("2.first")
    exact = cross_dependency(model, F.cross_entropy, X, y, "2.first", exact=True)
    many = cross_dependency(model, F.cross_entropy, X, y, "2.first", probes=60)
    for name, (norm, _) in exact.items():
        assert abs(many[name][0] - norm) < 5.0 * many[name][1]
        assert float(found.norms[k, found.names.index(name)]) == pytest.approx(norm, rel=0.8)


def test_a_small_transformer():
    """Its fused attention has no second derivative; the kernel that has one is chosen."""
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    model = nn.Sequential(nn.Embedding(11, 8), block, nn.Linear(8, 11)).train()
    tokens = torch.arange(20).reshape(2, 10) % 11
    found = cross_dependency(
        model, lambda out, y: F.cross_entropy(out.mT, y), tokens, tokens.flip(1), probes=2
    )
    assert found.names[:3] == ("0", "1.self_attn.in_proj_weight", "1.self_attn.out_proj")
    assert (found.norms > 0.0).all()
    model.eval()  # where torch would take a path that hooks and gradients do not see
    again = cross_dependency(
        model, lambda out, y: F.cross_entropy(out.mT, y), tokens, tokens.flip(1), probes=2
    )
    assert (again.norms > 0.0).all()


def test_an_operation_without_second_derivative_is_named():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2.0 * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, slope):
            return 2.0 * slope

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 1)

        def forward(self, x):
            return Once.apply(self.b(self.a(x).tanh()))

    with pytest.raises(RuntimeError, match=r"must have second derivatives.*replace it by plain operations"):
        cross_dependency(Model(), lambda out, _: out.square().mean(), torch.randn(4, 3))


# --- what is left as it was


@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_model_or_of_the_random_state_changes(batch, training):
    model = normalised()
    model.insert(3, nn.Dropout(0.3))
    model.train(training)
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    state = torch.get_rng_state()
    found = cross_dependency(model, F.cross_entropy, *batch, "4", probes=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training is training
    assert all(module.training is training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
        assert parameter.requires_grad
    assert found == cross_dependency(model, F.cross_entropy, *batch, "4", probes=2)  # the same dropout


# --- errors


@pytest.mark.parametrize(
    ("model", "layer", "options", "message"),
    [
        (plain, "1", {}, r"layer must be one with a weight of .*: 0, 2, 4. Got '1'"),
        (plain, "nosuch", {}, "Got 'nosuch'"),
        (normalised, "1", {}, "Got '1'"),
        (lambda: nn.Sequential(nn.Tanh()), "0", {}, "Got none: nothing to measure"),
        (lambda: nn.Sequential(nn.BatchNorm1d(4)), "0", {}, "Got none: nothing to measure"),
        (plain, "0", {"probes": 0}, "probes must be a whole number of at least 1. Got 0"),
        (plain, "0", {"probes": 1.5}, "probes must be a whole number of at least 1. Got 1.5"),
        (lambda: nn.Sequential(nn.LazyLinear(3)), "0", {}, "0.weight should have a shape. Got a lazy layer"),
    ],
)
def test_what_cannot_be_measured_is_refused(batch, model, layer, options, message):
    with pytest.raises(ValueError, match=message):
        cross_dependency(model(), F.cross_entropy, *batch, layer, **options)


@pytest.mark.parametrize(
    ("loss_fn", "message"),
    [
        (lambda outputs, y: outputs, r"tensor of one number. Got shape \(12, 3\): reduce it"),
        (lambda outputs, y: float(outputs.detach().sum()), "tensor of one number. Got float"),
        (lambda outputs, y: outputs.detach().sum(), "should depend on the weights"),
    ],
)
def test_losses_that_are_none_are_refused(batch, loss_fn, message):
    with pytest.raises(ValueError, match=message):
        cross_dependency(plain(), loss_fn, *batch, "0")
