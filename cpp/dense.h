// Products with strips of dense rows. A strip is read where it lies, or converted to float64 once for both products.
#pragma once

#include <stdlib.h>

#include "losses.h"

namespace {

constexpr int64_t STRIP_NUMBERS = 1 << 12;  // 32 KiB: the second product finds the strip in the first cache of a core
constexpr int64_t AHEAD = 1 << 11;          // 16 KiB: rows are asked for so early, as four at once are no stream to a processor

struct DenseStrips {
    const gdnp::Dense& x;
    int rows;
    double* room = nullptr;
    const double* strip = nullptr;
    int64_t stride = 0;
    bool warm = false;  // whether the strip was read once
    gdnp::Status status = gdnp::DONE;

    static int usual_rows(int64_t d) {
        int64_t fit = STRIP_NUMBERS / (d > 0 ? d : 1) / 8 * 8;
        return fit < 16 ? 16 : fit > STRIP ? STRIP : (int)fit;
    }
    explicit DenseStrips(const gdnp::Dense& x) : DenseStrips(x, usual_rows(x.d)) {}
    DenseStrips(const gdnp::Dense& x, int rows) : x(x), rows(rows) {
        if (x.single || x.column != 1 || x.offset != nullptr || x.factor != nullptr) {
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
        if (x.column == 1 || x.row > x.column) {
            for (int i = 0; i < n; ++i)
                for (int64_t j = 0; j < x.d; ++j) room[i * x.d + j] = (double)from[i * x.row + j * x.column];
        } else {  // columns are contiguous, or nearly so
            for (int64_t j = 0; j < x.d; ++j)
                for (int i = 0; i < n; ++i) room[i * x.d + j] = (double)from[i * x.row + j * x.column];
        }
        for (int i = 0; i < n; ++i) {
            double* row = room + i * x.d;
            if (x.offset != nullptr)
                for (int64_t j = 0; j < x.d; ++j) row[j] -= x.offset[j];
            if (x.factor != nullptr)
                for (int64_t j = 0; j < x.d; ++j) row[j] *= x.factor[j];
        }
    }

    void prepare(int64_t first, int n) {
        warm = room != nullptr;
        if (room == nullptr) {
            strip = (const double*)x.data + first * x.row;
            stride = x.row;
            return;
        }
        x.single ? convert<float>(first, n) : convert<double>(first, n);
        strip = room;
        stride = x.d;
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
            for (int64_t j = 0; j < 4 * stride; j += 8) GDNP_PREFETCH((const char*)row + 8 * (AHEAD + j));
    }

    // out_i = x_iᵀ w.
    void margins(int n, const double* w, double* out) {
        const int64_t d = x.d, whole = d - d % W, rest = whole < d && d >= W ? d - W : -1, few = rest < 0 ? whole : d;
        const I mask = last_lanes();
        const V none = splat(0.0);
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            const double *a = strip + i * stride, *b = a + stride, *c = b + stride, *e = c + stride;
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
            const double* a = strip + i * stride;
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
        const int64_t d = x.d, whole = d - d % W, rest = whole < d && d >= W ? d - W : -1, few = rest < 0 ? whole : d;
        const I mask = last_lanes();
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            const double *a = strip + i * stride, *b = a + stride, *c = b + stride, *e = c + stride;
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
            const double* a = strip + i * stride;
            for (int64_t j = 0; j < d; ++j) g[j] += r[i] * a[j];
        }
    }

    // out += Σ r_i (x_i - centre)².
    void squares(int n, const double* r, const double* centre, double* out) const {
        centre == nullptr ? add_squares<false>(n, r, centre, out) : add_squares<true>(n, r, centre, out);
    }
    template <bool CENTRED>
    void add_squares(int n, const double* r, const double* centre, double* out) const {
        const int64_t d = x.d, whole = d - d % W;
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            const double* a = strip + i * stride;
            for (int64_t j = 0; j < whole; j += W) {
                V total = load(out + j);
                for (int k = 0; k < 4; ++k) {
                    V z = load(a + k * stride + j);
                    if (CENTRED) z = z - load(centre + j);
                    total += (z * z) * r[i + k];
                }
                store(out + j, total);
            }
            for (int64_t j = whole; j < d; ++j)
                for (int k = 0; k < 4; ++k) out[j] += square<CENTRED>(a[k * stride + j], centre, j) * r[i + k];
        }
        for (; i < n; ++i)
            for (int64_t j = 0; j < d; ++j) out[j] += square<CENTRED>(strip[i * stride + j], centre, j) * r[i];
    }
    template <bool CENTRED>
    static GDNP_METHOD double square(double z, const double* centre, int64_t j) {
        if (CENTRED) z -= centre[j];
        return z * z;
    }
};

}  // namespace
