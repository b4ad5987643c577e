// Products with strips of dense rows. A strip is read where it lies, or converted to float64 once for both products.
#pragma once

#include <stdlib.h>

#include "losses.h"

namespace {

constexpr int64_t STRIP_NUMBERS = 1 << 12;   // 32 KiB: the second product finds the strip in the first cache of a core
constexpr int64_t COLUMN_NUMBERS = 1 << 15;  // of a strip of columns, each of which is read in one go: in the second cache
constexpr int64_t AHEAD = 1 << 11;           // 16 KiB: rows are asked for so early, as four at once are no stream to a processor

template <class T>
GDNP_INLINE void copy_line(const T* from, int64_t step, int64_t count, double* to) {
    if (step == 1)
        for (int64_t k = 0; k < count; ++k) to[k] = (double)from[k];
    else
        for (int64_t k = 0; k < count; ++k) to[k] = (double)from[k * step];
}

struct DenseStrips {
    const gdnp::Dense& x;
    const bool by_columns;  // whether numbers of a column are nearer to one another than those of a row
    int rows;
    double* room = nullptr;
    const double* strip = nullptr;
    int64_t down = 0, along = 0;  // from a row of the strip to the next, and from a column
    bool warm = false;            // whether the strip was read once
    gdnp::Status status = gdnp::DONE;

    static int usual_rows(const gdnp::Dense& x) {
        const int64_t numbers = x.row < x.column ? COLUMN_NUMBERS : STRIP_NUMBERS;
        const int64_t fit = numbers / (x.d > 0 ? x.d : 1) / 8 * 8, least = x.row < x.column ? 64 : 16;
        return fit < least ? (int)least : fit > STRIP ? STRIP : (int)fit;
    }
    explicit DenseStrips(const gdnp::Dense& x) : DenseStrips(x, usual_rows(x)) {}
    DenseStrips(const gdnp::Dense& x, int rows) : x(x), by_columns(x.row < x.column), rows(rows) {
        if (x.single || (by_columns ? x.row : x.column) != 1 || x.offset != nullptr || x.factor != nullptr) {
            room = (double*)malloc(sizeof(double) * (size_t)(rows * (x.d > 0 ? x.d : 1)));
            if (room == nullptr) status = gdnp::NO_MEMORY;
        }
    }
    ~DenseStrips() { free(room); }
    DenseStrips(const DenseStrips&) = delete;
    DenseStrips& operator=(const DenseStrips&) = delete;

    template <class T>
    void convert(int64_t first, int n) {
        const T* from = (const T*)x.data + first * x.row;
        for (int64_t j = 0; by_columns && j < x.d; ++j) {
            double* to = room + j * along;
            copy_line(from + j * x.column, x.row, n, to);
            const double offset = x.offset == nullptr ? 0.0 : x.offset[j], factor = x.factor == nullptr ? 1.0 : x.factor[j];
            if (x.offset != nullptr || x.factor != nullptr)
                for (int i = 0; i < n; ++i) to[i] = (to[i] - offset) * factor;
        }
        for (int i = 0; !by_columns && i < n; ++i) {
            double* to = room + i * down;
            copy_line(from + i * x.row, x.column, x.d, to);
            if (x.offset != nullptr) each(x.d, to, x.offset, [](double a, double b) { return a - b; });
            if (x.factor != nullptr) each(x.d, to, x.factor, [](double a, double b) { return a * b; });
        }
    }
    template <class F>
    static GDNP_METHOD void each(int64_t count, double* to, const double* other, F f) {
        for (int64_t j = 0; j < count; ++j) to[j] = f(to[j], other[j]);
    }

    void prepare(int64_t first, int n) {
        warm = room != nullptr;
        down = warm ? (by_columns ? 1 : x.d) : x.row;
        along = warm ? (by_columns ? rows : 1) : x.column;
        strip = warm ? room : (const double*)x.data + first * x.row;
        if (warm) x.single ? convert<float>(first, n) : convert<double>(first, n);
    }

    // The last numbers of a row that fill no vector are read as one that ends with the row, its other lanes left out.
    GDNP_METHOD I last_lanes() const {
        int64_t lanes[W];
        for (int k = 0; k < W; ++k) lanes[k] = k >= W - x.d % W ? -1 : 0;
        I mask;
        memcpy(&mask, lanes, sizeof mask);
        return mask;
    }

    // Asks for rows that are to be read soon.
    GDNP_METHOD void ask(const double* row) const {
        if (!warm)
            for (int64_t j = 0; j < 4 * down; j += 8) GDNP_PREFETCH((const char*)row + 8 * (AHEAD + j));
    }

