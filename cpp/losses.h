// Losses on strips of margins: φ, φ' and φ'' from one exponential or one square root. No loss here ever sees X.
#pragma once

#include "elementary.h"
#include "kernels.h"

namespace {

struct Triple {
    V value, slope, curvature;
};

struct SquaredError {
    explicit SquaredError(double) {}
    Triple operator()(V t) const { return {t * t * 0.5, t, splat(1.0)}; }
};

struct PseudoHuber {
    double delta;
    explicit PseudoHuber(double delta) : delta(delta) {}
    Triple operator()(V t) const {
        V x = magnitude(t / splat(delta));
        V length = select(x > 0x1p500, x, root(x * x + 1.0));  // as hypot(1, x)
        V inverse = 1.0 / length;
        return {t * t / (length + 1.0), t / length, inverse * inverse * inverse};
    }
};

struct Huber {
    double delta;
    explicit Huber(double delta) : delta(delta) {}
    Triple operator()(V t) const {
        V size = magnitude(t), limit = splat(delta);
        I inside = size <= limit;
        V cut = select(size > limit, limit, size);
        return {cut * (size - cut * 0.5), signed_as(cut, t), select(inside, splat(1.0), splat(0.0))};
    }
};

struct LogLoss {
    explicit LogLoss(double) {}
    Triple operator()(V t) const {
        V e = exp_of(-magnitude(t));
        V u = e + 1.0, share = 1.0 / u, tail = e * share;
        return {log1p_of_unit(e, u, share) + select(t > 0.0, t, splat(0.0)), select(t >= 0.0, share, tail), tail * share};
    }
};

struct Sigmoid {
    explicit Sigmoid(double) {}
    Triple operator()(V t) const {
        V e, less;
        exp_and_expm1(-magnitude(t), e, less);
        V share = 1.0 / (e + 1.0), tail = e * share;
        V slope = tail * share, bend = less * share * slope;
        return {select(t >= 0.0, share, tail), slope, select(t < 0.0, -bend, bend)};
    }
};

struct Probit {
    explicit Probit(double) {}
    Triple operator()(V t) const {
        V density = exp_of(t * t * -0.5) * 0.3989422804014327;
        return {normal_cdf(t), density, -t * density};
    }
};

// φ* within its domain; 0 at both ends of that of the log loss, where its two terms vanish.
GDNP_INLINE V conjugate(gdnp::Loss loss, V a) {
    if (loss.kind == gdnp::LOG_LOSS) {
        V p = select(a < 1e-300, splat(1e-300), a), most = splat(1.0 - 0x1p-53);
        p = select(p > most, most, p);
        return p * log_of(p) + (1.0 - p) * log1p_of(-p);
    }
    if (loss.kind != gdnp::PSEUDO_HUBER) return a * a * 0.5;
    V ratio = a / splat(loss.delta), left = 1.0 - ratio * ratio;
    return a * a / (root(select(left < 0.0, splat(0.0), left)) + 1.0);
}

template <class F>
void with_loss(gdnp::Loss loss, F f) {
    switch (loss.kind) {
        case gdnp::PSEUDO_HUBER: return f(PseudoHuber(loss.delta));
        case gdnp::HUBER: return f(Huber(loss.delta));
        case gdnp::LOG_LOSS: return f(LogLoss(loss.delta));
        case gdnp::SIGMOID: return f(Sigmoid(loss.delta));
        case gdnp::PROBIT: return f(Probit(loss.delta));
        default: return f(SquaredError(loss.delta));
    }
}

// A strip is room for its numbers and for those that fill up the last vector; there whatever is computed counts as 0.
constexpr int STRIP = 512, ROOM = STRIP + W;

GDNP_INLINE void fill_up(double* strip, int n) { store(strip + n, splat(0.0)); }

GDNP_INLINE void take(gdnp::Vector v, int64_t first, int n, double* strip) {
    for (int i = 0; i < n; ++i) strip[i] = v[first + i];
    fill_up(strip, n);
}

// Σ of what f says of each vector of a strip that is filled up, in sixteen sums: neither slow nor far from exact.
template <class F>
GDNP_INLINE double total_of(int n, F f) {
    V a = splat(0.0), b = a, c = a, d = a;
    int i = 0;
    for (; i + 4 * W <= n; i += 4 * W) a += f(i), b += f(i + W), c += f(i + 2 * W), d += f(i + 3 * W);
    for (; i < n; i += W) a += f(i);
    return sum((a + b) + (c + d));
}
GDNP_INLINE double total(const double* a, int n) {
    return total_of(n, [=](int i) { return load(a + i); });
}
GDNP_INLINE double total_of_products(const double* a, const double* b, int n) {
    return total_of(n, [=](int i) { return load(a + i) * load(b + i); });
}

// Adds to a sum, and to another one what rounding takes off it (Knuth's exact sum of two numbers).
template <class T>
GDNP_INLINE void add_exactly(T& sum, T& lost, T x) {
    T next = sum + x, part = next - sum;
    lost = lost + ((sum - (next - part)) + (x - part));
    sum = next;
}
GDNP_INLINE void add_exactly(double (&to)[2], const double* a, int n) {
    V sum = splat(0.0), lost = sum;
    for (int i = 0; i < n; i += W) add_exactly(sum, lost, load(a + i));
    for (int k = 0; k < W; ++k) {
        add_exactly(to[0], to[1], lane(sum, k));
        to[1] += lane(lost, k);
    }
}

void value_and_slope(gdnp::Loss loss, const double* t, int n, double* value, double* slope) {
    with_loss(loss, [=](auto phi) {
        for (int i = 0; i < n; i += W) {
            Triple at = phi(load(t + i));
            store(value + i, at.value);
            store(slope + i, at.slope);
        }
    });
    fill_up(value, n);
    fill_up(slope, n);
}

void evaluate(gdnp::Loss loss, int64_t rows, gdnp::Vector t, double* value, double* slope, double* curvature) {
    with_loss(loss, [=](auto phi) {
        double in[ROOM], out[3][ROOM];
        for (int64_t first = 0; first < rows; first += STRIP) {
            int n = rows - first < STRIP ? (int)(rows - first) : STRIP;
            take(t, first, n, in);
            for (int i = 0; i < n; i += W) {
                Triple at = phi(load(in + i));
                store(out[0] + i, at.value);
                store(out[1] + i, at.slope);
                store(out[2] + i, at.curvature);
            }
            double* to[3] = {value, slope, curvature};
            for (int k = 0; k < 3; ++k)
                if (to[k] != nullptr) memcpy(to[k] + first, out[k], sizeof(double) * (size_t)n);
        }
    });
}

void dual_point(gdnp::DualPoint& p) {
    with_loss(p.loss, [&](auto phi) {
        double t[ROOM], q[ROOM], h[ROOM], a[ROOM], above = 0.0, below = 0.0;
        const V low = splat(p.low), high = splat(p.high), none = splat(0.0);
        for (int64_t first = 0; first < p.n; first += STRIP) {
            int n = p.n - first < STRIP ? (int)(p.n - first) : STRIP;
            take(p.t, first, n, t);
            take(p.q, first, n, q);
            take(p.sigma, first, n, h);
            for (int i = 0; i < n; i += W) {
                Triple at = phi(load(t + i));
                V x = at.slope + at.curvature * load(q + i);
                x = select(x < low, low, x);
                store(a + i, select(x > high, high, x));
            }
            memcpy(p.out + first, a, sizeof(double) * (size_t)n);
            for (int k = 0; k < n; ++k) h[k] *= a[k];
            if (p.s) for (int k = 0; k < n; ++k) h[k] *= p.s[first + k];
            above += total_of(n, [&](int i) { V x = load(h + i); return select(x < 0.0, none, x); });
            below -= total_of(n, [&](int i) { V x = load(h + i); return select(x > 0.0, none, x); });
        }
        p.above = above, p.below = below;
    });
}

// Σ s φ and its derivatives up to the second at m + t q + c u, for each step (t, c).
void expand(const gdnp::Expansion& e) {
    for (int64_t k = 0; k < 6 * e.steps; ++k) e.out[k] = 0.0;
    with_loss(e.loss, [&](auto phi) {
        double m[ROOM], q[ROOM], u[ROOM], s[ROOM];
        constexpr int FEW = STRIP / 4;  // that are added up one after the other
        for (int64_t first = 0; first < e.n; first += FEW) {
            int n = e.n - first < FEW ? (int)(e.n - first) : FEW;
            take(e.m, first, n, m);
            take(e.q, first, n, q);
            if (e.u) take(e.u, first, n, u);
            if (e.s) take(e.s, first, n, s);
            else for (int i = 0; i < n; ++i) s[i] = 1.0;
            fill_up(s, n);
            for (int64_t k = 0; k < e.steps; ++k) {
                double t = e.at[2 * k], c = e.at[2 * k + 1], *out = e.out + 6 * k;
                V f = splat(0.0), fq = f, fu = f, fqq = f, fqu = f, fuu = f;
                auto add = [&](int i, V weight) {
                    V along = load(q + i), at = load(m + i) + along * t;
                    if (!e.u) {
                        Triple here = phi(at);
                        V r = weight * here.slope, h = weight * here.curvature * along;
                        f += weight * here.value, fq += r * along, fqq += h * along;
                        return;
                    }
                    V across = load(u + i);
                    if (c != 0.0) at += across * c;
                    Triple here = phi(at);
                    V r = weight * here.slope, h = weight * here.curvature, hq = h * along, hu = h * across;
                    f += weight * here.value, fq += r * along, fu += r * across;
                    fqq += hq * along, fqu += hq * across, fuu += hu * across;
                };
                if (e.s) for (int i = 0; i < n; i += W) add(i, load(s + i));
                else {
                    for (int i = 0; i + W <= n; i += W) add(i, splat(1.0));
                    if (n % W) add(n - n % W, load(s + n - n % W));
                }
                V sums[6] = {f, fq, fu, fqq, fqu, fuu};
                for (int j = 0; j < 6; ++j) out[j] += sum(sums[j]);
            }
        }
    });
}

}  // namespace
