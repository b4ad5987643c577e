// The kernels for one instruction set: compiled as `baseline`, and on x86 as `avx2` and `avx512` too.
#include "classes.h"

#ifndef GDNP_LEVEL
#define GDNP_LEVEL baseline
#endif
#define GDNP_TEXT_OF(name) #name
#define GDNP_TEXT(name) GDNP_TEXT_OF(name)

namespace {

using gdnp::Job;

// What a verb does to the margins of a strip, its loss included; r and h are what goes back through X.
struct Strip {
    double t[ROOM], r[ROOM], s[ROOM], value[ROOM], h[ROOM];
};

// The margins base + σ t of the strip in place, and in `out`.
void finish_margins(const Job& job, int64_t i, int n, Strip& a) {
    for (int k = 0; k < n; ++k) a.t[k] += job.b;
    if (job.sigma)
        for (int k = 0; k < n; ++k) a.t[k] *= job.sigma[i + k];
    if (job.base)
        for (int k = 0; k < n; ++k) a.t[k] += job.base[i + k];
    fill_up(a.t, n);
    memcpy(job.out + i, a.t, sizeof(double) * (size_t)n);
}

// Adds Σ s φ and Σ r for r = s φ' σ.
void loss_of_margins(Job& job, int64_t i, int n, Strip& a) {
    value_and_slope(job.loss, a.t, n, a.value, a.r);
    for (int k = 0; k < n; ++k) a.r[k] *= job.sigma[i + k];
    if (job.s) {
        take(job.s, i, n, a.s);
        for (int k = 0; k < n; ++k) a.r[k] *= a.s[k];
        job.add(0, total_of_products(a.value, a.s, n));
    } else {
        job.add(0, total(a.value, n));
    }
    job.add(1, total(a.r, n));
}

// What a duality gap is made of: the dual point a, scaled, is where the margins are written.
void gap_of_margins(Job& job, int64_t i, int n, Strip& a) {
    for (int k = 0; k < n; ++k) a.h[k] = job.out[i + k] * (job.out[i + k] * job.sigma[i + k] > 0.0 ? job.up : job.down);
    fill_up(a.h, n);
    finish_margins(job, i, n, a);
    loss_of_margins(job, i, n, a);
    if (!job.s) for (int k = 0; k < n; ++k) a.s[k] = 1.0;
    fill_up(a.s, n);
    for (int k = 0; k < n; k += W) {
        V dual = load(a.h + k), pulled = dual * load(a.t + k), e = (load(a.value + k) + conjugate(job.loss, dual)) - pulled;
        store(a.value + k, select(e < 0.0, splat(0.0), e));
        store(a.t + k, magnitude(pulled));
    }
    job.add(2, total_of_products(a.value, a.s, n));
    job.add(3, total_of_products(a.t, a.s, n));
    for (int k = 0; k < n; ++k) a.value[k] = a.h[k] * a.s[k];
    fill_up(a.value, n);
    job.add(4, total_of_products(a.value, a.h, n));
    for (int k = 0; k < n; ++k) a.h[k] = a.value[k] * job.sigma[i + k];
    fill_up(a.h, n);
    add_exactly(job.rest, a.h, n);
}

void pointwise(Job& job, int64_t i, int n, Strip& a) {
    switch (job.verb) {
        case gdnp::MARGINS: finish_margins(job, i, n, a); return;
        case gdnp::SUMS: take(job.r, i, n, a.t); loss_of_margins(job, i, n, a); return;
        case gdnp::GAP: gap_of_margins(job, i, n, a); return;
        case gdnp::VALUE: finish_margins(job, i, n, a); loss_of_margins(job, i, n, a); return;
        case gdnp::HESSIAN:
            for (int k = 0; k < n; ++k) a.t[k] += job.b;
            for (int k = 0; k < n; ++k) job.out[i + k] = a.t[k] * job.sigma[i + k];
            for (int k = 0; k < n; ++k) a.r[k] = a.t[k] * job.r[i + k];
            break;
        case gdnp::PRODUCT:
            for (int k = 0; k < n; ++k) a.r[k] = a.t[k] + job.b;
            if (job.r)
                for (int k = 0; k < n; ++k) a.r[k] *= job.r[i + k];
            break;
        default: take(job.r, i, n, a.r); break;
    }
    fill_up(a.r, n);
    job.add(1, total(a.r, n));
}

template <class Strips>
Status run(Strips&& x, int64_t low, int64_t high, Job& job) {
    Strip a;
    for (int64_t first = low; first < high && x.status == gdnp::DONE; first += x.rows) {
        int n = high - first < x.rows ? (int)(high - first) : x.rows;
        x.prepare(first, n);
        if (job.w != nullptr) x.margins(n, job.w, a.t);
        if (x.status != gdnp::DONE) break;
        pointwise(job, first - low, n, a);
        if (job.g != nullptr) x.scatter(n, a.r, job.g);
        if (job.h != nullptr) x.scatter(n, a.h, job.h);
        if (job.squares != nullptr) x.squares(n, a.r, job.centre, job.squares);
    }
    return x.status;
}

Status run_dense(const gdnp::Dense& x, int64_t low, int64_t high, Job& job) { return run(DenseStrips(x), low, high, job); }

template <class Index, class F>
Status with_entries(const gdnp::Csr& x, F f) {
    const bool moved = x.offset != nullptr || x.factor != nullptr;
    if (x.single) return moved ? f(CsrStrips<Index, float, true>(x)) : f(CsrStrips<Index, float, false>(x));
    if (moved) return f(CsrStrips<Index, double, true>(x));
    return x.ones ? f(CsrStrips<Index, One, false>(x)) : f(CsrStrips<Index, double, false>(x));
}

template <class F>
Status with_csr(const gdnp::Csr& x, F f) {
    if (x.index_bytes == 2) return with_entries<uint16_t>(x, f);
    return x.index_bytes == 8 ? with_entries<int64_t>(x, f) : with_entries<int32_t>(x, f);
}

Status run_csr(const gdnp::Csr& x, int64_t low, int64_t high, Job& job) {
    return with_csr(x, [&](auto&& strips) { return run(strips, low, high, job); });
}

Status run_class_csr(const gdnp::Csr& x, int64_t low, ClassJob& job) {
    return with_csr(x, [&](auto&& strips) { return class_csr(strips, low, job); });
}

Status gram(const gdnp::Csr& x, int64_t low, int64_t high, gdnp::Vector c, double* total, double* sums, double* out) {
    return with_csr(x, [&](auto&& strips) {
        return strips.gram(low, high, c, total, sums, out);
    });
}

void apply(gdnp::Function f, int64_t n, gdnp::Vector x, double* out) {
    for (int64_t i = 0; i < n; i += W) {
        int count = n - i < W ? (int)(n - i) : W;
        double in[W] = {};
        for (int k = 0; k < count; ++k) in[k] = x[i + k];
        V v = load(in), e, y;
        switch (f) {
            case gdnp::EXP: y = exp_of(v); break;
            case gdnp::EXPM1: exp_and_expm1(v, e, y); break;
            case gdnp::LOG: y = log_of(v); break;
            case gdnp::LOG1P: y = log1p_of(v); break;
            default: y = normal_cdf(v); break;
        }
        store(in, y);
        memcpy(out + i, in, sizeof(double) * (size_t)count);
    }
}

}  // namespace

namespace gdnp {

extern const Level GDNP_LEVEL;
const Level GDNP_LEVEL = {GDNP_TEXT(GDNP_LEVEL), run_dense, run_csr, class_dense, run_class_csr, class_rows, gram, expand, dual_point, evaluate, apply};

}  // namespace gdnp
