// Several classes: K margins a row, and what is made of them. Margins come from X, or from memory, K of a row in a line;
// the arithmetic runs over W rows at once, so that no K leaves lanes empty. Terms are those of Python's kernels of the
// same names, in gdnp/problem/multinomial.py and gdnp/solvers/multinomial_gap.py.
#pragma once

#include "csr.h"
#include "dense.h"

namespace {

using gdnp::ClassJob;
using gdnp::Status;

constexpr int HEIGHT = W == 8 ? 8 : 4, BREADTH = 3;  // of a block of sums: what registers hold
constexpr int64_t CLASS_NUMBERS = 1 << 14;           // 128 KiB: a strip of X stays in the second cache for its second product

// c(a, k) += Σ_t x(a, t) b(t, k) for A rows of sums and N vectors of columns; `down` and `along` are steps in x.
template <int A, int N>
GDNP_INLINE void add_block(const double* x, int64_t down, int64_t along, int64_t count, const double* b, int64_t width, double* c) {
    V sums[A][N];
    for (int i = 0; i < A; ++i)
        for (int v = 0; v < N; ++v) sums[i][v] = load(c + i * width + v * W);
    for (int64_t t = 0; t < count; ++t) {
        V row[N];
        for (int v = 0; v < N; ++v) row[v] = load(b + t * width + v * W);
        for (int i = 0; i < A; ++i) {
            const V number = splat(x[i * down + t * along]);
            for (int v = 0; v < N; ++v) sums[i][v] += number * row[v];
        }
    }
    for (int i = 0; i < A; ++i)
        for (int v = 0; v < N; ++v) store(c + i * width + v * W, sums[i][v]);
}

template <int N>
void add_columns(const double* x, int64_t down, int64_t along, int64_t rows, int64_t count, const double* b, int64_t width, double* c) {
    int64_t a = 0;
    for (; a + HEIGHT <= rows; a += HEIGHT) add_block<HEIGHT, N>(x + a * down, down, along, count, b, width, c + a * width);
    for (; a < rows; ++a) add_block<1, N>(x + a * down, down, along, count, b, width, c + a * width);
}

// c += x b for b and c with `width` columns, a multiple of W.
void add_product(const double* x, int64_t down, int64_t along, int64_t rows, int64_t count, const double* b, int64_t width, double* c) {
    int64_t k = 0;
    for (; k + BREADTH * W <= width; k += BREADTH * W) add_columns<BREADTH>(x, down, along, rows, count, b + k, width, c + k);
    if (width - k == 2 * W) add_columns<2>(x, down, along, rows, count, b + k, width, c + k);
    if (width - k == W) add_columns<1>(x, down, along, rows, count, b + k, width, c + k);
}

// Arrays of numbers that are freed together.
class Room {
public:
    explicit Room(int64_t numbers) : all((double*)malloc(sizeof(double) * (size_t)(numbers > 0 ? numbers : 1))), next(all) {}
    ~Room() { free(all); }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    explicit operator bool() const { return all != nullptr; }
    double* take(int64_t numbers) {
        double* found = next;
        for (int64_t i = 0; i < numbers; ++i) found[i] = 0.0;
        next += numbers;
        return found;
    }

private:
    double *all, *next;
};

// W rows at once: number k of row i at k W + i.
struct Tile {
    int64_t K;
    double* a;
    GDNP_METHOD V at(int64_t k) const { return load(a + k * W); }
    GDNP_METHOD void put(int64_t k, V v) const { store(a + k * W, v); }
    GDNP_METHOD V own(const int64_t* y) const {
        double found[W];
        for (int i = 0; i < W; ++i) found[i] = a[y[i] * W + i];
        return load(found);
    }
    GDNP_METHOD void put_own(const int64_t* y, V v) const {
        double numbers[W];
        store(numbers, v);
        for (int i = 0; i < W; ++i) a[y[i] * W + i] = numbers[i];
    }
    // n rows that lie `width` apart; the others are 0.
    GDNP_METHOD void read(const double* rows, int64_t width, int n) const {
        for (int i = 0; i < W; ++i)
            for (int64_t k = 0; k < K; ++k) a[k * W + i] = i < n ? rows[i * width + k] : 0.0;
    }
    GDNP_METHOD void write(double* rows, int64_t width, int n) const {
        for (int i = 0; i < n; ++i)
            for (int64_t k = 0; k < K; ++k) rows[i * width + k] = a[k * W + i];
    }
};

GDNP_INLINE V larger(V a, V b) { return select(a > b, a, b); }
GDNP_INLINE V positive_part(V a) { return select(a < 0.0, splat(0.0), a); }

// φ, and p - e_y in the place of scores: the entry at y is minus all others.
GDNP_INLINE V pull(const Tile& t, const int64_t* y) {
    const V own = t.own(y);
    V top = splat(0.0), rest = top;  // the label's own is 0
    for (int64_t k = 0; k < t.K; ++k) {
        V eta = t.at(k) - own;
        top = select(eta <= top, top, eta);
        t.put(k, eta);
    }
    for (int64_t k = 0; k < t.K; ++k) t.put(k, exp_of(t.at(k) - top));
    t.put_own(y, splat(0.0));
    for (int64_t k = 0; k < t.K; ++k) rest += t.at(k);
    V e, lost;
    exp_and_expm1(-top, e, lost);
    const V inverse = 1.0 / (rest + (lost + 1.0));
    for (int64_t k = 0; k < t.K; ++k) t.put(k, t.at(k) * inverse);
    t.put_own(y, -rest * inverse);
    return top + log1p_of(rest + lost);
}

GDNP_INLINE void shares(const Tile& t) {
    V top = t.at(0), whole = splat(0.0);
    for (int64_t k = 1; k < t.K; ++k) top = select(t.at(k) <= top, top, t.at(k));
    for (int64_t k = 0; k < t.K; ++k) {
        V e = exp_of(t.at(k) - top);
        whole += e;
        t.put(k, e);
    }
    const V inverse = 1.0 / whole;
    for (int64_t k = 0; k < t.K; ++k) t.put(k, t.at(k) * inverse);
}

// (diag(p) - p pᵀ) q in the place of q.
GDNP_INLINE void bend(const Tile& q, const Tile& p) {
    V mean = splat(0.0);
    for (int64_t k = 0; k < q.K; ++k) mean += p.at(k) * q.at(k);
    for (int64_t k = 0; k < q.K; ++k) q.put(k, (q.at(k) - mean) * p.at(k));
}

// A of Newton's dual point in the place of the change q of the scores; which rows have some n of at most p/2.
GDNP_INLINE I correct(const Tile& q, const Tile& p, const int64_t* y) {
    V mean = splat(0.0), whole = mean, rest = mean, least = splat(INFINITY);
    for (int64_t k = 0; k < q.K; ++k) mean += p.at(k) * q.at(k);
    for (int64_t k = 0; k < q.K; ++k) {
        V n = (q.at(k) - mean) + 1.0;
        least = select(n < least, n, least);
        n = positive_part(n) * p.at(k);
        whole += n;
        q.put(k, n);
    }
    q.put_own(y, splat(0.0));
    const V inverse = 1.0 / whole;
    for (int64_t k = 0; k < q.K; ++k) {
        V n = q.at(k) * inverse;
        rest += n;
        q.put(k, n);
    }
    q.put_own(y, -rest);
    return least * 2.0 <= 1.0;
}

// A of n_k tilt_k/Σ n tilt in the place of A.
GDNP_INLINE void tilt(const Tile& a, const double* factor, const int64_t* y) {
    double of_label[W];
    for (int i = 0; i < W; ++i) of_label[i] = factor[y[i]];
    const V mine = (a.own(y) + 1.0) * load(of_label);
    V rest = splat(0.0);
    a.put_own(y, rest);
    for (int64_t k = 0; k < a.K; ++k) {
        V n = a.at(k) * factor[k];
        rest += n;
        a.put(k, n);
    }
    const V inverse = 1.0 / (rest + mine);
    for (int64_t k = 0; k < a.K; ++k) a.put(k, a.at(k) * inverse);
    a.put_own(y, -rest * inverse);
}

// What runs on the rows of a job, W at a time, and the sums of it.
class ClassRows {
public:
    ClassJob& job;
    const int64_t K, width, rows;  // of a strip; `width` is K with what fills up vectors

private:
    static int64_t up(int64_t k) { return (k + W - 1) / W * W; }
    Room room;

public:
    double *r = nullptr, *n = nullptr;  // what goes back through X, row after row; the n of a tilt

private:
    Tile t, q;
    double *sum, *lost, *square, *mass, *missed;  // of each class and lane
    double* gram;

public:
    ClassRows(ClassJob& job, int64_t rows)
        : job(job), K(job.K), width(up(job.K)), rows(rows), room(2 * rows * width + 7 * K * W + K * width * (job.verb == gdnp::TILTED)) {
        if (!room) return;
        r = room.take(rows * width), n = room.take(rows * width);
        t = {K, room.take(K * W)}, q = {K, room.take(K * W)};
        sum = room.take(K * W), lost = room.take(K * W), square = room.take(K * W), mass = room.take(K * W), missed = room.take(K * W);
        if (job.verb == gdnp::TILTED) gram = room.take(K * width);
    }
    explicit operator bool() const { return (bool)room; }

