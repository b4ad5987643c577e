// Arrays in, arrays out. Every call checks lengths, then runs without the interpreter lock on the chosen instruction set.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <string.h>

#include <algorithm>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <tuple>

#include "kernels.h"

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using In = nb::ndarray<const double, nb::ndim<1>, nb::device::cpu>;
using Fixed = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Steps = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Lines = nb::ndarray<const double, nb::ndim<2>, nb::device::cpu>;
using Labels = nb::ndarray<const int64_t, nb::ndim<1>, nb::device::cpu>;
using Any = nb::ndarray<nb::ro, nb::device::cpu>;

// Whether processor and system have AVX2 with FMA (2), and the parts of AVX-512 that compilers may use as well (3).
int x86_level() {
#if defined(GDNP_X86) && defined(__GNUC__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return wide ? 3 : 2;
#elif defined(GDNP_X86) && defined(_MSC_VER)
    int one[4], seven[4];
    __cpuid(one, 1);
    if ((one[2] & (1 << 12)) == 0 || (one[2] & (1 << 27)) == 0 || (_xgetbv(0) & 6) != 6) return 1;
    __cpuidex(seven, 7, 0);
    if ((seven[1] & (1 << 5)) == 0) return 1;
    const unsigned parts = (1u << 16) | (1u << 17) | (1u << 31) | (1u << 30) | (1u << 28);  // F, DQ, VL, BW, CD
    return ((unsigned)seven[1] & parts) == parts && (_xgetbv(0) & 0xe6) == 0xe6 ? 3 : 2;
#else
    return 1;
#endif
}

std::vector<const gdnp::Level*> found_levels() {
    std::vector<const gdnp::Level*> found{&gdnp::baseline};
#ifdef GDNP_X86
    if (x86_level() >= 2) found.push_back(&gdnp::avx2);
    if (x86_level() >= 3) found.push_back(&gdnp::avx512);
#endif
    return found;
}

const std::vector<const gdnp::Level*> levels = found_levels();
const gdnp::Level* level = levels.back();

void use_level(const std::string& name) {
    for (const gdnp::Level* one : levels)
        if (name == one->name) {
            level = one;
            return;
        }
    throw std::invalid_argument("the instruction set must be one of levels(). Got " + name + ".");
}

[[noreturn]] void wrong_length(const char* what, size_t expected, size_t got) {
    throw std::invalid_argument(std::string(what) + " must have length " + std::to_string(expected) + ". Got " +
                                std::to_string(got) + ".");
}

gdnp::Vector vector_of(const In& v, int64_t n, const char* what) {
    if (!v.is_valid()) return {};
    if (v.shape(0) != (size_t)n) wrong_length(what, (size_t)n, v.shape(0));
    return {v.data(), v.stride(0)};
}

const double* numbers_of(const Fixed& v, int64_t n, const char* what) {
    if (v.shape(0) != (size_t)n) wrong_length(what, (size_t)n, v.shape(0));
    return v.data();
}

double* room_of(const Out& v, int64_t n, const char* what) {
    if (v.shape(0) != (size_t)n) wrong_length(what, (size_t)n, v.shape(0));
    return v.data();
}

gdnp::Loss loss_of(const std::tuple<int, double>& code) { return {std::get<0>(code), std::get<1>(code)}; }
using Code = std::tuple<int, double>;

void check(gdnp::Status status) {
    if (status == gdnp::OUT_OF_RANGE)
        throw std::invalid_argument(
            "the entries of a sparse X must lie within its shape. Got an index that does not, in an array that has changed "
            "since it was checked; do not write to X during a fit.");
    if (status == gdnp::NO_MEMORY) throw std::bad_alloc();
}

// Whether all indices lie in [0, d), without a branch for each: the sign of j or of d - 1 - j says where one does not.
template <class Index>
bool within(const Index* indices, int64_t count, int64_t d) {
    int64_t signs = 0;
    for (int64_t k = 0; k < count; ++k) signs |= (int64_t)indices[k] | (d - 1 - (int64_t)indices[k]);
    return signs >= 0;
}

