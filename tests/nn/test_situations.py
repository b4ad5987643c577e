"""Every metric and mode, in every precision, in what training loops do with a layer: right, or refused."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.nn.utils import parameters_to_vector, parametrize, vector_to_parameters  # noqa: E402
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from gdnp.nn import cross_dependency, fit_metric, fold, s_norm  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from layers import METRICS, MODES  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")

WAYS = [(metric, mode) for metric in METRICS for mode in MODES] + [("batch", "normalize")]
CLOSE = {torch.float64: 1e-9, torch.float32: 2e-4, torch.bfloat16: 0.1}


class Case:
    """A network with the metric at its second layer, and what to do with it."""

    def __init__(self, metric, mode, dtype, *, fitted=True, training=False):
        self.metric, self.mode, self.dtype = metric, mode, dtype
        self.x = (torch.randn(40, 6, dtype=torch.float64) + 0.5).to(dtype)
        self.plain = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4)).to(dtype)
        self.plain.train(training)
        self.model = self.register(copy.deepcopy(self.plain))
        if fitted:
            fit_metric(self.model, [self.x])

    def register(self, model, **options):
        axes = {"axes": (2, 3)} if self.metric == "kronecker" else {}
        s_norm(model[2], metric=self.metric, mode=self.mode, **{**axes, **options})
        return model

    @property
    def fits(self):
        """Whether the weight is one in a metric from data."""
        return self.metric not in ("identity", "batch")

    @property
    def part(self):
        return metric_of(self.model[2])

    def shaken(self):
        """Other parameters, so that no test sits at the start."""
        with torch.no_grad():
            for p in self.model[2].parameters():
                p.mul_(torch.rand_like(p) + 0.5)
        return self

    def close(self, a, b):
        torch.testing.assert_close(a.to(b.dtype), b, rtol=CLOSE[self.dtype], atol=CLOSE[self.dtype])


def registering_in_evaluation(case):
    assert not any(module.training for module in case.model.modules())
    case.close(case.model(case.x), case.plain(case.x))


def registering_in_training(case):
    fresh = case.register(copy.deepcopy(case.plain).train())
    assert all(module.training for module in fresh.modules())


def a_new_metric(case):
    before = case.shaken().model(case.x)
    fit_metric(case.model, [case.x.flip(1)[:25] * 2.0], damping=0.3)
    if case.metric != "batch":  # which takes new statistics in evaluation
        case.close(case.model(case.x), before)


def the_random_stream(case):
    """Dropout and shuffling go on as if the metric had not been fitted."""
    loader = torch.utils.data.DataLoader(case.x, batch_size=10, shuffle=True)
    model = nn.Sequential(nn.Dropout(0.5), case.model)
    model.train()
    state = torch.get_rng_state()
    fit_metric(model, loader)
    assert torch.equal(state, torch.get_rng_state())


def folding(case):
    before = case.shaken().model(case.x)
    fold(case.model)
    assert type(case.model[2]) is nn.Linear
    case.close(case.model(case.x), before)


def copies(case):
    before = case.shaken().model(case.x).detach()
    for one in (copy.deepcopy(case.model), pickle.loads(pickle.dumps(case.model))):
        case.close(one(case.x), before)
        fit_metric(one, [case.x.flip(1)])
        case.close(case.model(case.x), before)


def a_checkpoint(case):
    fit_metric(case.model, [case.x], damping=0.7)
    before = case.shaken().model(case.x)
    buffer = io.BytesIO()
    torch.save(case.model.state_dict(), buffer)
    buffer.seek(0)
    fresh = case.register(copy.deepcopy(case.plain))
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    case.close(fresh(case.x), before)
    if case.fits:
        assert metric_of(fresh[2]).damping == 0.7
        fit_metric(fresh, [case.x])
        fit_metric(case.model, [case.x])
        case.close(metric_of(fresh[2]).mean, case.part.mean)


def a_checkpoint_of_another_kind(case):
    """Refused whether strict or not: the numbers would fit, and the function would be another."""
    state = case.model.state_dict()
    if case.fits:
        other = case.register(copy.deepcopy(case.plain))
        axes = {"axes": (2, 3)} if case.metric == "kronecker" else {}
        opposite = MODES[MODES[0] == case.mode]
        other = copy.deepcopy(case.plain)
        s_norm(other[2], metric=case.metric, mode=opposite, **axes)
        for strict in (True, False):
            with pytest.raises(RuntimeError, match=f"state with mode='{case.mode}'.*mode='{opposite}'"):
                other.load_state_dict(state, strict=strict)
    if case.metric == "batch":
        other = copy.deepcopy(case.plain)
        s_norm(other[2])
        with pytest.raises(RuntimeError, match=r'(?s)Missing key.*Unexpected key.*"2.s_norm.running_var"'):
            other.load_state_dict(state)


def an_average(case, use_buffers=False):
    """Of a model that stays the same, across a new metric: the model, or refused."""
    average = AveragedModel(case.model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=use_buffers)
    average.update_parameters(case.model)
    before = case.model(case.x).detach()
    fit_metric(case.model, [case.x.flip(1)])
    for _ in range(2):
        average.update_parameters(case.model)
    if case.fits:
        with pytest.raises(RuntimeError, match="average folded copies"):
            average(case.x)
    elif case.metric != "batch":
        case.close(average(case.x), before)


def an_average_of_folded_copies(case):
    """It goes on over a new metric, as an average of W."""
    average = AveragedModel(fold(copy.deepcopy(case.shaken().model)))
    weights = [case.model[2].weight.detach()]
    fit_metric(case.model, [case.x.flip(1)])
    average.update_parameters(fold(copy.deepcopy(case.model)))
    case.shaken()
    average.update_parameters(fold(copy.deepcopy(case.model)))
    if case.metric != "batch":  # which folds its statistics too
        weights.append(case.model[2].weight.detach())
        case.close(average.module[2].weight, 0.5 * (weights[0] + weights[1]))
    average(case.x)


def an_average_of_buffers(case):
    an_average(case, use_buffers=True)


def an_average_of_the_state(case):
    """As timm and others have it, entry by entry of the state dict, descriptions included."""
    average = copy.deepcopy(case.model)
    for damping in (0.123456789, 1e-3, 1.0):
        fit_metric(case.model, [case.x], damping=damping)
    for own, its in zip(average.state_dict().values(), case.model.state_dict().values(), strict=True):
        own.copy_(0.9 * own + 0.1 * its)
    if case.fits:
        with pytest.raises(RuntimeError, match="average folded copies"):
            average(case.x)


def inference_mode(case):
    """Layers that are made and moved in it can be trained after it."""
    model = copy.deepcopy(case.plain)
    with torch.inference_mode():
        fit_metric(case.register(model), [case.x])
    optimizer = torch.optim.Adam(model.parameters())
    case.close(model(case.x), case.plain(case.x))
    model(case.x).square().sum().backward()
    optimizer.step()
    with torch.inference_mode():
        fit_metric(model, [case.x.flip(1)], optimizer=optimizer)
        model(case.x)
    model(case.x).square().sum().backward()
    optimizer.step()


def drawing_anew(case):
    if case.metric == "batch":
        return
    with pytest.raises(RuntimeError, match="initialise before s_norm"):
        case.model[2].reset_parameters()
    fold(case.model)[2].reset_parameters()


def an_average_made_before_any_statistics(case):
    average = AveragedModel(case.model)
    case.model.train()
    case.model(case.x)
    average.update_parameters(case.model)
    case.close(average.eval()(case.x), case.model.eval()(case.x))


def derivatives_of_derivatives(case):
    if case.dtype != torch.float64:
        return
    model = case.shaken().model
    names = [name for name, _ in model.named_parameters()]

    def output(*values):
        return functional_call(model, dict(zip(names, values, strict=True)), case.x[:3]).tanh()

    assert torch.autograd.gradgradcheck(output, tuple(model.parameters()), atol=1e-4)


def forward_mode(case):
    model = case.shaken().model
    v = torch.randn_like(case.x)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(model(forward_ad.make_dual(case.x, v))).tangent
    if case.dtype == torch.float64:
        h = 1e-6
        slope = (model(case.x + h * v) - model(case.x - h * v)) / (2.0 * h)
        torch.testing.assert_close(tangent, slope, rtol=1e-6, atol=1e-6)
    assert tangent.isfinite().all()


def dependencies(case):
    before = {name: value.clone() for name, value in case.model.state_dict().items()}
    for training in (False, True):
        cross_dependency(
            case.model.train(training), lambda out, _: out.sin().mean(), case.x, None, "0", probes=1
        )
    assert all(torch.equal(value, before[name]) for name, value in case.model.state_dict().items())


def another_precision(case):
    """Converted as a whole, and moved after it."""
    before = case.shaken().model(case.x)
    model = copy.deepcopy(case.model).double()
    case.close(model(case.x.double()), before.double())
    fit_metric(model, [case.x.double().flip(1)])
    model.to(torch.float32)(case.x.float())


def frozen(case):
    """No gradient where there was none, and still a metric that moves."""
    model = copy.deepcopy(case.plain).requires_grad_(False)
    fit_metric(case.register(model), [case.x])
    assert not any(p.requires_grad for p in model[2].parameters())
    assert not model(case.x).requires_grad
    case.close(model(case.x), case.plain(case.x))
    case.model[2].requires_grad_(False)
    assert not case.model[2](case.x).requires_grad


def a_checkpoint_by_assignment(case):
    state = {name: value.clone() for name, value in case.shaken().model.state_dict().items()}
    fresh = case.register(copy.deepcopy(case.plain))
    fresh.load_state_dict(state, assign=True)
    case.close(fresh(case.x), case.model(case.x))
    fit_metric(fresh, [case.x.flip(1)])
    fresh(case.x).square().sum().backward()


def gradient_checkpointing(case):
    model, x = case.shaken().model.train(), case.x
    slopes = [
        torch.autograd.grad(run(model, x).square().sum(), list(model.parameters()))
        for run in (lambda m, rows: m(rows), lambda m, rows: checkpoint(m, rows, use_reentrant=False))
    ]
    for a, b in zip(*slopes, strict=True):
        case.close(a, b)


def tracing(case):
    traced = torch.jit.trace(case.shaken().model, (case.x,))
    case.close(traced(case.x.flip(0)), case.model(case.x.flip(0)))


def one_row(case):
    """S of one row is 0: refused, and nothing changes."""
    model = case.shaken().model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    case.close(model(case.x[:1]), model(case.x)[:1])
    assert model(case.x[:0]).shape == (0, 4)
    if case.fits:
        with pytest.raises(ValueError, match="positive definite"):
            fit_metric(model, [case.x[:1]])
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def rows_that_are_not_finite(case):
    model, x = case.shaken().model, case.x.clone()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x[3, 2] = torch.nan
    if case.metric != "identity":
        with pytest.raises(ValueError, match=r"inputs of layer '2' must be finite\. Got NaN or infinity"):
            fit_metric(model, [x])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def without_a_bias(case):
    model = copy.deepcopy(case.plain)
    model[2].register_parameter("bias", None)
    plain = copy.deepcopy(model)
    fit_metric(case.register(model), [case.x])
    case.close(model(case.x), plain(case.x))
    fit_metric(model, [case.x.flip(1)], damping=0.3)
    if case.metric != "batch":
        case.close(model(case.x), plain(case.x))
    case.close(fold(model)(case.x), model(case.x))


def inputs_of_more_axes(case):
    x = case.x.view(2, 4, 5, 6)
    case.close(case.model(x).view(40, 4), case.model(case.x))
    other = case.register(copy.deepcopy(case.plain))
    fit_metric(other, [x])
    case.close(other(case.x), case.model(case.x))


def parameters_as_a_vector(case):
    before, model = case.shaken().model(case.x), case.model
    vector = parameters_to_vector(model.parameters())
    vector_to_parameters(torch.zeros_like(vector) + 0.5, model.parameters())
    vector_to_parameters(vector, model.parameters())
    case.close(model(case.x), before)


def a_layer_used_twice(case):
    """Its metric is that of all its inputs."""

    class Twice(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x) + self.layer(3.0 * x)

    models = [Twice(case.register(copy.deepcopy(case.plain))[2]) for _ in range(2)]
    fit_metric(models[0], [case.x])
    fit_metric(models[1].layer, [torch.cat([case.x, 3.0 * case.x])])
    case.close(models[0](case.x), models[1](case.x))
    if case.fits:
        case.close(*(metric_of(model.layer).mean for model in models))


def another_parametrisation_after_it(case):
    parametrize.register_parametrization(case.shaken().model[2], "weight", nn.Tanh())
    before = case.model(case.x)
    fit_metric(case.model, [case.x.flip(1)])
    if case.metric != "batch":
        case.close(case.model(case.x), before)
        case.close(fold(case.model)(case.x), before)


def steps_of_fused_optimizers(case):
    kinds = ({"foreach": False}, {"foreach": True}, {"fused": True})
    models = [copy.deepcopy(case.shaken().model if k == 0 else case.model) for k in range(3)]
    for model, kind in zip(models, kinds, strict=True):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, **kind)
        for rows in (case.x, case.x.flip(1), case.x):
            optimizer.zero_grad()
            model(rows).square().sum().backward()
            optimizer.step()
            fit_metric(model, [rows], optimizer=optimizer)
    for model in models[1:]:
        case.close(model(case.x), models[0](case.x))


def data_parallel(case):
    """On the processor: the model inside, which a fit finds."""
    model = nn.DataParallel(case.shaken().model)
    before = model(case.x)
    fit_metric(model, [case.x.flip(1)])
    if case.metric != "batch":
        case.close(model(case.x), before)
    fold(model)
    assert type(model.module[2]) is nn.Linear


SITUATIONS = [
    registering_in_evaluation,
    registering_in_training,
    a_new_metric,
    the_random_stream,
    folding,
    copies,
    a_checkpoint,
    a_checkpoint_of_another_kind,
    an_average,
    an_average_of_buffers,
    an_average_of_folded_copies,
    an_average_of_the_state,
    inference_mode,
    drawing_anew,
    an_average_made_before_any_statistics,
    derivatives_of_derivatives,
    forward_mode,
    dependencies,
    another_precision,
    frozen,
    a_checkpoint_by_assignment,
    gradient_checkpointing,
    tracing,
    one_row,
    rows_that_are_not_finite,
    without_a_bias,
    inputs_of_more_axes,
    parameters_as_a_vector,
    a_layer_used_twice,
    another_parametrisation_after_it,
    steps_of_fused_optimizers,
    data_parallel,
]


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize(("metric", "mode"), WAYS)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_right_or_refused(situation, metric, mode, dtype):
    situation(Case(metric, mode, dtype))


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("metric", "mode"), WAYS)
def test_autocast(metric, mode, narrow):
    """W is made in full precision although what uses it is not, and so is S."""
    case = Case(metric, mode, torch.float32)
    mixed = torch.diag(torch.logspace(-3, 0, 6)) @ torch.linalg.qr(torch.randn(6, 6))[0]
    ill = torch.randn(500, 6) @ mixed
    plain = nn.Sequential(nn.Linear(6, 4))
    models = [nn.Sequential(copy.deepcopy(plain[0])) for _ in range(2)]
    own = {"batch": {}, "kronecker": {"axes": (2, 3), "damping": 1e-5}}.get(metric, {"damping": 1e-5})
    for model, cast in zip(models, (False, True), strict=True):
        model.eval()
        s_norm(model[0], metric=metric, mode=mode, **own)
        with torch.autocast("cpu", dtype=narrow, enabled=cast):
            fit_metric(model, [ill])
            out = model(ill)
    assert out.dtype == narrow
    torch.testing.assert_close(out.float(), plain(ill), rtol=0.02, atol=0.02)
    for a, b in zip(models[0].buffers(), models[1].buffers(), strict=True):
        if metric != "batch":  # whose statistics are of an output
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    model = case.model.train()
    with torch.autocast("cpu", dtype=narrow):
        loss = model(case.x).float().square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize(("metric", "mode"), WAYS)
def test_export(metric, mode):
    case = Case(metric, mode, torch.float32)
    program = torch.export.export(case.model, (case.x,))
    case.close(program.module()(case.x), case.model(case.x))


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric != "identity"])
def test_inputs_of_few_directions_in_single_precision(metric):
    """S of rank 8 among 100 inputs, with a column that is constant and one far away."""
    z = torch.randn(1000, 8) @ torch.randn(8, 100)
    z[:, 3] = 2.0
    z[:, 4] += 1000.0
    models = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(100, 4)).to(dtype)
        before = model(z.to(dtype))
        axes = {"axes": (10, 10)} if metric == "kronecker" else {}
        s_norm(model[0], metric=metric, mode="whiten", **axes)
        fit_metric(model, [z.to(dtype)])
        torch.testing.assert_close(model(z.to(dtype)), before, rtol=1e-3, atol=2e-3)
        models.append(metric_of(model[0]).factor)
    rows = torch.randn(5, 100)
    there = models[1].whiten(rows.double())
    torch.testing.assert_close(
        models[0].whiten(rows).double(), there, rtol=1e-2, atol=1e-3 * float(there.norm())
    )


def test_forward_mode_of_a_large_layer():
    layer = s_norm(nn.Linear(512, 128), metric="identity")
    with forward_ad.dual_level():
        v = layer.parametrizations.weight.original1
        dual = forward_ad.make_dual(v.detach(), torch.randn_like(v))
        out = functional_call(layer, {"parametrizations.weight.original1": dual}, torch.randn(3, 512))
        assert forward_ad.unpack_dual(out).tangent is not None


@pytest.mark.parametrize(("metric", "mode"), [way for way in WAYS if way[0] != "batch"])
def test_transforms_of_functions(metric, mode):
    """An ensemble by vmap, and a gradient of each of its members."""
    cases = [Case(metric, mode, torch.float64) for _ in range(2)]
    x = cases[0].x
    values, buffers = torch.func.stack_module_state([case.model for case in cases])
    each = torch.func.vmap(
        torch.func.grad(lambda p, b: functional_call(cases[0].model, (p, b), x).sin().sum())
    )
    found = each(values, buffers)
    for k, case in enumerate(cases):
        leaves = dict(case.model.named_parameters())
        slopes = torch.autograd.grad(case.model(x).sin().sum(), list(leaves.values()))
        for name, slope in zip(leaves, slopes, strict=True):
            torch.testing.assert_close(found[name][k], slope)


# --- refused by name


def tied():
    words = nn.Embedding(9, 6)
    head = nn.Linear(6, 9, bias=False)
    head.weight = words.weight
    head.keep = words
    return head


def without_units(layer):
    layer.weight = nn.Parameter(layer.weight.detach()[:0])
    return layer


REFUSED = [
    (tied, {}, ValueError, "shares it with a Embedding"),
    (lambda: nn.Linear(6, 4, device="meta"), {}, ValueError, "meta device; call to_empty"),
    (lambda: nn.MultiheadAttention(6, 2).out_proj, {}, ValueError, "out_proj of MultiheadAttention"),
    (lambda: nn.MultiheadAttention(6, 2).out_proj, {"metric": "batch"}, ValueError, "only lends its weight"),
    (lambda: nn.Embedding(6, 4), {}, TypeError, "Got Embedding"),
    (lambda: nn.ConvTranspose2d(6, 4, 3), {}, TypeError, "Got ConvTranspose2d"),
    (lambda: nn.Linear(6, 4, dtype=torch.complex64), {}, ValueError, "Got a weight of complex numbers"),
    (lambda: without_units(nn.Conv2d(6, 4, 3)), {}, ValueError, r"of shape \(0, 6, 3, 3\)"),
    (lambda: nn.Linear(6, 4), {"damping": True}, ValueError, "damping must be"),
]


@pytest.mark.parametrize(("make", "options", "error", "message"), REFUSED)
def test_refused_with_the_reason(make, options, error, message):
    layer = make()
    with pytest.raises(error, match=message):
        s_norm(layer, **options)
    assert not hasattr(layer, "parametrizations")


def test_an_optimizer_that_came_before_is_told_of():
    layers = [nn.Linear(6, 4) for _ in range(2)]
    optimizer = torch.optim.SGD(layers[0].parameters(), lr=0.1)
    with pytest.warns(UserWarning, match=r"holds the weight of this Linear.*optimizer after s_norm"):
        s_norm(layers[0], metric="identity")
    s_norm(layers[1])  # nobody's: no warning
    assert optimizer.param_groups


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype stage:UserWarning")
@pytest.mark.parametrize(("metric", "mode"), WAYS)
def test_an_encoder_in_evaluation(metric, mode):
    """Its fused path, with padding, has rows in nested tensors."""
    layer = nn.TransformerEncoderLayer(6, 2, 6, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    x, padding = torch.randn(30, 5, 6), torch.arange(5).repeat(30, 1) > 2
    before = encoder(x, src_key_padding_mask=padding)[:, :3]
    axes = {"axes": (2, 3)} if metric == "kronecker" else {}
    s_norm(encoder.layers[1].linear1, metric=metric, mode=mode, **axes)

    def forward(model, batch):
        return model(batch, src_key_padding_mask=padding)

    mask = {} if metric == "identity" else {"mask": lambda batch: ~padding}
    fit_metric(encoder, [x], forward=forward, **mask)
    torch.testing.assert_close(forward(encoder, x)[:, :3], before, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        if metric == "batch":
            with pytest.raises(ValueError, match=r"Got a nested one.*enable_nested_tensor=False"):
                forward(encoder, x)
            encoder.use_nested_tensor = False
        fused = forward(encoder, x)[:, :3]
    torch.testing.assert_close(fused, before, rtol=1e-4, atol=1e-4)
    assert torch.backends.mha.get_fastpath_enabled()


def test_attention_can_have_weight_normalization():
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    x = torch.randn(3, 5, 6)
    before = attention(x, x, x)[0]
    s_norm(attention.out_proj, metric="identity")
    torch.testing.assert_close(attention(x, x, x)[0], before)


def test_no_momentum_is_the_mean_over_all_batches():
    layer, norm = s_norm(nn.Linear(6, 4), metric="batch"), nn.BatchNorm1d(4, momentum=None)
    layer.s_norm.momentum = None
    for _ in range(3):
        x = torch.randn(20, 6)
        layer(x)
        norm(x @ layer.weight.T)
    torch.testing.assert_close(layer.s_norm.running_mean, norm.running_mean)
    layer.eval()(x)
