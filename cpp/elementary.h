// exp, expm1, log, log1p and the normal cdf of a vector, without branches or tables.
// Their errors are measured against mpmath by tests/design/test_elementary.py.
#pragma once

#include "simd.h"

namespace {

constexpr double LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33;  // the high part times 2^11 is exact
constexpr double ROUNDER = 0x1.8p52;  // added and taken off again it rounds to a whole number, which it leaves in the low bits

template <int N>
GDNP_INLINE V polynomial(const double (&c)[N], V x) {
    V p = splat(c[N - 1]);
    for (int k = N - 2; k >= 0; --k) p = p * x + c[k];
    return p;
}

// 2^k for a whole number k in the range of exponents.
GDNP_INLINE V power_of_two(V k) { return number(shift_left(bits(k + ROUNDER), 52) + bits(splat(1.0))); }

// e^x = (1 + q) 2^k with |x - k log 2| <= log(2)/2; 2^k in two factors, so that neither over- nor underflows.
struct Exponential {
    V q, first, second;
};

GDNP_INLINE Exponential exponential(V x) {
    static const double c[] = {0x1.0000000000000p-1,  0x1.5555555555557p-3,  0x1.5555555555556p-5,  0x1.111111110ff87p-7,
                               0x1.6c16c16c16212p-10, 0x1.a01a01aca0134p-13, 0x1.a01a01a741b3cp-16, 0x1.71ddffef9e7b1p-19,
                               0x1.27e4da1a3bf04p-22, 0x1.af52906239de4p-26, 0x1.1f75aba0b1e2ep-29};
    x = select(x > 710.0, splat(710.0), x);
    x = select(x < -746.0, splat(-746.0), x);
    V k = (x * 0x1.71547652b82fep0 + ROUNDER) - ROUNDER;
    V r = (x - k * LN2_HIGH) - k * LN2_LOW;
    V half = (k * 0.5 + ROUNDER) - ROUNDER;
    return {r + (r * r) * polynomial(c, r), power_of_two(half), power_of_two(k - half)};
}

GDNP_INLINE V exp_of(V x) {
    Exponential e = exponential(x);
    return (e.q * e.first + e.first) * e.second;
}

// e^x and e^x - 1 for x <= 0.
GDNP_INLINE void exp_and_expm1(V x, V& e, V& minus_one) {
    Exponential parts = exponential(x);
    V scale = parts.first * parts.second;
    e = (parts.q * parts.first + parts.first) * parts.second;
    minus_one = scale * parts.q + (scale - 1.0);
}

// log(1 + f) + k log 2 + c for 1 + f between √½ and √2 and a small c (the scheme of fdlibm's e_log.c).
GDNP_INLINE V log_of_parts(V f, V k, V c) {
    static const double even[] = {3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01};
    static const double odd[] = {6.666666666666735130e-01, 2.857142874366239149e-01, 1.818357216161805012e-01,
                                 1.479819860511658591e-01};
    V s = f / (f + 2.0), z = s * s, w = z * z;
    V rest = w * polynomial(even, w) + z * polynomial(odd, w);
    V half = (f * f) * 0.5;
    return k * LN2_HIGH - ((half - (s * (half + rest) + (k * LN2_LOW + c))) - f);
}

// u = m 2^k with m between √½ and √2, for normal u > 0.
GDNP_INLINE V exponent_and_mantissa(V u, V& mantissa) {
    const I shift = splat_bits(0x0009a6e2LL << 32);  // the high word of 1 less that of √½
    const I one = bits(splat(1.0));
    I raised = bits(u) + shift;
    V k = number(shift_right(raised, 52) | bits(splat(0x1p52))) - (0x1p52 + 1023.0);
    mantissa = number((raised & splat_bits(0x000fffffffffffffLL)) + (one - shift));
    return k;
}

GDNP_INLINE V log_of(V x) {
    I small = x < 0x1p-1022;
    V m, k = exponent_and_mantissa(select(small, x * 0x1p54, x), m);
    V y = log_of_parts(m - 1.0, k - select(small, splat(54.0), splat(0.0)), splat(0.0));
    y = select(x == INFINITY, x, y);
    y = select(x == 0.0, splat(-INFINITY), y);
    y = select(x < 0.0, splat(NAN), y);
    return select(x != x, x, y);
}

// log(u) for the rounded u = 1 + x, and what the rounding lost over u.
GDNP_INLINE V log1p_of(V x) {
    V u = x + 1.0;
    V lost = select(x > 1.0, 1.0 - (u - x), x - (u - 1.0)) / u;
    V m, k = exponent_and_mantissa(u, m);
    I whole = k == 0.0;
    V y = log_of_parts(select(whole, x, m - 1.0), k, select(whole, splat(0.0), lost));
    y = select(x == INFINITY, x, y);
    y = select(x == -1.0, splat(-INFINITY), y);
    y = select(x < -1.0, splat(NAN), y);
    return select(x != x, x, y);
}

// The same for x in [0, 1], where u = 1 + x and 1/u are known.
GDNP_INLINE V log1p_of_unit(V x, V u, V inverse) {
    I large = u > 0x1.6a09e667f3bcdp0;
    V f = select(large, u * 0.5 - 1.0, x);
    V lost = select(large, (x - (u - 1.0)) * inverse, splat(0.0));
    return log_of_parts(f, select(large, splat(1.0), splat(0.0)), lost);
}

// Φ(z) = e^(-z²/2) P(q)/(1 + √2 a) for z = -a <= 0: erfcx as a polynomial in q = (a - 4√2)/(a + 4√2), after Shepherd
// and Laframboise (1981). z² is taken in two parts, or e^(-z²/2) would lose as many digits as it has in front of the point.
GDNP_INLINE V normal_cdf(V z) {
    static const double c[] = {
        0x1.3ba5916e9fd7fp-1,   -0x1.1df1ad154a29dp-4,  0x1.f7f5df66fd8f8p-8,   0x1.16ecefcfa60e0p-5,  -0x1.9ddb23c3e9604p-5,
        0x1.7fee004df5663p-5,   -0x1.0fb06dfe4a7f2p-5,  0x1.3079edfa23211p-6,   -0x1.09623882ab3c1p-7, 0x1.49c6718598c91p-9,
        -0x1.8d4a9e63e4b36p-12, -0x1.a1de7b36766c0p-14, 0x1.3be0be3987debp-14,  -0x1.996acd2e3d5c7p-17, -0x1.78a5e4f57aff4p-18,
        0x1.7fb721199457ep-19,  0x1.43e258152af49p-23,  -0x1.c0419ebbab492p-22, 0x1.0c6b52c2ed0cdp-25, 0x1.ee588db19404dp-25,
        -0x1.082e6df3c027ap-28, -0x1.d1f472027a1f9p-28, -0x1.eb04214381f65p-31};
    V a = magnitude(z);
    a = select(a > 40.0, splat(40.0), a);
    V high = number(bits(a) & splat_bits(~0x7ffffffLL));
    V low = (a - high) * (a + high) * -0.5;
    V near_one = 1.0 + low * (1.0 + low * (0.5 + low * 0x1.5555555555555p-3));
    V centre = splat(0x1.6a09e667f3bcdp2);
    V tail = polynomial(c, (a - centre) / (a + centre)) / (a * 0x1.6a09e667f3bcdp0 + 1.0);
    tail = exp_of((high * high) * -0.5) * (near_one * tail);
    return select(z > 0.0, 1.0 - tail, tail);
}

}  // namespace