// Whether all entries are 1: looked at in pieces, the first of which tells where they are not.
bool all_ones(const double* data, int64_t count) {
    for (int64_t first = 0; first < count; first += 1024) {
        uint64_t others = 0, bits;
        for (int64_t k = first; k < std::min(first + 1024, count); ++k) {
            memcpy(&bits, data + k, sizeof bits);
            others |= bits ^ 0x3ff0000000000000u;
        }
        if (others != 0) return false;
    }
    return true;
}

// X, which a design makes once and which keeps its arrays alive.
class Matrix {
public:
    const bool sparse = false;

    Matrix(Any X, In offset, In factor) : kept{std::move(X)} {
        const Any& array = kept[0];
        if (array.ndim() != 2) throw std::invalid_argument("dense X must have two dimensions.");
        dense.data = array.data();
        dense.row = array.stride(0);
        dense.column = array.stride(1);
        set_shape(dense, (int64_t)array.shape(0), (int64_t)array.shape(1), array, offset, factor);
    }

    Matrix(Any data, Any indices, Any indptr, int64_t d, In offset, In factor)
        : sparse(true), kept{std::move(data), std::move(indices), std::move(indptr)} {
        const Any &values = kept[0], &columns = kept[1], &rows = kept[2];
        for (const Any& one : kept)
            if (one.ndim() != 1 || (one.shape(0) > 1 && one.stride(0) != 1))
                throw std::invalid_argument("the arrays of a sparse X must be contiguous and of one dimension.");
        if (rows.shape(0) == 0) throw std::invalid_argument("indptr must have a number for each row and one more. Got none.");
        const bool wide = columns.dtype() == nb::dtype<int64_t>();
        if ((!wide && columns.dtype() != nb::dtype<int32_t>()) || rows.dtype() != columns.dtype())
            throw std::invalid_argument("indices and indptr must both be int32 or both int64.");
        csr.data = values.data();
        csr.indices = columns.data();
        csr.index_bytes = wide ? 8 : 4;
        set_shape(csr, (int64_t)rows.shape(0) - 1, d, values, offset, factor);
        const int64_t entries = (int64_t)std::min(values.shape(0), columns.shape(0));
        wide ? take_pattern((const int64_t*)columns.data(), (const int64_t*)rows.data(), entries)
             : take_pattern((const int32_t*)columns.data(), (const int32_t*)rows.data(), entries);
        if (!csr.single) {
            csr.ones = all_ones((const double*)csr.data, csr.indptr[csr.n]);
        }
    }

    void run(int64_t low, int64_t high, gdnp::Job& job) const {
        gdnp::Status status;
        {
            nb::gil_scoped_release free;
            status = sparse ? level->csr(csr, low, high, job) : level->dense(dense, low, high, job);
        }
        check(status);
    }

    gdnp::Status run(int64_t low, gdnp::ClassJob& job) const {
        return sparse ? level->class_csr(csr, low, job) : level->class_dense(dense, low, job);
    }

    double gram(int64_t low, int64_t high, In c, Out first, Table out) const {
        if (!sparse) throw std::invalid_argument("a Gram of dense X is a product of BLAS.");
        rows_between(low, high);
        if (out.shape(0) != (size_t)csr.d || out.shape(1) != (size_t)csr.d) wrong_length("a Gram", (size_t)csr.d, out.shape(0));
        gdnp::Vector weight = vector_of(c, high - low, "the curvature");
        double *sums = room_of(first, csr.d, "the first moment"), *to = out.data(), total = 0.0;
        gdnp::Status status;
        {
            nb::gil_scoped_release free;
            status = level->gram(csr, low, high, weight, &total, sums, to);
        }
        check(status);
        return total;
    }

