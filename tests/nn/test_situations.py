"""Every metric and mode, in every precision, in what training loops do with a layer: right, or refused."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: E402

from gdnp.nn import cross_dependency, fit_metric, fold, s_norm  # noqa: E402
from gdnp.nn.parametrize import metric_of  # noqa: E402
from layers import METRICS, MODES  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated:DeprecationWarning")

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
        case.close(metric_of(fresh[2]).centre, case.part.centre)


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
        with pytest.raises(RuntimeError, match=r"state with eps=1e-05 for a layer with eps=0.001"):
            case.register(copy.deepcopy(case.plain), eps=1e-3).load_state_dict(state)


def an_average(case, use_buffers=False):
    """Of a model that stays the same, across a new metric: the model, or refused."""
    average = AveragedModel(case.model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=use_buffers)
    average.update_parameters(case.model)
    moved = copy.deepcopy(average), copy.deepcopy(case.model)
    for one, along in (((average, case.model), ()), (moved, moved[0])):
        average, model = one
        before = model(case.x).detach()
        fit_metric(model, [case.x.flip(1)], averaged=along)
        for _ in range(2):
            average.update_parameters(model)
        if case.fits and not along:
            with pytest.raises(RuntimeError, match=r"fit_metric\(..., averaged=copy\)"):
                average(case.x)
        elif case.metric != "batch":
            case.close(average(case.x), before)
            case.close(model(case.x), before)


def an_average_of_buffers(case):
    an_average(case, use_buffers=True)


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
    an_average_made_before_any_statistics,
    derivatives_of_derivatives,
    forward_mode,
    dependencies,
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
    axes = {"axes": (2, 3)} if metric == "kronecker" else {}
    for model, cast in zip(models, (False, True), strict=True):
        model.eval()
        s_norm(model[0], metric=metric, mode=mode, damping=1e-5, **axes)
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


REFUSED = [
    (tied, {}, ValueError, "shares it with a Embedding"),
    (lambda: nn.Linear(6, 4, device="meta"), {}, ValueError, "meta device; call to_empty"),
    (lambda: nn.MultiheadAttention(6, 2).out_proj, {}, ValueError, "out_proj of MultiheadAttention"),
    (lambda: nn.MultiheadAttention(6, 2).out_proj, {"metric": "batch"}, ValueError, "only lends its weight"),
    (lambda: nn.Embedding(6, 4), {}, TypeError, "Got 'weight' of Embedding"),
    (lambda: nn.ConvTranspose2d(6, 4, 3), {}, TypeError, "Got 'weight' of ConvTranspose2d"),
    (lambda: nn.Linear(6, 4), {"momentum": 0.3}, ValueError, "belong to metric='batch'"),
    (lambda: nn.Linear(6, 4), {"eps": 0.3}, ValueError, "belong to metric='batch'"),
    (lambda: nn.Linear(6, 4), {"metric": "batch", "momentum": 1.5}, ValueError, "momentum must be a number"),
    (lambda: nn.Linear(6, 4), {"metric": "batch", "momentum": "x"}, ValueError, "momentum must be a number"),
    (lambda: nn.Linear(6, 4), {"metric": "batch", "eps": 0.0}, ValueError, "eps must be"),
    (lambda: nn.Linear(6, 4), {"damping": True}, ValueError, "damping must be"),
]


@pytest.mark.parametrize(("make", "options", "error", "message"), REFUSED)
def test_refused_with_the_reason(make, options, error, message):
    layer = make()
    with pytest.raises(error, match=message):
        s_norm(layer, **options)
    assert not hasattr(layer, "parametrizations")


def test_attention_can_have_weight_normalization():
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    x = torch.randn(3, 5, 6)
    before = attention(x, x, x)[0]
    s_norm(attention.out_proj, metric="identity")
    torch.testing.assert_close(attention(x, x, x)[0], before)


def test_no_momentum_is_the_mean_over_all_batches():
    layer, norm = s_norm(nn.Linear(6, 4), metric="batch", momentum=None), nn.BatchNorm1d(4, momentum=None)
    for _ in range(3):
        x = torch.randn(20, 6)
        layer(x)
        norm(x @ layer.weight.T)
    torch.testing.assert_close(layer.s_norm.running_mean, norm.running_mean)
    layer.eval()(x)