    // The margins of `count` rows from the i-th on are in r already where they come from X.
    void strip(int64_t i, int count) {
        double found[3] = {};
        for (int low = 0; low < count; low += W) {
            const int left = count - low, few = left < W ? left : W;
            V sums[3] = {splat(0.0), splat(0.0), splat(0.0)};
            some(i + low, low, few, sums);
            for (int k = 0; k < 3; ++k) found[k] += sum_of(sums[k]);
        }
        for (int k = 0; k < 3; ++k) job.add(k, found[k]);
        if (job.verb == gdnp::TILTED) add_product(n, 1, width, K, count, r, width, gram);
    }

    // Writes sums of each class: of r in two numbers, the second of which is what rounding takes off, and of its own.
    void finish() {
        for (int64_t k = 0; k < K && job.of_class != nullptr; ++k) {
            double* to = job.of_class + 5 * k;
            for (int i = 0; i < W; ++i) {
                add_exactly(to[0], to[1], sum[k * W + i]);
                to[1] += lost[k * W + i];
            }
            const double* parts[3] = {square, mass, missed};
            for (int part = 0; part < 3; ++part) to[2 + part] = sum_of(load(parts[part] + k * W));
        }
        if (job.verb == gdnp::TILTED)
            for (int64_t k = 0; k < K; ++k) memcpy(job.table + k * K, gram + k * width, sizeof(double) * (size_t)K);
    }

private:
    static double sum_of(V v) { return ::sum(v); }

