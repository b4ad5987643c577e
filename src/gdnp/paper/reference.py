"""The minimum of a convex objective, far more accurately than the methods under test and apart from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import Block
from gdnp.objective import Objective

__all__ = ["Reference", "hessian", "newton_minimum"]


@dataclass(frozen=True)
class Reference:
    """Where Newton's method ended.

    Attributes
    ----------
    objective : float
        The minimum f*; the infimum 0 where the data are separable.
    coef : ndarray of shape (d,)
        w̃*; any separating vector where the data are separable.
    decrement : float
        ∇fᵀ H⁻¹ ∇f / 2 there, an estimate of f - f*.
    separable : bool
        Some w̃ classifies every row: f has an infimum and no minimum.
    iterations : int
    """

    objective: float
    coef: FloatArray
    decrement: float
    separable: bool
    iterations: int


def hessian(objective: Objective, margins: FloatArray) -> FloatArray:
    """∇²f = Σ s_i φ''(t_i) (x_i - E x)(x_i - E x)ᵀ / Σ s_i + α I, without the intercept.

    Parameters
    ----------
    objective : Objective
    margins : ndarray of shape (n,)
        The arguments t of the loss.

    Returns
    -------
    ndarray of shape (d, d)
    """
    d, n, shift = objective.n_features, objective.n_samples, objective.shift

    def kernel(block: Block, t: FloatArray, s: FloatArray | None) -> list[Any]:
        weight = objective.loss.curvature(t) * (1.0 / n if s is None else s)
        return [block.gram(weight), block.tdot(weight), float(weight.sum())]

    gram, cross, total = objective.design.reduce(kernel, margins, objective.weight, partial_size=d * d)
    centred = gram - np.outer(cross, shift) - np.outer(shift, cross) + total * np.outer(shift, shift)
    return np.asarray(0.5 * (centred + centred.T) + objective.alpha * np.eye(d))


def newton_minimum(objective: Objective, *, tol: float = 1e-17, max_iter: int = 200) -> Reference:
    """Minimise a convex objective without intercept by Newton's method with the exact Hessian.

    The step is taken on the range of the Hessian (S may be rank-deficient) and halved until f falls. The
    accuracy is that of f itself, about 1e-16.

    Parameters
    ----------
    objective : Objective
        Convex, with ``fit_intercept=False``.
    tol : float
        Newton decrement at which to stop.
    max_iter : int

    Returns
    -------
    Reference

    Raises
    ------
    ValueError
        For a non-convex loss or an intercept.
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
        line = point.line(-vectors[:, kept] @ (along / values[kept]))
        step = next((0.5**k for k in range(30) if line.jet(0.5**k).value < point.value), 0.0)
        if step == 0.0 or decrement <= tol:
            break
        point = objective.at(point.coef + step * line.direction)
    return Reference(point.value, point.coef, decrement, separable=False, iterations=iteration)