    void rows_between(int64_t low, int64_t high) const {
        if (low < 0 || low > high || high > shape().n) throw std::invalid_argument("rows must lie within X.");
    }
    const gdnp::Shape& shape() const { return sparse ? (const gdnp::Shape&)csr : (const gdnp::Shape&)dense; }

private:
    void set_shape(gdnp::Shape& to, int64_t n, int64_t d, const Any& values, const In& offset, const In& factor) {
        to.n = n;
        to.d = d;
        to.single = values.dtype() == nb::dtype<float>();
        if (!to.single && values.dtype() != nb::dtype<double>()) throw std::invalid_argument("X must be float32 or float64.");
        to.offset = copied(offset, d, offset_);
        to.factor = copied(factor, d, factor_);
    }
    static const double* copied(const In& v, int64_t d, std::vector<double>& to) {
        gdnp::Vector from = vector_of(v, d, "a transformation");
        if (!from) return nullptr;
        for (int64_t j = 0; j < d; ++j) to.push_back(from[j]);
        to.push_back(0.0);
        return to.data();
    }

    // Copies the pointers, and the indices where 16 bits are enough for them, and checks what it copies.
    template <class Index>
    void take_pattern(const Index* indices, const Index* indptr, int64_t entries) {
        pointers.assign(indptr, indptr + csr.n + 1);
        bool good = pointers[0] >= 0 && pointers[csr.n] <= entries;
        for (int64_t i = 0; i < csr.n; ++i) good = good && pointers[i] <= pointers[i + 1];
        csr.indptr = pointers.data();
        if (good && csr.d <= (1 << 16)) {
            few_bits.reset(new uint16_t[(size_t)pointers[csr.n] + 1]);
            int64_t signs = 0;
            for (int64_t k = 0; k < pointers[csr.n]; ++k) {
                const int64_t j = indices[k];
                few_bits[k] = (uint16_t)j;
                signs |= j | (csr.d - 1 - j);
            }
            good = signs >= 0;
            csr.indices = few_bits.get();
            csr.index_bytes = 2;
        }
        if (!good) check(gdnp::OUT_OF_RANGE);
    }

    gdnp::Dense dense;
    gdnp::Csr csr;
    std::vector<Any> kept;
    std::vector<double> offset_, factor_;
    std::vector<int64_t> pointers;
    std::unique_ptr<uint16_t[]> few_bits;
};

// What all verbs are given: X, the rows, and then where to put what.
struct Call {
    const Matrix& X;
    int64_t low, high;
    gdnp::Job job;

    Call(const Matrix& X, int64_t low, int64_t high, int verb) : X(X), low(low), high(high) {
        X.rows_between(low, high);
        job.verb = verb;
    }
    Call& at(const Fixed& w, double b) {
        job.w = numbers_of(w, X.shape().d, "w");
        job.b = b;
        return *this;
    }
    Call& rows(gdnp::Vector gdnp::Job::*to, const In& v, const char* what) {
        job.*to = vector_of(v, high - low, what);
        return *this;
    }
    Call& writes(const Out& out) {
        job.out = room_of(out, high - low, "what is written");
        return *this;
    }
    Call& sums(double* gdnp::Job::*to, const Out& g) {
        job.*to = room_of(g, X.shape().d, "a sum of rows");
        return *this;
    }
    gdnp::Job& run() {
        X.run(low, high, job);
        return job;
    }
};

void margins(const Matrix& X, int64_t low, int64_t high, Fixed w, double b, In sigma, In base, Out out) {
    Call(X, low, high, gdnp::MARGINS).at(w, b).rows(&gdnp::Job::sigma, sigma, "sigma").rows(&gdnp::Job::base, base, "base").writes(out).run();
}

nb::tuple value(const Matrix& X, int64_t low, int64_t high, Code loss, Fixed w, double b, In sigma, In base, In s, Out out, Out g) {
    Call call(X, low, high, gdnp::VALUE);
    call.at(w, b).rows(&gdnp::Job::sigma, sigma, "sigma").rows(&gdnp::Job::base, base, "base").rows(&gdnp::Job::s, s, "weights");
    call.writes(out).sums(&gdnp::Job::g, g).job.loss = loss_of(loss);
    gdnp::Job& job = call.run();
    return nb::make_tuple(job.sums[0], job.sums[1]);
}