    void accumulate(double* to, int64_t k, V v) { store(to + k * W, load(to + k * W) + v); }

    // s times a tile, added up exactly, to r.
    void leave(const Tile& a, V s, int low, int few) {
        for (int64_t k = 0; k < K; ++k) {
            V v = a.at(k) * s, whole = load(sum + k * W), off = load(lost + k * W);
            add_exactly(whole, off, v);
            store(sum + k * W, whole);
            store(lost + k * W, off);
            q.put(k, v);
        }
        q.write(r + low * width, width, few);
    }

    void some(int64_t i, int low, int few, V* sums) {
        int64_t y[W];
        double weight[W];
        for (int k = 0; k < W; ++k) {
            weight[k] = k >= few ? 0.0 : job.s ? job.s[i + k] : 1.0;
            y[k] = job.y != nullptr && k < few ? job.y[(i + k) * job.y_stride] : 0;
        }
        const V s = load(weight);
        if (job.in.p != nullptr) t.read(job.in.p + i * job.in.stride, job.in.stride, few);
        else if (job.w != nullptr) t.read(r + low * width, width, few);
        if (job.other.p != nullptr) q.read(job.other.p + i * job.other.stride, job.other.stride, few);
        double* out = job.out + i * K;
        switch (job.verb) {
            case gdnp::SLOPES: {
                if (job.out != nullptr) t.write(out, K, few);
                sums[0] = pull(t, y) * s;
                leave(t, s, low, few);
                return;
            }
            case gdnp::BENDS: bend(t, q); leave(t, s, low, few); return;
            case gdnp::SPREADS: {
                const V least = splat(job.extra[0]);
                for (int64_t k = 0; k < K; ++k) {
                    const V p = t.at(k), c = p * (1.0 - p);
                    t.put(k, select(c < least, least, c));
                }
                leave(t, s, low, few);
                return;
            }
            case gdnp::SCORES: t.write(out, K, few); return;
            case gdnp::SHARES: shares(t); t.write(out, K, few); return;
            case gdnp::CORRECTED: {
                q.read(out, K, few);  // `t` holds p
                const I low_rows = correct(q, t, y);
                sums[0] = select(low_rows, select(s > 0.0, splat(1.0), splat(0.0)), splat(0.0));
                q.write(out, K, few);
                return;
            }
            case gdnp::TILTED: tilted(y, s, out, low, few); return;
            case gdnp::EXPANDED: expanded(y, s); return;
            default: gap(y, s, out, low, few, sums); return;
        }
    }

