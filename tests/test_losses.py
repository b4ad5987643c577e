"""Every loss of the registry, and one written by a user, against 50 digits and against its own claims."""

import math
import warnings
from dataclasses import dataclass
from functools import cache

import mpmath as mp
import numpy as np
import pytest

from gdnp import GDNPClassifier, GDNPRegressor, Objective, losses
from gdnp.losses import (
    LOSSES,
    Huber,
    LogLoss,
    Loss,
    PseudoHuber,
    SquaredError,
    check_loss,
    checked_loss,
    get_loss,
    zero_one,
)
from gdnp.newton.nonconvex import Tempered
from gdnp.population import Halfspace

EPS = np.finfo(float).eps
TINY = 1e-300
MAGNITUDES = [0.0, 1e-8, 1e-3, 0.1, 1.0, 3.0, 10.0, 36.0, 100.0, 700.0, 1000.0]
POINTS = sorted({sign * t for t in MAGNITUDES for sign in (1.0, -1.0)})


@dataclass(frozen=True)
class SmoothHinge(Loss):
    """φ(t) = t + √(1 + t²), a user's own loss: three methods and five attributes."""

    name = "smooth_hinge"
    task = "classification"
    convex = True
    max_gradient = 2.0
    max_curvature = 1.0

    def value(self, t):
        root = np.hypot(1.0, t)
        return np.where(t > 0.0, t + root, 1.0 / (root + np.abs(t)))

    def gradient(self, t):
        return self.value(t) / np.hypot(1.0, t)

    def curvature(self, t):
        return np.hypot(1.0, t) ** -3.0


def pseudo_huber(delta):
    return lambda t: mp.mpf(delta) ** 2 * (mp.sqrt(1 + (t / mp.mpf(delta)) ** 2) - 1)


def huber(delta):
    return lambda t: t * t / 2 if abs(t) <= delta else mp.mpf(delta) * (abs(t) - mp.mpf(delta) / 2)


def at_a_kink(loss, t):
    """Where Huber's φ'' jumps, and no derivative of it is to be had."""
    return isinstance(loss, Huber) and np.abs(np.abs(t) - loss.delta) < 1e-4


REFERENCES = [
    (LOSSES["squared_error"], lambda t: t * t / 2),
    (LOSSES["huber"], huber(1)),
    (Huber(0.01), huber(0.01)),
    (Huber(250.0), huber(250.0)),
    (LOSSES["pseudo_huber"], pseudo_huber(1)),
    (PseudoHuber(0.01), pseudo_huber(0.01)),
    (PseudoHuber(250.0), pseudo_huber(250.0)),
    (LOSSES["log_loss"], lambda t: mp.log1p(mp.exp(t))),
    (LOSSES["sigmoid"], lambda t: 1 / (1 + mp.exp(-t))),
    (LOSSES["probit"], mp.ncdf),
    (SmoothHinge(), lambda t: t + mp.sqrt(1 + t * t)),
]
PARAMETERS = [pytest.param(*pair, id=f"{pair[0].name}-{i}") for i, pair in enumerate(REFERENCES)]
every_loss = pytest.mark.parametrize(("loss", "reference"), PARAMETERS)


@cache
def exactly(function, t, order):
    """The derivative of that order, in digits enough to tell 1 - 1e-300 from 1."""
    with mp.workdps(50 if 0 < abs(t) <= 10 else 350):
        t = mp.mpf(t)
        return function(t) if order == 0 else mp.diff(function, t, order)


def derivative(loss, order):
    return (loss.value, loss.gradient, loss.curvature)[order]


def test_the_reference_list_covers_the_registry():
    assert set(LOSSES.values()) <= {loss for loss, _ in REFERENCES}
    assert all(name == loss.name for name, loss in LOSSES.items())


@every_loss
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("t", POINTS)
def test_agrees_with_mpmath_to_rounding(loss, reference, order, t):
    if at_a_kink(loss, t):
        return
    computed = float(derivative(loss, order)(np.array([t]))[0])
    exact = exactly(reference, t, order)
    # What a half-ulp error in t alone would do: e^(-t²/2) at t = 36 is worth no more than 1e-13.
    conditioning = float(abs(t * exactly(reference, t, order + 1)))
    assert abs(mp.mpf(computed) - exact) <= 8.0 * EPS * (float(abs(exact)) + conditioning) + TINY


