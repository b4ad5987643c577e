// W doubles at once, in the vector extension of GCC and Clang; elsewhere a plain struct that a compiler may vectorise.
// Everything is in an anonymous namespace and nothing of the standard library is instantiated: this code is compiled
// once for each instruction set, and the linker must never take one set's copy of a function for another's.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

namespace {

#ifdef GDNP_WIDTH
constexpr int W = GDNP_WIDTH;
#else
constexpr int W = 4;
#endif

#if defined(__GNUC__) && !defined(GDNP_PLAIN)

typedef double V __attribute__((vector_size(8 * W)));
typedef int64_t I __attribute__((vector_size(8 * W)));

GDNP_INLINE V splat(double a) { return a - V{}; }
GDNP_INLINE I splat_bits(int64_t a) { return a - I{}; }
GDNP_INLINE I bits(V v) { return (I)v; }
GDNP_INLINE V number(I i) { return (V)i; }
GDNP_INLINE V select(I mask, V a, V b) { return mask ? a : b; }
GDNP_INLINE I shift_right(I a, int k) {
    typedef uint64_t U __attribute__((vector_size(8 * W)));
    return (I)((U)a >> k);
}
GDNP_INLINE I shift_left(I a, int k) { return a << k; }
GDNP_INLINE double lane(V v, int k) { return v[k]; }

#else

struct V {
    double a[W];
};
struct I {
    int64_t a[W];
};
#define GDNP_LANES for (int k = 0; k < W; ++k)
#define GDNP_BINARY(op)                                                                          \
    GDNP_INLINE V operator op(V x, V y) { GDNP_LANES x.a[k] = x.a[k] op y.a[k]; return x; }      \
    GDNP_INLINE V operator op(V x, double y) { GDNP_LANES x.a[k] = x.a[k] op y; return x; }      \
    GDNP_INLINE V operator op(double x, V y) { GDNP_LANES y.a[k] = x op y.a[k]; return y; }
#define GDNP_COMPARE(op)                                                                         \
    GDNP_INLINE I operator op(V x, V y) { I m; GDNP_LANES m.a[k] = -(int64_t)(x.a[k] op y.a[k]); return m; } \
    GDNP_INLINE I operator op(V x, double y) { I m; GDNP_LANES m.a[k] = -(int64_t)(x.a[k] op y); return m; }
#define GDNP_INTEGER(op)                                                                         \
    GDNP_INLINE I operator op(I x, I y) { GDNP_LANES x.a[k] = (int64_t)((uint64_t)x.a[k] op(uint64_t) y.a[k]); return x; }
GDNP_BINARY(+) GDNP_BINARY(-) GDNP_BINARY(*) GDNP_BINARY(/)
GDNP_COMPARE(<) GDNP_COMPARE(>) GDNP_COMPARE(<=) GDNP_COMPARE(>=) GDNP_COMPARE(==) GDNP_COMPARE(!=)
GDNP_INTEGER(+) GDNP_INTEGER(-) GDNP_INTEGER(&) GDNP_INTEGER(|) GDNP_INTEGER(^)
GDNP_INLINE V operator-(V x) { GDNP_LANES x.a[k] = -x.a[k]; return x; }
GDNP_INLINE V& operator+=(V& x, V y) { return x = x + y; }
GDNP_INLINE V& operator*=(V& x, V y) { return x = x * y; }
GDNP_INLINE V splat(double a) { V v; GDNP_LANES v.a[k] = a; return v; }
GDNP_INLINE I splat_bits(int64_t a) { I v; GDNP_LANES v.a[k] = a; return v; }
GDNP_INLINE I bits(V v) { I i; memcpy(&i, &v, sizeof i); return i; }
GDNP_INLINE V number(I i) { V v; memcpy(&v, &i, sizeof v); return v; }
GDNP_INLINE V select(I m, V a, V b) { GDNP_LANES a.a[k] = m.a[k] ? a.a[k] : b.a[k]; return a; }
GDNP_INLINE I shift_right(I x, int s) { GDNP_LANES x.a[k] = (int64_t)((uint64_t)x.a[k] >> s); return x; }
GDNP_INLINE I shift_left(I x, int s) { GDNP_LANES x.a[k] = (int64_t)((uint64_t)x.a[k] << s); return x; }
GDNP_INLINE double lane(V v, int k) { return v.a[k]; }

#endif

GDNP_INLINE V load(const double* p) {
    V v;
    memcpy(&v, p, sizeof v);
    return v;
}
GDNP_INLINE void store(double* p, V v) { memcpy(p, &v, sizeof v); }
GDNP_INLINE double sum(V v) {
    double total = (lane(v, 0) + lane(v, 1)) + (lane(v, 2) + lane(v, 3));
    for (int k = 4; k < W; k += 4) total += (lane(v, k) + lane(v, k + 1)) + (lane(v, k + 2) + lane(v, k + 3));
    return total;
}
GDNP_INLINE V magnitude(V v) { return number(bits(v) & splat_bits(INT64_MAX)); }
GDNP_INLINE V signed_as(V size, V sign) { return number(bits(size) | (bits(sign) & splat_bits(INT64_MIN))); }
GDNP_INLINE V root(V v) {
    double a[W];
    store(a, v);
    for (int k = 0; k < W; ++k) a[k] = sqrt(a[k]);
    return load(a);
}

}  // namespace