nb::tuple gap(const Matrix& X, int64_t low, int64_t high, Code loss, Fixed w, double b, std::tuple<double, double> balance, In sigma,
              In base, In s, Out a, Out g, Out h) {
    Call call(X, low, high, gdnp::GAP);
    call.at(w, b).rows(&gdnp::Job::sigma, sigma, "sigma").rows(&gdnp::Job::base, base, "base").rows(&gdnp::Job::s, s, "weights");
    call.writes(a).sums(&gdnp::Job::g, g).sums(&gdnp::Job::h, h).job.loss = loss_of(loss);
    std::tie(call.job.up, call.job.down) = balance;
    gdnp::Job& job = call.run();
    return nb::make_tuple(job.sums[0], job.sums[2], job.sums[1], job.rest[0], job.rest[1], job.sums[3], job.sums[4]);
}

nb::tuple sums(const Matrix& X, int64_t low, int64_t high, Code loss, In sigma, In s, In t, Out g) {
    Call call(X, low, high, gdnp::SUMS);
    call.rows(&gdnp::Job::sigma, sigma, "sigma").rows(&gdnp::Job::s, s, "weights").rows(&gdnp::Job::r, t, "margins");
    call.sums(&gdnp::Job::g, g).job.loss = loss_of(loss);
    gdnp::Job& job = call.run();
    return nb::make_tuple(job.sums[0], job.sums[1]);
}

double hessian(const Matrix& X, int64_t low, int64_t high, Fixed w, double b, In sigma, In c, Out out, Out g) {
    Call call(X, low, high, gdnp::HESSIAN);
    call.at(w, b).rows(&gdnp::Job::sigma, sigma, "sigma").rows(&gdnp::Job::r, c, "the curvature");
    return call.writes(out).sums(&gdnp::Job::g, g).run().sums[1];
}

double transpose(const Matrix& X, int64_t low, int64_t high, In r, Out g) {
    return Call(X, low, high, gdnp::TRANSPOSE).rows(&gdnp::Job::r, r, "r").sums(&gdnp::Job::g, g).run().sums[1];
}

double product(const Matrix& X, int64_t low, int64_t high, Fixed w, double b, In c, Out g) {
    return Call(X, low, high, gdnp::PRODUCT).at(w, b).rows(&gdnp::Job::r, c, "the curvature").sums(&gdnp::Job::g, g).run().sums[1];
}

double diagonal(const Matrix& X, int64_t low, int64_t high, In c, Fixed centre, Out g, Out squares) {
    Call call(X, low, high, gdnp::DIAGONAL);
    call.rows(&gdnp::Job::r, c, "the curvature").sums(&gdnp::Job::g, g).sums(&gdnp::Job::squares, squares);
    if (centre.is_valid()) call.job.centre = numbers_of(centre, X.shape().d, "the centre");
    return call.run().sums[1];
}

gdnp::Lines lines_of(const Lines& v, int64_t n, int64_t K, const char* what) {
    if (!v.is_valid()) return {};
    if (v.shape(0) != (size_t)n) wrong_length(what, (size_t)n, v.shape(0));
    if (v.shape(1) != (size_t)K) wrong_length(what, (size_t)K, v.shape(1));
    if (K > 1 && v.stride(1) != 1) throw std::invalid_argument(std::string(what) + " must have the numbers of a row in a line.");
    return {v.data(), v.stride(0)};
}

double* table_of(const Table& v, int64_t n, int64_t K, const char* what) {
    lines_of(Lines(v), n, K, what);
    return v.data();
}