@pytest.mark.parametrize("name", ["log_loss", "sigmoid"])
def test_exponential_tails_keep_full_relative_accuracy(name):
    reference = {loss.name: function for loss, function in REFERENCES}[name]
    for t in (-1.0, -36.0, -300.0, -690.0):
        for order in range(3):
            computed = float(derivative(LOSSES[name], order)(np.array([t]))[0])
            assert computed == pytest.approx(float(exactly(reference, t, order)), rel=4 * EPS, abs=0.0)


def test_probit_is_accurate_far_in_the_tail():
    for t in np.linspace(-37.0, -5.0, 33):
        exact = float(mp.ncdf(mp.mpf(t)))
        assert float(LOSSES["probit"].value(np.array([t]))[0]) == pytest.approx(exact, rel=1e-12, abs=0.0)


@every_loss
def test_derivatives_match_central_differences(loss, reference):
    t = np.linspace(-9.0, 9.0, 361)
    t = t[~at_a_kink(loss, t)] if isinstance(loss, Huber) else t
    h = 1e-5
    assert loss.gradient(t) == pytest.approx((loss.value(t + h) - loss.value(t - h)) / (2 * h), abs=2e-6)
    difference = (loss.gradient(t + h) - loss.gradient(t - h)) / (2 * h)
    # The error of the difference is φ'''' h²/6, large where a small δ bends the loss sharply.
    assert loss.curvature(t) == pytest.approx(difference, abs=2e-6)


@every_loss
@pytest.mark.parametrize("bound", ["max_gradient", "max_curvature"])
def test_bounds_are_never_exceeded_and_nearly_attained(loss, reference, bound):
    t = np.concatenate([np.linspace(-12.0, 12.0, 24001), np.linspace(-1e4, 1e4, 2001)])
    size = np.abs(loss.gradient(t) if bound == "max_gradient" else loss.curvature(t)).max()
    claimed = getattr(loss, bound)
    if math.isinf(claimed):
        assert size == np.abs(t).max()
    else:
        assert 0.999 * claimed <= size <= claimed * (1.0 + 4.0 * EPS)


@every_loss
def test_convex_says_whether_the_curvature_is_never_negative(loss, reference):
    curvature = loss.curvature(np.linspace(-30.0, 30.0, 6001))
    assert bool((curvature >= 0.0).all()) is loss.convex


@every_loss
def test_value_and_gradient_are_the_two(loss, reference):
    t = np.array(POINTS)
    value, gradient = loss.value_and_gradient(t)
    np.testing.assert_allclose(value, loss.value(t), rtol=4 * np.finfo(float).eps)
    # Relative accuracy has its condition number, |t φ''/φ'| <= |t| here: rounding of t alone costs as much.
    condition = 4.0 + np.abs(t)
    assert (np.abs(gradient - loss.gradient(t)) <= condition * EPS * np.abs(loss.gradient(t)) + 1e-308).all()


@every_loss
def test_derivatives_are_all_three(loss, reference):
    t = np.array(POINTS)
    value, gradient, curvature = loss.derivatives(t)
    np.testing.assert_allclose(value, loss.value(t), rtol=4 * EPS, atol=TINY)
    condition = 4.0 + np.abs(t)
    assert (np.abs(gradient - loss.gradient(t)) <= condition * EPS * np.abs(loss.gradient(t)) + 1e-308).all()
    np.testing.assert_allclose(curvature, loss.curvature(t), rtol=8 * EPS, atol=EPS * loss.max_curvature)
    for part in (value, gradient, curvature):
        assert not np.shares_memory(part, t)


class Doubled(PseudoHuber):
    max_gradient = max_curvature = 2.0

    def value(self, t):
        return 2.0 * super().value(t)

    def gradient(self, t):
        return 2.0 * super().gradient(t)

    def curvature(self, t):
        return 2.0 * super().curvature(t)


def test_another_phi_inherits_nothing_that_follows_from_its_parents(rng):
    loss, t = Doubled(), np.array(POINTS)
    for part, method in zip(loss.derivatives(t), (loss.value, loss.gradient, loss.curvature), strict=True):
        np.testing.assert_array_equal(part, method(t))
    np.testing.assert_array_equal(loss.value_and_gradient(t)[0], loss.value(t))
    assert not loss.has_conjugate
    assert PseudoHuber().has_conjugate
    X = rng.standard_normal((200, 3))
    y = X.sum(axis=1) + rng.standard_t(2, 200)
    half, whole = GDNPRegressor(loss, alpha=0.2).fit(X, y), GDNPRegressor("pseudo_huber", alpha=0.1).fit(X, y)
    assert half.certificate_.objective == pytest.approx(2.0 * whole.certificate_.objective, rel=1e-8)
    assert not half.certificate_.proved