    // out_i = x_iᵀ w.
    void margins(int n, const double* w, double* out) {
        if (by_columns) return margins_by_columns(n, w, out);
        const int64_t d = x.d, whole = d - d % W, rest = whole < d && d >= W ? d - W : -1, few = rest < 0 ? whole : d;
        const I mask = last_lanes();
        const V none = splat(0.0);
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            const double *a = strip + i * down, *b = a + down, *c = b + down, *e = c + down;
            V A = none, B = none, C = none, E = none;
            ask(a);
            for (int64_t j = 0; j < whole; j += W) {
                V v = load(w + j);
                A += load(a + j) * v;
                B += load(b + j) * v;
                C += load(c + j) * v;
                E += load(e + j) * v;
            }
            if (rest >= 0) {
                V v = load(w + rest);
                A += select(mask, load(a + rest), none) * v;
                B += select(mask, load(b + rest), none) * v;
                C += select(mask, load(c + rest), none) * v;
                E += select(mask, load(e + rest), none) * v;
            }
            double s[4] = {sum(A), sum(B), sum(C), sum(E)};
            for (int64_t j = few; j < d; ++j) {
                s[0] += a[j] * w[j];
                s[1] += b[j] * w[j];
                s[2] += c[j] * w[j];
                s[3] += e[j] * w[j];
            }
            memcpy(out + i, s, sizeof s);
        }
        for (; i < n; ++i) {
            const double* a = strip + i * down;
            V A = none;
            for (int64_t j = 0; j < whole; j += W) A += load(a + j) * load(w + j);
            double s = sum(A);
            for (int64_t j = whole; j < d; ++j) s += a[j] * w[j];
            out[i] = s;
        }
        warm = true;
    }

    // g += Σ r_i x_i.
    void scatter(int n, const double* r, double* g) const {
        for (int64_t j = 0; by_columns && j < x.d; ++j) {
            const double* a = strip + j * along;
            g[j] += sum_along(n, [=](int i) { return load(a + i) * load(r + i); }, [=](int i) { return a[i] * r[i]; });
        }
        if (by_columns) return;
        const int64_t d = x.d, whole = d - d % W, rest = whole < d && d >= W ? d - W : -1, few = rest < 0 ? whole : d;
        const I mask = last_lanes();
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            const double *a = strip + i * down, *b = a + down, *c = b + down, *e = c + down;
            const double p = r[i], q = r[i + 1], s = r[i + 2], u = r[i + 3];
            ask(a);
            for (int64_t j = 0; j < whole; j += W)
                store(g + j, ((load(g + j) + load(a + j) * p) + load(b + j) * q) + (load(c + j) * s + load(e + j) * u));
            if (rest >= 0) {
                V more = (load(a + rest) * p + load(b + rest) * q) + (load(c + rest) * s + load(e + rest) * u);
                store(g + rest, load(g + rest) + select(mask, more, splat(0.0)));
            }
            for (int64_t j = few; j < d; ++j) g[j] += (a[j] * p + b[j] * q) + (c[j] * s + e[j] * u);
        }
        for (; i < n; ++i) {
            const double* a = strip + i * down;
            for (int64_t j = 0; j < d; ++j) g[j] += r[i] * a[j];
        }
    }

    void margins_by_columns(int n, const double* w, double* out) const {
        for (int i = 0; i < n; ++i) out[i] = 0.0;
        int64_t j = 0;
        for (; j + 4 <= x.d; j += 4) {
            const double *a = strip + j * along, *b = a + along, *c = b + along, *e = c + along;
            const double p = w[j], q = w[j + 1], r = w[j + 2], s = w[j + 3];
            for (int i = 0; i < n; ++i) out[i] += (a[i] * p + b[i] * q) + (c[i] * r + e[i] * s);
        }
        for (; j < x.d; ++j)
            for (int i = 0; i < n; ++i) out[i] += strip[j * along + i] * w[j];
    }

    // Σ of what `vectors` says of W rows at a time, and `numbers` of those that fill no vector.
    template <class F, class G>
    static GDNP_METHOD double sum_along(int n, F vectors, G numbers) {
        const int whole = n - n % W;
        double found = total_of(whole, vectors);
        for (int i = whole; i < n; ++i) found += numbers(i);
        return found;
    }

    // out += Σ r_i (x_i - centre)².
    void squares(int n, const double* r, const double* centre, double* out) const {
        for (int64_t j = 0; by_columns && j < x.d; ++j) {
            const double *a = strip + j * along, m = centre == nullptr ? 0.0 : centre[j];
            out[j] += sum_along(n, [=](int i) { V z = load(a + i) - m; return (z * z) * load(r + i); },
                                [=](int i) { return (a[i] - m) * (a[i] - m) * r[i]; });
        }
        if (by_columns) return;
        centre == nullptr ? add_squares<false>(n, r, centre, out) : add_squares<true>(n, r, centre, out);
    }
    template <bool CENTRED>
    void add_squares(int n, const double* r, const double* centre, double* out) const {
        const int64_t d = x.d, whole = d - d % W;
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            const double* a = strip + i * down;
            for (int64_t j = 0; j < whole; j += W) {
                V total = load(out + j);
                for (int k = 0; k < 4; ++k) {
                    V z = load(a + k * down + j);
                    if (CENTRED) z = z - load(centre + j);
                    total += (z * z) * r[i + k];
                }
                store(out + j, total);
            }
            for (int64_t j = whole; j < d; ++j)
                for (int k = 0; k < 4; ++k) out[j] += square<CENTRED>(a[k * down + j], centre, j) * r[i + k];
        }
        for (; i < n; ++i)
            for (int64_t j = 0; j < d; ++j) out[j] += square<CENTRED>(strip[i * down + j], centre, j) * r[i];
    }
    template <bool CENTRED>
    static GDNP_METHOD double square(double z, const double* centre, int64_t j) {
        if (CENTRED) z -= centre[j];
        return z * z;
    }
};

}  // namespace
