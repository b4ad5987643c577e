"""Limited-memory BFGS about a metric: the inverse Hessian as the metric's, corrected by the last steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import daxpy

from gdnp._typing import FloatArray

__all__ = ["Memory"]

FLAT = 1e-10
"""A pair whose curvature sᵀy is below this share of |s||y| would make the update unstable."""


class Memory:
    """Pairs s = x⁺ - x, y = ∇f⁺ - ∇f, applied by the two-loop recursion (Nocedal 1980).

    Parameters
    ----------
    size : int
        Pairs kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._pairs: list[tuple[FloatArray, FloatArray, float]] = []
        self._scale: float | None = None

    def add(self, s: FloatArray, y: FloatArray) -> None:
        """Keep a pair, unless f is not convex along it."""
        curvature = float(s @ y)
        if curvature > FLAT * float(np.sqrt((s @ s) * (y @ y))):
            self._pairs.append((s, y, curvature))
            self._scale = None
            del self._pairs[: -self._size]

    def clear(self) -> None:
        """Forget: the pairs of an old metric do not improve a new one."""
        self._pairs.clear()

    def _scaled(self, base: Callable[[FloatArray], FloatArray]) -> float:
        """sᵀy/yᵀH⁻¹y of the last pair: the metric's size, where its shape is right (Shanno and Phua 1978)."""
        if self._scale is None:
            _, y, curvature = self._pairs[-1]
            size = float(y @ base(y))
            self._scale = curvature / size if size > 0.0 else 1.0
        return self._scale

    def solve(self, g: FloatArray, base: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """B⁻¹ g, where B is the metric with the pairs' secant equations imposed, the latest last.

        `base` is H⁻¹ of the metric, the same one until the memory is cleared.
        """
        if not self._pairs:
            return base(g)
        q = g.copy()
        weights = []
        for s, y, curvature in reversed(self._pairs):
            a = float(s @ q) / curvature
            weights.append(a)
            q = daxpy(y, q, a=-a)
        p = base(q)
        p *= self._scaled(base)
        for (s, y, curvature), a in zip(self._pairs, reversed(weights), strict=True):
            p = daxpy(s, p, a=a - float(y @ p) / curvature)
        return np.asarray(p)
