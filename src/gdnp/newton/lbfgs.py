"""Limited-memory BFGS about a preconditioner: H⁻¹ corrected by the secant equations of the last steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import daxpy

from gdnp._cached import cached_property
from gdnp._typing import FloatArray

CURVED = 1e-10
"""A pair whose curvature sᵀy is below this share of |s||y| would make the update unstable."""
MOST_PAIRS = 10
"""Pairs kept; fewer, but two, where they would take longer to apply, 4 d operations each, than X to read."""


@dataclass(frozen=True)
class Pair:
    """s = x⁺ - x, y = ∇f⁺ - ∇f, and sᵀy."""

    s: FloatArray
    y: FloatArray
    curvature: float


@dataclass(frozen=True)
class Memory:
    """Pairs of steps, applied about a preconditioner by the two-loop recursion (Nocedal 1980)."""

    base: Callable[[FloatArray], FloatArray]  # g -> H⁻¹ g
    size: int  # pairs kept
    pairs: tuple[Pair, ...] = ()  # the latest last

    @classmethod
    def sized(cls, base: Callable[[FloatArray], FloatArray], d: int, entries: int) -> Memory:
        """An empty one for d columns of so many stored entries."""
        return cls(base, int(np.clip(entries // max(1, 2 * d), 2, MOST_PAIRS)))

    def with_pair(self, s: FloatArray, y: FloatArray) -> Memory:
        """The memory with one more pair, unless f is not convex along it."""
        curvature = float(s @ y)
        if not curvature > CURVED * float(np.sqrt((s @ s) * (y @ y))):
            return self
        return Memory(self.base, self.size, (*self.pairs, Pair(s, y, curvature))[-self.size :])

    def about(self, base: Callable[[FloatArray], FloatArray]) -> Memory:
        """An empty one about another preconditioner, which old pairs do not improve."""
        return Memory(base, self.size)

    @cached_property
    def _scale(self) -> float:
        """sᵀy/yᵀH⁻¹y of the last pair: the size of H, where its shape is right (Shanno and Phua 1978)."""
        last = self.pairs[-1]
        size = float(last.y @ self.base(last.y))
        return last.curvature / size if size > 0.0 else 1.0

    def solve(self, g: FloatArray) -> FloatArray:
        """B⁻¹ g, where B is H with the pairs' secant equations imposed, the latest last."""
        if not self.pairs:
            return self.base(g)
        q = g.copy()
        weights = []
        for pair in reversed(self.pairs):
            a = float(pair.s @ q) / pair.curvature
            weights.append(a)
            q = daxpy(pair.y, q, a=-a)
        p = self.base(q)
        p *= self._scale
        for pair, a in zip(self.pairs, reversed(weights), strict=True):
            p = daxpy(pair.s, p, a=a - float(pair.y @ p) / pair.curvature)
        return np.asarray(p)