    // Σ s a; s n and n for Σ s n and Σ s n nᵀ.
    void tilted(const int64_t* y, V s, double* out, int low, int few) {
        t.read(out, K, few);
        tilt(t, job.extra, y);
        t.write(out, K, few);
        leave(t, s, low, few);
        double* own = r + low * width;
        for (int i = 0; i < few; ++i) {
            for (int64_t k = 0; k < K; ++k) n[(low + i) * width + k] = t.a[k * W + i];
            n[(low + i) * width + y[i]] += 1.0;
            own[i * width + y[i]] += lane(s, i);
        }
        for (int i = 0; i < few; ++i)
            for (int64_t k = 0; k < K; ++k) mass[k * W + i] += own[i * width + k];
    }

    // Σ s φ and its derivatives along q, of one step after the other.
    void expanded(const int64_t* y, V s) {
        const Tile at{K, square};
        const V own = q.own(y);
        for (int64_t step = 0; step < job.steps; ++step) {
            const double length = job.extra[2 * step];
            for (int64_t k = 0; k < K; ++k) at.put(k, t.at(k) + q.at(k) * length);
            const V value = pull(at, y);
            V first = splat(0.0), mean = first, second = first;
            for (int64_t k = 0; k < K; ++k) first += at.at(k) * q.at(k);
            at.put_own(y, splat(0.0));
            for (int64_t k = 0; k < K; ++k) {
                const V p = at.at(k) * (q.at(k) - own);
                mean += p;
                at.put(k, p);
            }
            for (int64_t k = 0; k < K; ++k) second += at.at(k) * ((q.at(k) - own) - mean);  // 0 where p is 1
            job.table[6 * step] += sum_of(value * s);
            job.table[6 * step + 1] += sum_of(first * s);
            job.table[6 * step + 3] += sum_of(second * s);
        }
    }