// K classes, from the margins of X or from those given; X may be missing where nothing goes back through it.
nb::tuple classes(const Matrix* X, int64_t low, int64_t high, int verb, int64_t K, Lines w, In b, Lines in, Lines other, Labels y, In s,
                  Lines extra, Table out, Table g, Table squares, Table of_class, Table table) {
    gdnp::ClassJob job;
    job.verb = verb;
    job.n = high - low;
    job.K = K;
    if (verb < gdnp::SLOPES || verb > gdnp::SCORES || K < 1) throw std::invalid_argument("the verb must be one of CLASS_VERBS.");
    // Beside margins: what is written, labels, other margins, extra numbers, a table and squares.
    const char* const needs[] = {"y", "o", "xs", "wy", "w", "wy", "wyxt", "yoxt", "w"};
    const auto lacks = [&](char what, bool given) { return !given && strchr(needs[verb], what) != nullptr; };
    const bool of_margins = verb != gdnp::TILTED && !(X != nullptr && w.is_valid());
    if (X != nullptr) X->rows_between(low, high);
    if (lacks('w', out.is_valid()) || lacks('y', y.is_valid()) || lacks('o', other.is_valid()) || lacks('x', extra.is_valid()) ||
        lacks('t', table.is_valid()) || lacks('s', squares.is_valid()) || (of_margins && !in.is_valid()) || low < 0 || high < low ||
        (X != nullptr && verb != gdnp::SCORES && !g.is_valid()) || (squares.is_valid() && (X == nullptr || !X->sparse)))
        throw std::invalid_argument("the verb must be given all that it reads and writes.");
    std::vector<double> constant;
    if (X != nullptr) {
        if (g.is_valid()) job.g = table_of(g, X->shape().d, K, "a sum of rows");
        if (squares.is_valid()) job.squares = table_of(squares, X->shape().d, K, "a sum of squares");
        if (w.is_valid()) {
            const gdnp::Lines from = lines_of(w, X->shape().d, K, "w");
            if (X->shape().d > 1 && from.stride != K) throw std::invalid_argument("w must be contiguous.");
            job.w = from.p;
            gdnp::Vector at = vector_of(b, K, "b");
            for (int64_t k = 0; k < K; ++k) constant.push_back(at[k]);
            job.b = constant.data();
        }
    }
    job.in = lines_of(in, job.n, K, "margins");
    job.other = lines_of(other, job.n, K, "the second margins");
    job.s = vector_of(s, job.n, "weights");
    if (y.is_valid()) {
        if (y.shape(0) != (size_t)job.n) wrong_length("labels", (size_t)job.n, y.shape(0));
        job.y = y.data();
        job.y_stride = y.stride(0);
    }
    if (out.is_valid()) job.out = table_of(out, job.n, K, "what is written");
    if (of_class.is_valid()) job.of_class = table_of(of_class, K, 5, "sums of classes");
    if (verb == gdnp::EXPANDED) {
        job.steps = (int64_t)extra.shape(0);
        job.extra = lines_of(extra, job.steps, 2, "steps").p;
        job.table = table_of(table, job.steps, 6, "an expansion");
    }
    if (verb == gdnp::SPREADS) job.extra = lines_of(extra, 1, 1, "the least").p;
    if (verb == gdnp::TILTED) {
        job.extra = lines_of(extra, 1, K, "tilts").p;
        job.table = table_of(table, K, K, "products of classes");
    }
    gdnp::Status status;
    {
        nb::gil_scoped_release free;
        for (int64_t i = 0; i < job.n && job.y != nullptr; ++i)
            if (job.y[i * job.y_stride] < 0 || job.y[i * job.y_stride] >= K) job.n = -1;
        if (job.n < 0) status = gdnp::WRONG_LABEL;
        else status = X == nullptr ? level->class_rows(job) : X->run(low, job);
    }
    if (status == gdnp::WRONG_LABEL) throw std::invalid_argument("labels must lie between 0 and the number of classes.");
    check(status);
    return nb::make_tuple(job.sums[0], job.sums[1], job.sums[2]);
}

void expand(Code loss, Steps at, In m, In q, In u, In s, Table out) {
    gdnp::Expansion e;
    e.loss = loss_of(loss);
    e.n = (int64_t)m.shape(0);
    e.steps = (int64_t)at.shape(0);
    if (at.shape(1) != 2) wrong_length("a step", 2, at.shape(1));
    if (out.shape(0) != at.shape(0) || out.shape(1) != 6) wrong_length("an expansion", 6, out.shape(1));
    e.at = at.data();
    e.m = vector_of(m, e.n, "margins");
    e.q = vector_of(q, e.n, "the first slope");
    e.u = vector_of(u, e.n, "the second slope");
    e.s = vector_of(s, e.n, "weights");
    e.out = out.data();
    nb::gil_scoped_release free;
    level->expand(e);
}

