"""f and its derivatives along directions, on margins that are known: O(n), without a look at X."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.standardized.problem import Place, Standardized

Ray = tuple[FloatArray, FloatArray]
"""A direction of x, and the derivative of the margins along it."""
LineJet = tuple[float, float, float]
PlaneJet = tuple[float, tuple[float, float], tuple[float, float, float]]

__all__ = ["LineJet", "PlaneJet", "Ray", "intercept_ray", "length_ray", "line_jet", "plane_jet"]


def length_ray(problem: Standardized, place: Place) -> Ray:
    """The direction in which the length of x grows, γ with it."""
    return place.x, place.margins if problem.base is None else place.margins - problem.base


def intercept_ray(problem: Standardized) -> Ray:
    """The direction of γ."""
    direction = np.zeros(problem.d + 1)
    direction[-1] = 1.0
    return direction, problem.sigma


def line_jet(
    problem: Standardized, place: Place, p: FloatArray, slope: FloatArray
) -> Callable[[float], LineJet]:
    """t -> f, f' and f'' at step t along p."""
    v, u = place.x[:-1], p[:-1]
    pull = problem.ridge * u
    half, first_pull, second_pull = problem.penalty(place.x), float(pull @ v), float(pull @ u)

    def jet(t: float) -> LineJet:
        def kernel(m: FloatArray, q: FloatArray, s: FloatArray | None) -> list[Any]:
            at = t * q
            at += m
            value, r, c = problem.loss.jet(at)
            if s is not None:
                r *= s
                c *= s
            c *= q
            return [value.sum() if s is None else value @ s, r @ q, c @ q]

        sums = problem.design.reduce_rows(kernel, place.margins, slope, problem.weight)
        share = 1.0 / problem.n if problem.weight is None else 1.0
        f, f_t, f_tt = (share * float(part) for part in sums)
        f += half + t * (first_pull + 0.5 * t * second_pull)
        return f, f_t + first_pull + t * second_pull, f_tt + second_pull

    return jet


def plane_jet(
    problem: Standardized, place: Place, first: Ray, second: Ray
) -> Callable[[float, float], PlaneJet]:
    """(t, c) -> f, (f_t, f_c) and (f_tt, f_tc, f_cc) at steps t and c along two directions."""
    (p, p_slope), (u, u_slope) = first, second
    basis = np.array([place.x[:-1], p[:-1], u[:-1]])
    (xx, xp, xu), (_, pp, pu), (*_, uu) = ((problem.ridge * basis) @ basis.T).tolist()

    def jet(t: float, c: float) -> PlaneJet:
        def kernel(m: FloatArray, q: FloatArray, u: FloatArray, s: FloatArray | None) -> list[Any]:
            at = t * q
            at += m
            at += c * u
            value, r, bend = problem.loss.jet(at)
            if s is not None:
                r *= s
                bend *= s
            bent = bend * q
            bend *= u
            total = value.sum() if s is None else value @ s
            return [total, r @ q, r @ u, bent @ q, bent @ u, bend @ u]

        sums = problem.design.reduce_rows(kernel, place.margins, p_slope, u_slope, problem.weight)
        share = 1.0 / problem.n if problem.weight is None else 1.0
        f, f_t, f_c, f_tt, f_tc, f_cc = (share * float(part) for part in sums)
        along_t, along_c = xp + t * pp + c * pu, xu + t * pu + c * uu
        ridge = 0.5 * (xx + t * (xp + along_t) + c * (xu + along_c))
        return f + ridge, (f_t + along_t, f_c + along_c), (f_tt + pp, f_tc + pu, f_cc + uu)

    return jet
