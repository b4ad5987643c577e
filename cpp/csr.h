// Products with rows of a sparse matrix. An index that is not a copy of our own is compared with d as it is read, so that
// an array that another thread changes meanwhile ends in an error and never in a read or a write outside of an array.
#pragma once

#include "losses.h"

namespace {

struct One {};  // in place of entries that are all 1 and are never read

template <class Index, class Entry, bool MOVED>
struct CsrStrips {
    static constexpr bool OWN = sizeof(Index) == 2;
    // A copy, so that the compiler may keep it in registers whatever is written meanwhile.
    struct Rows {
        const Entry* data;
        const Index* indices;
        const int64_t* indptr;
        const double *offset, *factor;
        uint64_t d;

        GDNP_METHOD bool column(int64_t k, uint64_t& j) const {
            j = (uint64_t)(int64_t)indices[k];
            return OWN || j < d;
        }
        GDNP_METHOD double entry(int64_t k, uint64_t j) const {
            double value = number_of(data, k);
            if (MOVED) {
                if (offset != nullptr) value -= offset[j];
                if (factor != nullptr) value *= factor[j];
            }
            return value;
        }
        static GDNP_METHOD double number_of(const One*, int64_t) { return 1.0; }
        template <class T>
        static GDNP_METHOD double number_of(const T* data, int64_t k) { return (double)data[k]; }
    } all;
    int rows = STRIP;
    int64_t first = 0;
    gdnp::Status status = gdnp::DONE;

    explicit CsrStrips(const gdnp::Csr& x)
        : all{(const Entry*)x.data, (const Index*)x.indices, x.indptr, x.offset, x.factor, (uint64_t)x.d} {}

    void prepare(int64_t from, int) { first = from; }

    void margins(int n, const double* w, double* out) { status = margins(all, first, n, w, out); }
    static gdnp::Status margins(const Rows x, int64_t first, int n, const double* w, double* out) {
        for (int i = 0; i < n; ++i) {
            int64_t k = x.indptr[first + i];
            const int64_t end = x.indptr[first + i + 1];
            uint64_t a, b;
            double even = 0.0, odd = 0.0;
            for (; k + 2 <= end; k += 2) {
                if (!x.column(k, a) || !x.column(k + 1, b)) return gdnp::OUT_OF_RANGE;
                even += x.entry(k, a) * w[a];
                odd += x.entry(k + 1, b) * w[b];
            }
            if (k < end) {
                if (!x.column(k, a)) return gdnp::OUT_OF_RANGE;
                even += x.entry(k, a) * w[a];
            }
            out[i] = even + odd;
        }
        return gdnp::DONE;
    }

    // g += Σ r_i x_i.
    void scatter(int n, const double* r, double* g) { status = scatter<false>(all, first, n, r, g); }
    // out += Σ r_i x_i²; a centre is taken off the sums.
    void squares(int n, const double* r, const double*, double* out) { status = scatter<true>(all, first, n, r, out); }

    template <bool SQUARED>
    static gdnp::Status scatter(const Rows x, int64_t first, int n, const double* r, double* g) {
        for (int i = 0; i < n; ++i) {
            const double share = r[i];
            const int64_t end = x.indptr[first + i + 1];
            for (int64_t k = x.indptr[first + i]; k < end; ++k) {
                uint64_t j;
                if (!x.column(k, j)) return gdnp::OUT_OF_RANGE;
                const double z = x.entry(k, j);
                g[j] += share * (SQUARED ? z * z : z);
            }
        }
        return gdnp::DONE;
    }

    // Σ c, Σ c x and Σ c x xᵀ. Pairs of entries of a row are met once, in either half of the matrix, and the halves added.
    gdnp::Status gram(int64_t low, int64_t high, gdnp::Vector c, double* total, double* sums, double* out) const {
        const Rows x = all;
        double weight_of_all = 0.0;
        for (int64_t i = low; i < high; ++i) {
            const double weight = c[i - low];
            const int64_t end = x.indptr[i + 1];
            weight_of_all += weight;
            for (int64_t k = x.indptr[i]; k < end; ++k) {
                uint64_t j, l;
                if (!x.column(k, j)) return gdnp::OUT_OF_RANGE;
                const double z = x.entry(k, j), share = weight * z;
                double* to = out + j * x.d;
                sums[j] += share;
                to[j] += 0.5 * (share * z);
                for (int64_t m = k + 1; m < end; ++m) {
                    if (!x.column(m, l)) return gdnp::OUT_OF_RANGE;
                    to[l] += share * x.entry(m, l);
                }
            }
        }
        for (uint64_t j = 0; j < x.d; ++j)
            for (uint64_t l = 0; l <= j; ++l) out[j * x.d + l] = out[l * x.d + j] = out[j * x.d + l] + out[l * x.d + j];
        *total = weight_of_all;
        return gdnp::DONE;
    }
};

}  // namespace
