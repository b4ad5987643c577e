"""The minimum of a convex objective, far more accurately than the methods under test and apart from them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.problem import Objective, gram


@dataclass(frozen=True)
class Reference:
    """Where Newton's method ended."""

    objective: float  # the minimum f*; the infimum 0 where the data are separable
    coef: FloatArray  # w̃*; any separating vector where the data are separable, shape (d,)
    decrement: float  # ∇fᵀ H⁻¹ ∇f / 2 there, an estimate of f - f*
    separable: bool  # some w̃ classifies every row: f has an infimum and no minimum
    iterations: int


def hessian(objective: Objective, margins: FloatArray) -> FloatArray:
    """∇²f = Σ s_i φ''(t_i) (x_i - E x)(x_i - E x)ᵀ / Σ s_i + α I, without the intercept; (d, d).

    `margins` (n,) are the arguments t of the loss.
    """
    d = objective.n_features
    whole = gram.hessian(objective, objective.curvature(margins))[:d, :d]
    return np.asarray(0.5 * (whole + whole.T))


def newton_minimum(objective: Objective, *, tol: float = 1e-17, max_iter: int = 200) -> Reference:
    """Minimise a convex objective without intercept by Newton's method with the exact Hessian.

    The step is taken on the range of the Hessian (S may be rank-deficient) and halved until f falls. It ends
    at a Newton decrement of `tol`. The accuracy is that of f itself, about 1e-16.
    """
    if not objective.loss.convex or objective.fit_intercept:
        raise ValueError(
            "newton_minimum needs a convex loss and no intercept. "
            f"Got {objective.loss.name} with fit_intercept={objective.fit_intercept}."
        )
    point: Any = objective.origin
    decrement = np.inf
    for iteration in range(max_iter + 1):
        if objective.loss.increasing and objective.alpha == 0.0 and point.separates:
            return Reference(0.0, point.coef, float(decrement), separable=True, iterations=iteration)
        gradient = point.gradient
        values, vectors = np.linalg.eigh(hessian(objective, point.margins))
        kept = values > len(values) * np.finfo(float).eps * max(values[-1], 0.0)
        along = vectors.T[kept] @ gradient
        decrement = 0.5 * float(along @ (along / values[kept]))
        direction = -vectors[:, kept] @ (along / values[kept])
        line = point.line(direction)
        step = next((0.5**k for k in range(30) if line.expansion(0.5**k).value < point.value), 0.0)
        if step == 0.0 or decrement <= tol:
            break
        point = objective.at(point.coef + step * direction)
    return Reference(point.value, point.coef, decrement, separable=False, iterations=iteration)