nb::tuple dual_point(Code loss, std::tuple<double, double> bounds, In t, In q, In sigma, In s, Out out) {
    gdnp::DualPoint p;
    p.loss = loss_of(loss);
    p.n = (int64_t)t.shape(0);
    std::tie(p.low, p.high) = bounds;
    p.t = vector_of(t, p.n, "margins");
    p.q = vector_of(q, p.n, "their change");
    p.sigma = vector_of(sigma, p.n, "sigma");
    p.s = vector_of(s, p.n, "weights");
    p.out = room_of(out, p.n, "what is written");
    {
        nb::gil_scoped_release free;
        level->dual_point(p);
    }
    return nb::make_tuple(p.above, p.below);
}

// φ (0), φ' (1) or φ'' (2) of every margin.
void evaluate(Code loss, int which, In t, Out out) {
    int64_t n = (int64_t)t.shape(0);
    double* to[3] = {nullptr, nullptr, nullptr};
    if (which < 0 || which > 2) throw std::invalid_argument("the derivative must be 0, 1 or 2.");
    to[which] = room_of(out, n, "what is written");
    gdnp::Vector at = vector_of(t, n, "margins");
    gdnp::Loss phi = loss_of(loss);
    nb::gil_scoped_release free;
    level->evaluate(phi, n, at, to[0], to[1], to[2]);
}

void apply(int function, In x, Out out) {
    int64_t n = (int64_t)x.shape(0);
    level->apply((gdnp::Function)function, n, vector_of(x, n, "x"), room_of(out, n, "what is written"));
}

template <class Index>
std::string fault(const Index* indices, const Index* indptr, int64_t n, int64_t d, int64_t entries) {
    if (indptr[0] != 0) return "an indptr that begins with " + std::to_string(indptr[0]);
    for (int64_t i = 0; i < n; ++i)
        if (indptr[i] > indptr[i + 1]) return "an indptr that falls after row " + std::to_string(i);
    if (indptr[n] > entries) return "an indptr that ends with " + std::to_string(indptr[n]) + " of " + std::to_string(entries) + " entries";
    if (!within(indices, indptr[n], d))
        for (int64_t k = 0; k < indptr[n]; ++k)
            if (indices[k] < 0 || indices[k] >= d) return "the index " + std::to_string(indices[k]) + " for " + std::to_string(d);
    return "";
}

// What is wrong with the pattern of a CSR matrix of d columns, or of a CSC one of d rows; empty where nothing is.
std::string pattern_fault(Any indices, Any indptr, int64_t d) {
    int64_t n = (int64_t)indptr.shape(0) - 1, entries = (int64_t)indices.shape(0);
    if (n < 0) return "an empty indptr";
    nb::gil_scoped_release free;
    if (indices.dtype() == nb::dtype<int64_t>())
        return fault((const int64_t*)indices.data(), (const int64_t*)indptr.data(), n, d, entries);
    return fault((const int32_t*)indices.data(), (const int32_t*)indptr.data(), n, d, entries);
}

}  // namespace

