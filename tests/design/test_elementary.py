"""Elementary functions of the kernels against mpmath, in units in the last place, on each instruction set."""

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr

from gdnp.design import compiled

core = compiled.core
pytestmark = pytest.mark.skipif(core is None, reason="the compiled kernels are not here")

BOUNDS = {"exp": 2.0, "expm1": 2.0, "log": 2.0, "log1p": 2.0, "normal_cdf": 8.0}
EXACT = {
    "exp": (mpmath.exp, np.exp),
    "expm1": (mpmath.expm1, np.expm1),
    "log": (mpmath.log, np.log),
    "log1p": (mpmath.log1p, np.log1p),
    "normal_cdf": (mpmath.ncdf, ndtr),
}


@pytest.fixture(params=core.levels() if core else [])
def level(request):
    best = core.level()
    core.use_level(request.param)
    yield request.param
    core.use_level(best)


def arguments(name, rng, count=250):
    """The whole range: near 0 and 1, in both tails, and where results are subnormal."""
    small = 10.0 ** rng.uniform(-300.0, 0.0, count)
    if name == "exp":
        parts = rng.uniform(-745.0, 709.7, count), rng.uniform(-745.1, -708.0, count), small, -small
    elif name == "expm1":
        parts = rng.uniform(-40.0, 0.0, count), rng.uniform(-1.0, 0.0, count), -small
    elif name == "log":
        parts = 10.0 ** rng.uniform(-323.0, 308.0, count), rng.uniform(0.5, 2.0, count), 1.0 + 1e-8 * small
    elif name == "log1p":
        parts = 10.0 ** rng.uniform(-300.0, 308.0, count), rng.uniform(-1.0, 3.0, count), -small
        parts = (*parts, rng.uniform(0.0, 1.0, count), -1.0 + 10.0 ** rng.uniform(-16.0, 0.0, count))
    else:
        parts = rng.uniform(-37.0, 0.0, 2 * count), rng.uniform(-2.0, 9.0, count), small, -small
    x = np.concatenate(parts)
    return x[x > -1.0] if name == "log1p" else x


def of_kernels(name, x):
    out = np.empty(len(x))
    core.apply(core.FUNCTIONS[name], x, out)
    return out


def largest_error(found, exact):
    """In units in the last place of the exact result."""
    return max(
        float(abs(mpmath.mpf(float(a)) - b) / mpmath.mpf(float(np.spacing(abs(float(b))))))
        for a, b in zip(found, exact, strict=True)
    )


@pytest.mark.parametrize("name", BOUNDS)
def test_errors_are_within_a_few_units_in_the_last_place(name, rng, level, record_property):
    x = arguments(name, rng)
    exact, theirs = EXACT[name]
    with mpmath.workprec(200):
        right = [exact(mpmath.mpf(float(a))) for a in x]
        error, other = largest_error(of_kernels(name, x), right), largest_error(theirs(x), right)
    record_property("ulp", error)
    print(f"{name} on {level}: {error:.2f} ulp here, {other:.2f} of NumPy or SciPy")
    assert error <= BOUNDS[name]


@pytest.mark.parametrize("name", BOUNDS)
def test_special_values_are_those_of_numpy(name, level):
    x = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, -2.0, 1e308, 5e-324, -746.0, -800.0, 709.9, 800.0]
    )
    if name == "expm1":
        x = x[~(x > 0.0)]
    with np.errstate(all="ignore"):
        expected = EXACT[name][1](x)
    for count in range(1, len(x) + 1):  # whatever is left of the last vector
        np.testing.assert_allclose(of_kernels(name, x[:count]), expected[:count], rtol=1e-15, atol=0.0)
