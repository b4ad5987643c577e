// What module.cpp asks of the kernels, and what each instruction set's copy of level.cpp offers.
#pragma once

#include <stdint.h>

// Methods below are always inlined: a copy compiled for one instruction set must not be called by another's code.
#if defined(__GNUC__)
#define GDNP_INLINE static inline __attribute__((always_inline))
#define GDNP_METHOD inline __attribute__((always_inline))
#define GDNP_PREFETCH(p) __builtin_prefetch(p)
#elif defined(_MSC_VER)
#define GDNP_INLINE static __forceinline
#define GDNP_METHOD __forceinline
#define GDNP_PREFETCH(p) ((void)(p))
#else
#define GDNP_INLINE static inline
#define GDNP_METHOD inline
#define GDNP_PREFETCH(p) ((void)(p))
#endif

namespace gdnp {

enum LossKind { SQUARED_ERROR, PSEUDO_HUBER, HUBER, LOG_LOSS, SIGMOID, PROBIT };

struct Loss {
    int kind = SQUARED_ERROR;
    double delta = 1.0;
};

// n numbers that lie `stride` apart; all of them the same where it is 0, none where there is no pointer.
struct Vector {
    const double* p = nullptr;
    int64_t stride = 0;
    GDNP_METHOD explicit operator bool() const { return p != nullptr; }
    GDNP_METHOD double operator[](int64_t i) const { return p[i * stride]; }
};

// (X - offset) · factor, column by column; either may be missing.
struct Shape {
    int64_t n = 0, d = 0;
    const double *offset = nullptr, *factor = nullptr;
    bool single = false;  // float32
};

struct Dense : Shape {
    const void* data = nullptr;
    int64_t row = 0, column = 0;  // strides in entries
};

// Pointers are a copy that was checked, and so are indices of 16 bits; others are X's own, which may change.
struct Csr : Shape {
    const void *data = nullptr, *indices = nullptr;
    const int64_t* indptr = nullptr;
    int index_bytes = 4;
    bool ones = false;  // every entry is 1
};

enum Verb { MARGINS, SUMS, VALUE, HESSIAN, TRANSPOSE, PRODUCT, DIAGONAL, GAP };

// Sums of which rounding is kept beside them.
struct Sums {
    double sums[5] = {}, lost[5] = {};

    // Adds to a sum, and keeps what rounding lost (Kahan 1965): nothing where the sum is infinite.
    GDNP_METHOD void add(int k, double term) {
        double y = term - lost[k], sum = sums[k] + y, more = (sum - sums[k]) - y;
        lost[k] = more == more ? more : 0.0;
        sums[k] = sum;
    }
};

// One verb over some rows. Row vectors begin at the first of them.
struct Job : Sums {
    int verb = MARGINS;
    Loss loss;
    const double* w = nullptr;
    double b = 0.0;
    Vector sigma, base, s, r;
    double *out = nullptr, *g = nullptr, *squares = nullptr;
    const double* centre = nullptr;
    double up = 1.0, down = 1.0, *h = nullptr;  // of a gap, as are the sums from the third on
    double rest[2] = {0.0, 0.0};  // a sum in twice the digits
};

enum ClassVerb { SLOPES, BENDS, SPREADS, GAPS, SHARES, CORRECTED, TILTED, EXPANDED, SCORES };

// K numbers of each row, one after the other; rows lie `stride` apart.
struct Lines {
    const double* p = nullptr;
    int64_t stride = 0;
};

// One verb over K margins of each of n rows, which come from X through w and b, or from `in`.
struct ClassJob : Sums {
    int verb = SLOPES;
    int64_t n = 0, K = 0;
    const double *w = nullptr, *b = nullptr;
    Lines in, other;
    const int64_t* y = nullptr;
    int64_t y_stride = 1;
    Vector s;
    const double* extra = nullptr;  // tilts, steps as an expansion has them, or the least p (1 - p)
    int64_t steps = 0;
    double *out = nullptr, *g = nullptr, *squares = nullptr;  // Xᵀr, and the same of squares of sparse X
    double* of_class = nullptr;  // five sums of each: the first in twice the digits
    double* table = nullptr;     // K sums of each class, or six of each step
};

enum Status { DONE, OUT_OF_RANGE, NO_MEMORY, WRONG_LABEL };

// Elementary functions, for their tests.
enum Function { EXP, EXPM1, LOG, LOG1P, NORMAL_CDF };

// a = φ' + φ'' q between two bounds, written, and the sums of s a σ above and below 0.
struct DualPoint {
    Loss loss;
    int64_t n = 0;
    double low = 0.0, high = 0.0;
    Vector t, q, sigma, s;
    double *out = nullptr, above = 0.0, below = 0.0;
};

// Six sums at each of some steps (t, c) along two directions.
struct Expansion {
    Loss loss;
    int64_t n = 0, steps = 0;
    const double* at = nullptr;
    Vector m, q, u, s;
    double* out = nullptr;
};

struct Level {
    const char* name;
    Status (*dense)(const Dense&, int64_t low, int64_t high, Job&);
    Status (*csr)(const Csr&, int64_t low, int64_t high, Job&);
    Status (*class_dense)(const Dense&, int64_t low, ClassJob&);
    Status (*class_csr)(const Csr&, int64_t low, ClassJob&);
    Status (*class_rows)(ClassJob&);
    Status (*gram)(const Csr&, int64_t low, int64_t high, Vector c, double* sum, double* first, double* out);
    void (*expand)(const Expansion&);
    void (*dual_point)(DualPoint&);
    // Each of value, slope and curvature where it is not null; the curvature to every digit.
    void (*evaluate)(Loss, int64_t n, Vector t, double* value, double* slope, double* curvature);
    void (*apply)(Function, int64_t n, Vector x, double* out);
};

extern const Level baseline;
#ifdef GDNP_X86
extern const Level avx2, avx512;
#endif

}  // namespace gdnp
