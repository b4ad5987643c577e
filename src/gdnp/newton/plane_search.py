"""Two steps searched together on cached margins, one of them the length or the intercept: no look at X."""

from __future__ import annotations

from collections.abc import Callable

from gdnp.standardized import Place, PlaneJet, Ray, Standardized, plane_jet

__all__ = ["plane_search", "step_in_plane"]

ENOUGH = 0.1
"""The decrease still in sight that ends the search, in units of what it has brought."""
TRIALS = 12


def plane_search(
    plane: Callable[[float, float], PlaneJet], value: float, enough: float = ENOUGH
) -> tuple[float, float] | None:
    """Steps (t, c) where f is nearly least, or None if none was found where it is below `value`.

    Newton's method from (1, 0); a step to a place that is no lower is halved.

    Parameters
    ----------
    plane : callable
        (t, c) -> f, (f_t, f_c), (f_tt, f_tc, f_cc).
    value : float
        f(0, 0).
    enough : float
        What may be left, in units of the decrease; the step that this takes is added unseen.
    """
    t = c = 0.0
    dt, dc, lowest = 1.0, 0.0, value
    for _ in range(TRIALS):
        f, gradient, hessian = plane(t + dt, c + dc)
        if not f < lowest:
            dt, dc = 0.5 * dt, 0.5 * dc
            continue
        t, c, lowest = t + dt, c + dc, f
        dt, dc = _newton(gradient, hessian)
        if not -0.5 * (gradient[0] * dt + gradient[1] * dc) > enough * (value - lowest):
            return t + dt, c + dc
    return (t, c) if lowest < value else None


def _newton(gradient: tuple[float, float], hessian: tuple[float, float, float]) -> tuple[float, float]:
    """-hessian⁻¹ gradient; along t alone where that is not to be had, and 0 where f bends down there too."""
    (g, h), (a, b, d) = gradient, hessian
    determinant = a * d - b * b
    if a > 0.0 and determinant > 1e-10 * a * d:
        return (b * h - d * g) / determinant, (b * g - a * h) / determinant
    return (-g / a if a > 0.0 else 0.0), 0.0


def step_in_plane(
    problem: Standardized, place: Place, first: Ray, second: Ray, enough: float = ENOUGH
) -> tuple[float, Place] | None:
    """The step along the first direction and the lower place that the two together lead to; half a pass."""
    found = plane_search(plane_jet(problem, place, first, second), place.value, enough)
    if found is None:
        return None
    t, c = found
    margins = t * first[1]
    margins += place.margins
    margins += c * second[1]
    new = problem.place(place.x + t * first[0] + c * second[0], margins)
    return (t, new) if new.value < place.value else None
