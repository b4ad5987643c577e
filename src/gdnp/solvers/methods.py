"""The methods of the paper as presets: metric x step size x length, and the rivals behind the same interface.

======================  ========================  ============================  ======================
preset                  metric                    step size                     length
======================  ========================  ============================  ======================
``rayleigh_gd``         S                         wᵀSw/(2L |ρ|) (Theorem 1)     exact
``gdnp``                S                         Eq. 17                        bisection (Algorithm 3)
``gdnp_inner``          S                         Eq. 17                        k gradient steps
``gdnp_seq``            S                         a fraction of Eq. 17          once, at the end
``batch_norm_gd``       S                         constant                      one gradient step
``weight_norm_gd``      I                         constant                      one gradient step
``gdnp_metric``         S, preconditioned         Eq. 17 with L = 1             Newton
======================  ========================  ============================  ======================
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.problem.interface import Objective
from gdnp.solvers.decoupled import DecoupledDescent, TwoStep
from gdnp.solvers.first_order import GradientDescent
from gdnp.solvers.lengths import Bisection, GradientSteps, NewtonLength, SimultaneousStep
from gdnp.solvers.loop import Progress, Result, run
from gdnp.solvers.nonconvex import NonconvexAGD
from gdnp.solvers.separation import diverges
from gdnp.solvers.state import DecoupledState, Method, Status
from gdnp.solvers.step_sizes import AdaptiveStep, ConstantStep
from gdnp.validation import checked_count, checked_number

__all__ = [
    "METHODS",
    "agd",
    "agd_nonconvex",
    "batch_norm_gd",
    "gd",
    "gdnp",
    "gdnp_inner",
    "gdnp_metric",
    "gdnp_seq",
    "get_method",
    "minimize",
    "rayleigh_gd",
    "two_step",
    "weight_norm_gd",
]


@dataclass(frozen=True)
class _LeastSquaresOnly(DecoupledDescent):
    def init(self, objective: Objective, start: NDArray[np.float64] | None) -> DecoupledState:
        if objective.loss.name != "squared_error":
            raise ValueError(
                f"rayleigh_gd minimises the Rayleigh quotient of least squares and needs squared_error. "
                f"Got {objective.loss.name}; gdnp takes the same steps for every loss."
            )
        return super().init(objective, start)


def rayleigh_gd() -> DecoupledDescent:
    """Gradient descent on the Rayleigh quotient ρ(w), Eq. 13 with the step of Theorem 1. Least squares only.

    At the exact length g* = -uᵀw/‖w‖_S, Eq. 17 is that step: s = ‖w‖⁴_S/(L (uᵀw)²) on f = r²/2.
    """
    return _LeastSquaresOnly("rayleigh_gd", "covariance", AdaptiveStep(), NewtonLength())


def gdnp(
    *,
    h: Literal["stein", "printed", "curvature"] = "stein",
    bisection_steps: int = 60,
    guarded: bool = True,
    multiple: float = 1.0,
) -> DecoupledDescent:
    """Gradient descent in normalised parameters: Algorithm 1 with Algorithm 3.

    Parameters
    ----------
    h : {"stein", "printed", "curvature"}
        The stopping criterion and step size of Eq. 18: corrected, as printed, or as it is at an exact length.
    bisection_steps : int
        T_s.
    guarded : bool
        Fall back to a safe step where the theorem's, which assumes Gaussian data, would raise f.
    multiple : float
        Of the step of Eq. 17; up to 2 the direction still converges on Gaussian data.
    """
    checked_count("gdnp: bisection_steps", bisection_steps, least=1)
    _check_positive("gdnp", multiple=multiple)
    return DecoupledDescent(
        "gdnp", "covariance", AdaptiveStep(h, multiple), Bisection(bisection_steps), guarded=guarded
    )


def gdnp_inner(
    *,
    h: Literal["stein", "printed", "curvature"] = "stein",
    inner_steps: int = 10,
    inner_step: float | None = None,
    multiple: float = 1.0,
) -> DecoupledDescent:
    """GDNP as the experiments of section 4.4 run it: several gradient steps on g instead of bisection.

    Parameters
    ----------
    h, multiple
        As for ``gdnp``.
    inner_steps : int
        Gradient steps on g for each direction step.
    inner_step : float or None
        Their size; None is safe, 1/sup φ''.
    """
    checked_count("gdnp_inner: inner_steps", inner_steps, least=1)
    _check_positive("gdnp_inner", inner_step=inner_step, multiple=multiple)
    return DecoupledDescent(
        "gdnp_inner", "covariance", AdaptiveStep(h, multiple), GradientSteps(inner_steps, inner_step)
    )


def gdnp_seq(*, fraction: float = 0.1, direction_tol: float = 1e-8) -> DecoupledDescent:
    """GDNP_seq of Figure 1: the direction first, at a fixed length, in small steps; then the length.

    Parameters
    ----------
    fraction : float
        Of the step of Eq. 17, in (0, 1]; small steps follow the gradient flow.
    direction_tol : float
        Directional gap at which the direction counts as found.
    """
    _check_positive("gdnp_seq", fraction=fraction, direction_tol=direction_tol)
    if fraction > 1.0:
        raise ValueError(f"gdnp_seq: fraction must be at most 1. Got {fraction!r}.")
    return DecoupledDescent(
        "gdnp_seq",
        "covariance",
        AdaptiveStep(multiple=fraction),
        NewtonLength(),
        guarded=False,
        direction_tol=direction_tol,
    )


def batch_norm_gd(*, step: float | None = None) -> DecoupledDescent:
    """Simple Batch Normalization: one gradient step of one constant size on (w, g), in the metric S.

    Parameters
    ----------
    step : float or None
        For w and for g; None is 1/(L sup φ'' + α) for w, and without a ridge 1/sup φ'' for g.
    """
    _check_positive("batch_norm_gd", step=step)
    return DecoupledDescent(
        "batch_norm_gd", "covariance", ConstantStep(step), SimultaneousStep(step), guarded=False
    )


def weight_norm_gd(*, step: float | None = None) -> DecoupledDescent:
    """Weight Normalization (Salimans and Kingma 2016): as ``batch_norm_gd``, in the metric I.

    No rate is claimed for it: the argument behind Theorem 2 needs the metric S.
    """
    _check_positive("weight_norm_gd", step=step)
    return DecoupledDescent(
        "weight_norm_gd", "identity", ConstantStep(step), SimultaneousStep(step), guarded=False
    )


def gdnp_metric() -> DecoupledDescent:
    """GDNP preconditioned by S⁻¹: (17) with L = 1, which finds the direction in one step on Gaussian data."""
    return DecoupledDescent("gdnp_metric", "covariance", AdaptiveStep(), NewtonLength(), preconditioned=True)


def gd(*, step: float | None = None) -> GradientDescent:
    """Gradient descent; `step` None is the safe 1/(L sup φ'' + α)."""
    return GradientDescent("gd", step)


def agd(
    *, step: float | None = None, momentum: float | Literal["convex", "constant"] = "convex"
) -> GradientDescent:
    """Nesterov's accelerated gradient descent.

    Parameters
    ----------
    step : float or None
        None is the safe 1/(L sup φ'' + α).
    momentum : float or {"convex", "constant"}
        k/(k + 3), the constant (1 - √q)/(1 + √q) for strong convexity, or a number in [0, 1).
    """
    return GradientDescent("agd", step, momentum)


def agd_nonconvex(*, step: float | None = None, **parameters: Any) -> NonconvexAGD:
    """Accelerated gradient descent for non-convex objectives (Jin, Netrapalli and Jordan 2017).

    Where the momentum meets negative curvature it is exploited, and where the gradient is small a seeded
    perturbation leaves saddle points.

    Parameters
    ----------
    step : float or None
        η; None is 1/(4ℓ), ℓ = L sup φ'' + α.
    **parameters
        ``momentum``, ``curvature``, ``escape``, ``epsilon``, ``hessian_lipschitz``, ``radius``, ``wait`` and
        ``seed`` of ``gdnp.solvers.nonconvex.NonconvexAGD``, which says what they are when left out.
    """
    return NonconvexAGD("agd_nonconvex", step, **parameters)


def two_step() -> TwoStep:
    """Scaled least squares (Erdogdu, Bayati and Dicker 2016): the strongest simple baseline."""
    return TwoStep()


ELSEWHERE = {"newton": "gdnp.newton"}
"""Modules that register a method of their own, loaded when it is asked for."""
METHODS: dict[str, Callable[..., Method]] = {
    preset.__name__: preset
    for preset in (
        gdnp,
        gdnp_inner,
        gdnp_metric,
        gdnp_seq,
        rayleigh_gd,
        batch_norm_gd,
        weight_norm_gd,
        gd,
        agd,
        agd_nonconvex,
        two_step,
    )
}


def minimize(
    objective: Objective,
    method: Method | str = "gdnp",
    w0: FloatArray | None = None,
    *,
    max_iter: int = 1000,
    tol: float = 1e-8,
    callback: Callable[[Progress], object] | None = None,
) -> Result:
    """Minimise an objective with a method of the paper, one of its rivals, or the production solver.

    Parameters
    ----------
    objective : Objective
        ``gdnp.Objective`` on data, or one of ``gdnp.population``.
    method : Method or str
        A preset of ``gdnp.methods``, or its name.
    w0 : ndarray of shape (d,) or (d + 1,), or None
        The start w̃₀, and after it b where the objective has an intercept, as ``Result`` gives them; d numbers
        start from γ = 0, the b of the mean row. None: u for methods that need a direction, 0 for the others.
    max_iter : int
        Steps at most.
    tol : float
        The run has converged when ‖∇f‖ in S⁻¹ is at most `tol` times its value at w̃ = 0. Where the length
        diverges no such point exists, and the run ends when the direction is as stationary. For "newton" it
        is relative suboptimality.
    callback : callable or None
        Called with a ``Progress`` after every step and at the start. Where it returns True the run ends with
        the status STOPPED; what it raises ends the run, too.

    Returns
    -------
    Result
        Of a loss without a minimiser the status is LENGTH_DIVERGES, where that can be seen from its end.

    Raises
    ------
    ValueError
        For an unknown name, a start of the wrong shape or not finite, or a method that does not fit the
        objective.
    """
    result = run(
        objective,
        get_method(method),
        _checked_start(w0, objective),
        max_iter=checked_count("max_iter", max_iter),
        tol=checked_number("tol", tol),
        callback=callback,
    )
    if result.certificate is not None or result.status in (Status.LENGTH_DIVERGES, Status.NON_FINITE):
        return result
    with objective.cost.free():
        endless = diverges(result.state.point)
    return replace(result, status=Status.LENGTH_DIVERGES) if endless else result


def _checked_start(w0: FloatArray | None, objective: Objective) -> FloatArray | None:
    """The start with γ instead of b, of which it is a shift."""
    if w0 is None:
        return None
    d, start = objective.n_features, np.array(w0, dtype=np.float64)
    if start.shape not in ((d,), (d + objective.fit_intercept,)) or not np.isfinite(start).all():
        last = " and one for the intercept if there is a start for it" if objective.fit_intercept else ""
        raise ValueError(
            f"w0 must be finite with one entry per column, shape ({d},){last}. Got shape {start.shape}."
        )
    if len(start) > d:
        start[d] -= objective.raw_intercept(start[:d], 0.0)
    return start


def get_method(method: Method | str) -> Method:
    """The preset of that name with its defaults, or the method itself."""
    if not isinstance(method, str):
        if not isinstance(method, Method):
            raise TypeError(
                f"method must be a name or a gdnp.solvers.Method. Got {type(method).__name__}; subclass it."
            )
        return method
    if method in ELSEWHERE:
        import_module(ELSEWHERE[method])
    if method not in METHODS:
        raise ValueError(f"method must be one of {sorted(METHODS)} or a Method. Got {method!r}.")
    return METHODS[method]()


def _check_positive(preset: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None:
            checked_number(f"{preset}: {name}", value, positive=True)