@pytest.mark.parametrize("name", ["sigmoid", "probit"])
def test_a_shorter_length_is_the_chain_rule(name):
    loss, t = LOSSES[name], np.linspace(-9.0, 9.0, 37)
    shorter = Tempered(loss, 0.3)
    value, gradient, curvature = shorter.derivatives(t)
    np.testing.assert_allclose(value, loss.value(0.3 * t), rtol=1e-12)
    np.testing.assert_allclose(gradient, 0.3 * loss.gradient(0.3 * t), rtol=1e-12)
    np.testing.assert_allclose(curvature, 0.09 * loss.curvature(0.3 * t), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(shorter.curvature(t), curvature, rtol=1e-12, atol=1e-16)


@every_loss
def test_no_floating_point_warning_and_nothing_but_finite_numbers(loss, reference):
    t = np.linspace(-1000.0, 1000.0, 4001)
    before = t.copy()
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        results = [loss.value(t), loss.gradient(t), loss.curvature(t), *loss.value_and_gradient(t)]
    for result in results:
        assert result.shape == t.shape
        assert result.dtype == np.float64
        assert np.isfinite(result).all()
        assert not np.shares_memory(result, t)
    np.testing.assert_array_equal(t, before)


@every_loss
def test_nan_comes_through(loss, reference):
    assert np.isnan(loss.value_and_gradient(np.array([np.nan]))).all()


def test_pseudo_huber_is_quadratic_inside_delta_and_linear_outside():
    loss = PseudoHuber(1e3)
    assert float(loss.value(np.array([1.0]))[0]) == pytest.approx(0.5, rel=1e-6)
    assert float(loss.gradient(np.array([1e9]))[0]) == pytest.approx(1e3, rel=1e-9)
    assert loss.max_gradient == 1e3


def test_losses_are_values():
    assert PseudoHuber(2.0) == PseudoHuber(2.0) != PseudoHuber(3.0)
    assert hash(PseudoHuber(2.0)) == hash(PseudoHuber(2.0))


@pytest.mark.parametrize("kind", [Huber, PseudoHuber])
@pytest.mark.parametrize("delta", [0.0, -1.0, math.inf, math.nan])
def test_a_delta_that_is_no_scale_is_refused(kind, delta):
    with pytest.raises(ValueError, match=rf"^{kind.__name__} needs a finite delta > 0 .* Got"):
        kind(delta)


@pytest.mark.parametrize("loss", [Huber(0.7), PseudoHuber(0.7)], ids=lambda loss: loss.name)
def test_the_conjugate_of_a_robust_loss_is_a_supremum(loss):
    """φ(t) + φ*(a) - a t is 0 at a = φ'(t), and positive for every other a."""
    t = np.linspace(-3.0, 3.0, 25)
    a = loss.gradient(t)
    np.testing.assert_allclose(loss.value(t) + loss.conjugate(a) - a * t, 0.0, atol=1e-15)
    for other in np.linspace(-0.7, 0.7, 9):
        excess = loss.value(t) + loss.conjugate(np.full_like(t, other)) - other * t
        assert (excess >= 0.05 * (other - a) ** 2 - 1e-15).all()


def test_get_loss_takes_names_and_instances():
    own = SmoothHinge()
    assert get_loss(own) is own
    assert all(get_loss(name) is loss for name, loss in LOSSES.items())


def test_get_loss_names_the_choices():
    with pytest.raises(ValueError, match=r"loss must be one of \['huber', 'log_loss', .*Got 'logloss'"):
        get_loss("logloss")
    with pytest.raises(TypeError, match=r"a name or a gdnp\.losses\.Loss\. Got int"):
        get_loss(3)


def test_a_loss_without_its_three_methods_cannot_be_made():
    class Half(Loss):
        def value(self, t):
            return t

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_the_zero_one_loss_counts_a_tie():
    np.testing.assert_array_equal(zero_one(np.array([-2.0, -1.0, -0.5, 0.0, 3.0])), [0.0, 0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("name", ["hinge", "EVALUATIONS"])
def test_what_nothing_used_is_gone(name):
    assert name not in losses.__all__
    assert not hasattr(losses, name)


# Where a fit starts


@pytest.mark.parametrize("mean", [-0.9, 0.0, 0.3, 0.999])
def test_the_constant_of_a_class_is_its_log_odds(mean):
    """Where the log loss is least; any other loss starts there too."""
    eta = LogLoss().constant(mean)
    positive = 0.5 * (1.0 + mean)
    slope = (1.0 - positive) / (1.0 + math.exp(-eta)) - positive / (1.0 + math.exp(eta))
    assert slope == pytest.approx(0.0, abs=1e-15)
    assert SmoothHinge().constant(mean) == eta


def test_the_constant_of_one_class_alone_and_of_targets():
    assert LogLoss().constant(1.0) == LogLoss().constant(-1.0) == 0.0
    assert SquaredError().constant(37.5) == PseudoHuber().constant(37.5) == 37.5


@dataclass(frozen=True)
class Welsch(Loss):
    """c² (1 - e^(-(r/c)²/2)): a regression that gives up on outliers."""

    c: float = 1.0

    name = "welsch"
    task = "regression"
    convex = False
    max_curvature = 1.0

    @property
    def max_gradient(self):
        return self.c * math.exp(-0.5)

    def value(self, t):
        return -(self.c**2) * np.expm1(-0.5 * np.square(t / self.c))

    def gradient(self, t):
        return t * np.exp(-0.5 * np.square(t / self.c))

    def curvature(self, t):
        square = np.square(t / self.c)
        return (1.0 - square) * np.exp(-0.5 * square)


def test_a_loss_that_is_not_convex_starts_from_one_that_is():
    assert isinstance(LOSSES["sigmoid"].convex_start(), LogLoss)
    start = Welsch(3.0).convex_start()
    assert isinstance(start, PseudoHuber)
    assert start.delta == pytest.approx(3.0 * math.exp(-0.5))
    assert isinstance(SquaredError().convex_start(), SquaredError)


@pytest.mark.parametrize("unit", [1e6, 1e-6])
def test_units_of_the_target_do_not_matter(rng, unit):
    """y in other units, and a loss whose width is in them: the same fit, scaled."""
    X = rng.standard_normal((400, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.3 * rng.standard_normal(400)
    y[:100] += 20.0 * rng.standard_normal(100)
    model = GDNPRegressor(Welsch(1.0), alpha=1e-3).fit(X, y)
    scaled = GDNPRegressor(Welsch(unit), alpha=1e-3).fit(X, unit * y)
    np.testing.assert_allclose(scaled.coef_, unit * model.coef_, rtol=1e-4)
    assert scaled.certificate_.objective == pytest.approx(unit**2 * model.certificate_.objective, rel=1e-7)
    assert np.abs(model.coef_ - [1.0, -2.0, 0.5]).max() < 0.2


@pytest.mark.parametrize("name", ["sigmoid", "probit"])
def test_bounded_losses_are_smooth_zero_one_losses(name):
    t = np.array([-1000.0, -40.0, 0.0, 40.0, 1000.0])
    assert LOSSES[name].value(t) == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0], abs=1e-15)


# A loss of one's own


@pytest.mark.parametrize(
    "loss", [*LOSSES.values(), PseudoHuber(1e-8), PseudoHuber(3.0), PseudoHuber(1e8), SmoothHinge(), Welsch()]
)
def test_right_losses_are_not_refused(loss):
    """Of any scale, with kinks in φ', bounded or not."""
    check_loss(loss)
    assert checked_loss(loss) is loss


class Softplus(Loss):
    """A right one, written as a user would, for others to break."""

    name = "softplus"
    task = "classification"
    convex = True
    increasing = True
    max_gradient = 1.0
    max_curvature = 0.25
    has_conjugate = True

    def value(self, t):
        return np.logaddexp(0.0, t)

    def gradient(self, t):
        return 1.0 / (1.0 + np.exp(-t))

    def curvature(self, t):
        p = 1.0 / (1.0 + np.exp(-t))
        return p * (1.0 - p)

    def conjugate(self, a):
        return LogLoss().conjugate(a)


RIGHT = Softplus()
NUMBERS = r"Got [-+.\de]+ at t = [-+.\de]+, where that is [-+.\de]+; mend"
WRONG = {
    "gradient": ({"gradient": lambda self, t: 1.001 * RIGHT.gradient(t)}, "derivative of value. " + NUMBERS),
    "sign": ({"gradient": lambda self, t: -RIGHT.gradient(t)}, "derivative of value. " + NUMBERS),
    "curvature": ({"curvature": lambda self, t: RIGHT.gradient(t)}, "derivative of gradient. " + NUMBERS),
    "conjugate": (
        {"conjugate": lambda self, a: -RIGHT.conjugate(a)},
        "conjugate must be t φ' - φ.* " + NUMBERS,
    ),
    "bound": ({"max_curvature": 0.2}, r"max_curvature must be at least \|φ''\|. " + NUMBERS),
    "gradient's bound": ({"max_gradient": 0.5}, r"max_gradient must be at least \|φ'\|. " + NUMBERS),
    "together": (
        {"value_and_gradient": lambda self, t: (RIGHT.value(t), RIGHT.value(t))},
        "value_and_gradient must be what gradient is. " + NUMBERS,
    ),
    "all three": (
        {"derivatives": lambda self, t: (RIGHT.value(t), RIGHT.gradient(t), 0.0 * t)},
        "derivatives must be what curvature is. " + NUMBERS,
    ),
    "clip": ({"dual_clip": lambda self, a: np.clip(a, 0.1, 0.5)}, "dual_clip must be φ' where.* " + NUMBERS),
    "not convex": (
        {"value": lambda self, t: np.sin(t), "gradient": lambda self, t: np.cos(t)}
        | {"curvature": lambda self, t: -np.sin(t), "max_curvature": 1.0},
        "curvature must be at least 0, as convex is True. " + NUMBERS,
    ),
    "not increasing": (
        {"value": lambda self, t: t * t, "gradient": lambda self, t: 2.0 * t}
        | {"curvature": lambda self, t: np.full_like(t, 2.0), "max_curvature": 2.0, "max_gradient": np.inf},
        "gradient must be at least 0, as increasing is True. " + NUMBERS,
    ),
    "not quadratic": ({"quadratic": True}, "curvature must be constant, as quadratic is True. " + NUMBERS),
    "overflow": (
        {"value": lambda self, t: np.log1p(np.exp(30.0 * t)) / 30.0},
        "value must be finite. Got inf at t = .* write it so that nothing overflows",
    ),
    "one number": ({"value": lambda self, t: t.sum()}, r"value must return float64 of the shape.* Got "),
    "its argument": ({"gradient": lambda self, t: t}, "gradient must return a new array"),
    "in place": ({"gradient": lambda self, t: np.tanh(t, out=t).copy()}, "leave its argument alone"),
    "task": ({"task": "both"}, "task must be 'classification' or 'regression'. Got 'both'; set it"),
    "forgotten": ({"max_curvature": None}, "max_curvature must be a positive number. Got nothing; set it"),
    "text": ({"convex": "yes"}, "convex must be True or False. Got 'yes'; set it in the class"),
}


@pytest.mark.parametrize(("parts", "message"), WRONG.values(), ids=WRONG)
def test_wrong_losses_are_named_with_their_numbers(rng, parts, message):
    """By the check, and by whatever takes a loss: no run ends as STALLED for it."""
    check_loss(RIGHT)
    loss = type("Mine", (Softplus,), {**parts, "has_conjugate": True})()
    X = rng.standard_normal((20, 2))
    y = np.where(X[:, 0] > 0.0, 1, 0)
    for user in (
        lambda: check_loss(loss),
        lambda: GDNPClassifier(loss).fit(X, y),
        lambda: Objective(X, y, loss),
        lambda: Halfspace(np.ones(2), np.eye(2), loss),
    ):
        with pytest.raises(ValueError, match=rf"^Mine\..*{message}") as caught:
            user()
        assert "\n" not in str(caught.value)


def test_forgotten_attributes_are_named():
    class Bare(Loss):
        value = gradient = curvature = Softplus.value

    with pytest.raises(ValueError, match=r"Bare\.name must be a text. Got nothing; set it in the class"):
        GDNPRegressor(Bare()).fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(TypeError, match=r"must be a gdnp\.losses\.Loss. Got str"):
        check_loss("log_loss")


def test_a_loss_of_somebody_elses_says_what_its_scores_stand_for(rng):
    """By φ'(s)/φ'(-s), which its parent's formula would not be."""
    X = rng.standard_normal((60, 2))
    model = GDNPClassifier(SmoothHinge(), alpha=1e-2).fit(X, X[:, 0] + rng.standard_normal(60) > 0.0)
    s, loss = model.decision_function(X), SmoothHinge()
    up, down = loss.gradient(s), loss.gradient(-s)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], up / (up + down), rtol=1e-12, atol=1e-300)