NB_MODULE(_kernels, m) {
    nb::set_leak_warnings(false);  // what modules still hold when Python ends is no leak
    m.doc() = "Products with rows of X and losses of their margins; see gdnp.design.compiled, which calls them.";
    nb::class_<Matrix>(m, "Matrix")
        .def(nb::init<Any, In, In>(), "X"_a.noconvert(), "offset"_a.none(), "factor"_a.none())
        .def(nb::init<Any, Any, Any, int64_t, In, In>(), "data"_a.noconvert(), "indices"_a.noconvert(), "indptr"_a.noconvert(), "d"_a,
             "offset"_a.none(), "factor"_a.none())
        .def_prop_ro("n_features", [](const Matrix& X) { return X.shape().d; })
        .def_prop_ro("sparse", [](const Matrix& X) { return X.sparse; })
        .def("margins", margins, "low"_a, "high"_a, "w"_a.noconvert(), "b"_a, "sigma"_a.noconvert().none(), "base"_a.noconvert().none(),
             "out"_a.noconvert())
        .def("value", value, "low"_a, "high"_a, "loss"_a, "w"_a.noconvert(), "b"_a, "sigma"_a.noconvert(), "base"_a.noconvert().none(),
             "s"_a.noconvert().none(), "out"_a.noconvert(), "g"_a.noconvert())
        .def("gap", gap, "low"_a, "high"_a, "loss"_a, "w"_a.noconvert(), "b"_a, "balance"_a, "sigma"_a.noconvert(), "base"_a.noconvert().none(),
             "s"_a.noconvert().none(), "a"_a.noconvert(), "g"_a.noconvert(), "h"_a.noconvert())
        .def("sums", sums, "low"_a, "high"_a, "loss"_a, "sigma"_a.noconvert(), "s"_a.noconvert().none(), "t"_a.noconvert(),
             "g"_a.noconvert())
        .def("hessian", hessian, "low"_a, "high"_a, "w"_a.noconvert(), "b"_a, "sigma"_a.noconvert(), "c"_a.noconvert(),
             "out"_a.noconvert(), "g"_a.noconvert())
        .def("transpose", transpose, "low"_a, "high"_a, "r"_a.noconvert(), "g"_a.noconvert())
        .def("product", product, "low"_a, "high"_a, "w"_a.noconvert(), "b"_a, "c"_a.noconvert().none(), "g"_a.noconvert())
        .def("diagonal", diagonal, "low"_a, "high"_a, "c"_a.noconvert(), "centre"_a.noconvert().none(), "g"_a.noconvert(), "squares"_a.noconvert())
        .def("gram", &Matrix::gram, "low"_a, "high"_a, "c"_a.noconvert(), "first"_a.noconvert(), "out"_a.noconvert());
    m.def("classes", classes, "X"_a.none(), "low"_a, "high"_a, "verb"_a, "K"_a,
          "w"_a.noconvert().none() = nb::none(), "b"_a.noconvert().none() = nb::none(),
          "margins"_a.noconvert().none() = nb::none(), "other"_a.noconvert().none() = nb::none(),
          "y"_a.noconvert().none() = nb::none(), "s"_a.noconvert().none() = nb::none(),
          "extra"_a.noconvert().none() = nb::none(), "out"_a.noconvert().none() = nb::none(),
          "g"_a.noconvert().none() = nb::none(), "squares"_a.noconvert().none() = nb::none(),
          "of_class"_a.noconvert().none() = nb::none(), "table"_a.noconvert().none() = nb::none());
    m.def("expand", expand, "loss"_a, "steps"_a.noconvert(), "m"_a.noconvert(), "q"_a.noconvert(), "u"_a.noconvert().none(),
          "s"_a.noconvert().none(), "out"_a.noconvert());
    m.def("dual_point", dual_point, "loss"_a, "bounds"_a, "t"_a.noconvert(), "q"_a.noconvert(), "sigma"_a.noconvert(),
          "s"_a.noconvert().none(), "out"_a.noconvert());
    m.def("evaluate", evaluate, "loss"_a, "which"_a, "t"_a.noconvert(), "out"_a.noconvert());
    m.def("apply", apply, "function"_a, "x"_a.noconvert(), "out"_a.noconvert());
    m.def("pattern_fault", pattern_fault, "indices"_a.noconvert(), "indptr"_a.noconvert(), "d"_a);
    m.def("use_level", use_level, "name"_a);
    m.def("level", [] { return std::string(level->name); });
    m.def("levels", [] {
        std::vector<std::string> names;
        for (const gdnp::Level* one : levels) names.emplace_back(one->name);
        return names;
    });
    m.attr("REVISION") = 3;
    nb::dict losses, functions;
    const char* loss_names[] = {"squared_error", "pseudo_huber", "huber", "log_loss", "sigmoid", "probit"};
    for (int k = 0; k < 6; ++k) losses[loss_names[k]] = k;
    const char* function_names[] = {"exp", "expm1", "log", "log1p", "normal_cdf"};
    for (int k = 0; k < 5; ++k) functions[function_names[k]] = k;
    const char* class_verbs[] = {"slopes", "bends", "spreads", "gap", "shares", "corrected", "tilted", "expanded", "scores"};
    nb::dict verbs;
    for (int k = 0; k < 9; ++k) verbs[class_verbs[k]] = k;
    m.attr("CLASS_VERBS") = verbs;
    m.attr("LOSSES") = losses;
    m.attr("FUNCTIONS") = functions;
}
