"""The step-size slot of the direction: constant, or the adaptive step of Theorem 2 (Eqs. 17-18)."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from gdnp.problem.interface import Objective
from gdnp.solvers.state import DecoupledState


class StepSize(Protocol):
    """s of w ← w - s ∇_w f."""

    @property
    def needs_spectrum(self) -> bool:
        """Whether λ_max(S) enters, and so S. The rest needs Xw alone: ∇_w f ∝ Xᵀ(r - c Xw), one product."""

    def __call__(self, objective: Objective, state: DecoupledState, largest: float) -> float:
        """The step at `state`; `largest` is λ_max of the (preconditioned) metric."""


@dataclass(frozen=True)
class ConstantStep:
    """The same s at every iteration."""

    step: float | None = None  # s; None is 1/(λ_max(S) sup φ'' + α), safe where ‖w‖ = |g|

    @property
    def needs_spectrum(self) -> bool:
        """Only where the step is not given."""
        return self.step is None

    def __call__(self, objective: Objective, state: DecoupledState, largest: float) -> float:
        """``step``."""
        if self.step is not None:
            return self.step
        curvature = objective.covariance.largest * objective.loss.max_curvature + objective.alpha
        return 1.0 / curvature if curvature > 0.0 else 1.0


@dataclass(frozen=True)
class AdaptiveStep:
    """Eq. 17: s = -‖w‖³/(L g h), with h(w, g) in one of three forms.

    "stein" is the form that makes Theorem 2 true: h = c₁ (uᵀw) with c₁ = E φ' - (uᵀw̃) E φ''. "printed" is
    Eq. 18 as printed: h = E φ' (uᵀw) - E φ'' (uᵀw)². "curvature" is what "stein" becomes at an exact length,
    s = ‖w‖²/(L g² E φ''); it needs neither u nor Stein's lemma, and is used whenever there is an intercept.
    """

    h: Literal["stein", "printed", "curvature"] = "stein"
    multiple: float = 1.0  # s is multiplied by this

    needs_spectrum: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.h not in ("stein", "printed", "curvature"):
            raise ValueError(f"h must be 'stein', 'printed' or 'curvature'. Got {self.h!r}.")

    def __call__(self, objective: Objective, state: DecoupledState, largest: float) -> float:
        """The step; 0 where h = 0, since the direction is then stationary."""
        point, g, norm = state.point, state.length.g, state.norm
        if self.h == "curvature" or objective.fit_intercept:
            numerator, denominator = norm**2, largest * g**2 * point.mean_curvature
        else:
            uw = float(objective.u @ state.direction)
            if self.h == "printed":
                h = point.mean_gradient * uw - point.mean_curvature * uw**2
            else:
                h = objective.stein_coefficient(point) * uw
            numerator, denominator = -(norm**3), largest * g * h
        return self.multiple * numerator / denominator if denominator != 0.0 else 0.0