    // The margins are written over A; see _gap.
    void gap(const int64_t* y, V s, double* out, int low, int few, V* sums) {
        const Tile a{K, n};  // no tilt needs it now
        a.read(out, K, few);
        t.write(out, K, few);
        for (int64_t k = 0; k < K; ++k) q.put(k, t.at(k));
        const V value = pull(q, y), log_own = t.own(y) + value, rest = -a.own(y), one_less = 1.0 - rest;
        for (int64_t k = 0; k < K; ++k) {
            const V v = a.at(k) * s;
            accumulate(square, k, v * a.at(k));
            accumulate(mass, k, magnitude(a.at(k)) * s);
            accumulate(missed, k, (t.at(k) - log_own) * -s);
        }
        leave(a, s, low, few);
        a.put_own(y, splat(0.0));
        V terms = splat(0.0), sizes = terms;
        for (int64_t k = 0; k < K; ++k) {
            const V p = a.at(k), entropy = select(p == 0.0, p, p * log_of(p)), cross = p * (t.at(k) - log_own);
            terms += entropy - cross;
            sizes -= entropy + cross;
        }
        const V mine = select(one_less == 0.0, splat(0.0), one_less * log1p_of(-rest)), missing = one_less * value;
        sums[0] = value * s;
        sums[1] = positive_part(terms + mine + missing) * s;
        sums[2] = (sizes - mine + missing) * s;
    }
};

GDNP_INLINE int64_t rows_of_strip(int64_t d, int64_t K) {
    const int64_t most = CLASS_NUMBERS / (d > K ? d : K) / W * W;
    return most < 2 * W ? 2 * W : most > STRIP ? STRIP : most;
}

Status class_rows(ClassJob& job) {
    ClassRows a(job, rows_of_strip(1, job.K));
    if (!a) return gdnp::NO_MEMORY;
    for (int64_t i = 0; i < job.n; i += a.rows) a.strip(i, (int)(job.n - i < a.rows ? job.n - i : a.rows));
    a.finish();
    return gdnp::DONE;
}

Status class_dense(const gdnp::Dense& x, int64_t low, ClassJob& job) {
    const int64_t d = x.d, K = job.K;
    ClassRows a(job, rows_of_strip(d, K));
    Room room(2 * d * a.width);
    DenseStrips X(x, (int)a.rows);
    if (!a || !room || X.status != gdnp::DONE) return gdnp::NO_MEMORY;
    double *w = room.take(d * a.width), *g = room.take(d * a.width);
    if (job.w != nullptr)
        for (int64_t j = 0; j < d; ++j) memcpy(w + j * a.width, job.w + j * K, sizeof(double) * (size_t)K);
    for (int64_t i = 0; i < job.n; i += a.rows) {
        const int n = (int)(job.n - i < a.rows ? job.n - i : a.rows);
        X.prepare(low + i, n);
        if (job.w != nullptr) {
            for (int k = 0; k < n; ++k) memcpy(a.r + k * a.width, job.b, sizeof(double) * (size_t)K);
            add_product(X.strip, X.down, X.along, n, d, w, a.width, a.r);
        }
        a.strip(i, n);
        if (job.g != nullptr) add_product(X.strip, X.along, X.down, d, n, a.r, a.width, g);
    }
    a.finish();
    for (int64_t j = 0; j < d && job.g != nullptr; ++j)
        for (int64_t k = 0; k < K; ++k) job.g[j * K + k] += g[j * a.width + k];
    return gdnp::DONE;
}

// to += z from, K numbers.
GDNP_INLINE void add_line(int64_t K, double z, const double* from, double* to) {
    int64_t k = 0;
    for (; k + W <= K; k += W) store(to + k, load(to + k) + load(from + k) * z);
    for (; k < K; ++k) to[k] += z * from[k];
}

// The same of all entries of a row, in N vectors of which the last two may overlap.
template <int N, class Rows>
GDNP_INLINE bool add_row(const Rows& x, int64_t begin, int64_t end, int64_t K, const double* w, double* line) {
    V sums[N];
    for (int v = 0; v < N; ++v) sums[v] = load(line + (v + 1 < N ? v * W : K - W));
    for (int64_t k = begin; k < end; ++k) {
        uint64_t j;
        if (!x.column(k, j)) return false;
        const double z = x.entry(k, j), *from = w + j * K;
        for (int v = 0; v < N; ++v) sums[v] += load(from + (v + 1 < N ? v * W : K - W)) * z;
    }
    for (int v = 0; v < N; ++v) store(line + (v + 1 < N ? v * W : K - W), sums[v]);
    return true;
}

template <class Rows>
bool margins_of_row(const Rows& x, int64_t begin, int64_t end, int64_t K, const double* w, double* line) {
    switch (K < W ? 0 : (K + W - 1) / W) {
        case 1: return add_row<1>(x, begin, end, K, w, line);
        case 2: return add_row<2>(x, begin, end, K, w, line);
        case 3: return add_row<3>(x, begin, end, K, w, line);
        case 4: return add_row<4>(x, begin, end, K, w, line);
    }
    for (int64_t k = begin; k < end; ++k) {
        uint64_t j;
        if (!x.column(k, j)) return false;
        add_line(K, x.entry(k, j), w + j * K, line);
    }
    return true;
}

template <class Strips>
Status class_csr(const Strips& strips, int64_t low, ClassJob& job) {
    const auto x = strips.all;
    const int64_t K = job.K;
    ClassRows a(job, rows_of_strip(1, K));
    if (!a) return gdnp::NO_MEMORY;
    for (int64_t i = 0; i < job.n; i += a.rows) {
        const int n = (int)(job.n - i < a.rows ? job.n - i : a.rows);
        for (int m = 0; m < n && job.w != nullptr; ++m) {
            const int64_t row = low + i + m;
            double* line = a.r + m * a.width;
            memcpy(line, job.b, sizeof(double) * (size_t)K);
            if (!margins_of_row(x, x.indptr[row], x.indptr[row + 1], K, job.w, line)) return gdnp::OUT_OF_RANGE;
        }
        a.strip(i, n);
        for (int m = 0; m < n && job.g != nullptr; ++m) {
            const int64_t row = low + i + m, end = x.indptr[row + 1];
            for (int64_t k = x.indptr[row]; k < end; ++k) {
                uint64_t j;
                if (!x.column(k, j)) return gdnp::OUT_OF_RANGE;
                const double z = x.entry(k, j), *line = a.r + m * a.width;
                add_line(K, z, line, job.g + j * K);
                if (job.squares != nullptr) add_line(K, z * z, line, job.squares + j * K);
            }
        }
    }
    a.finish();
    return gdnp::DONE;
}

}  // namespace
