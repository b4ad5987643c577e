"""Verbs in C++: the rows of a lane in one call, without the interpreter lock. NumPy's are their reference.

``GDNP_KERNELS=numpy`` in the environment does without them, and ``GDNP_KERNELS=compiled`` insists on them.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dger

from gdnp._typing import FloatArray
from gdnp.design.block import Affine, Dual, Scatter, Through, Valued, total, weighted
from gdnp.design.rows import add
from gdnp.losses import Loss

REVISION = 3
"""Of the calls below: an extension of another one was built from other sources."""
FLOAT64 = np.dtype(np.float64)
STRIP = 4096
"""Rows of margins that a loss in Python is given at a time."""
ADVICE = "NumPy does the work meanwhile. Install gdnp again on this Python, or set GDNP_KERNELS=numpy."


def _found() -> tuple[Any, str]:
    """The extension, or None and why."""
    wanted = os.environ.get("GDNP_KERNELS", "")
    if wanted not in ("", "numpy", "compiled"):
        raise ValueError(f"GDNP_KERNELS must be numpy, compiled or unset. Got {wanted!r}.")
    if wanted == "numpy":
        return None, "GDNP_KERNELS=numpy"
    try:
        found = import_module("gdnp._kernels")
        if found.REVISION == REVISION:
            return found, ""
        reason = f"one of revision {found.REVISION} where {REVISION} is needed"
    except Exception as error:  # whatever a file of another system raises
        files = sorted(path.name for path in Path(__file__).parents[1].glob("_kernels*.[sp][oy]*"))
        if isinstance(error, ModuleNotFoundError) and not files:
            reason = ""
        else:
            reason = f"{type(error).__name__}: {error} ({', '.join(files)})"
    if wanted == "compiled":
        raise ImportError(
            "GDNP_KERNELS=compiled needs the extension gdnp._kernels. "
            f"Got {reason or 'none'}; install gdnp again where a C++ compiler is found."
        )
    if reason:
        message = f"the compiled kernels must be those of this gdnp and this Python. Got {reason}. {ADVICE}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return None, reason or "not built"


core, absence = _found()


def status() -> str:
    """Which verbs run, on which instruction set, for people."""
    return f"NumPy ({absence})" if core is None else f"compiled ({core.level()})"


def code_of(loss: Loss) -> tuple[int, float] | None:
    """What the extension calls a loss of this package; None for others, which run in Python."""
    if core is None or type(loss).__module__ != Loss.__module__:
        return None
    kind = core.LOSSES.get(loss.name)
    return None if kind is None else (kind, float(getattr(loss, "delta", 1.0)))


# Storage


def _plain(array: NDArray[Any]) -> bool:
    """Whether C++ may read it: numbers of this machine's order, each at an address of its own kind."""
    size = array.itemsize
    return array.flags.aligned and array.dtype.isnative and not any(step % size for step in array.strides)


def dense(X: NDArray[Any], offset: FloatArray | None, factor: FloatArray | None) -> Any:
    """(X - offset) · factor to be read in C++, or None where it cannot be."""
    if core is None or X.dtype.kind != "f" or X.itemsize not in (4, 8) or not _plain(X):
        return None
    return core.Matrix(X, offset, factor)


def csr(X: Any, offset: FloatArray | None, factor: FloatArray | None) -> Any:
    """The same of a CSR matrix whose pattern was checked."""
    data, indices = X.data, X.indices
    if core is None or data.dtype.kind != "f" or data.itemsize not in (4, 8):
        return None
    pointers = np.ascontiguousarray(X.indptr, dtype=indices.dtype)
    arrays = data, indices, pointers
    if indices.itemsize not in (4, 8) or not all(_plain(a) and a.flags.c_contiguous for a in arrays):
        return None
    return core.Matrix(*arrays, X.shape[1], offset, factor)


def pattern_fault(X: Any) -> str:
    """What is wrong with the indices of a CSR or CSC matrix; empty where nothing is."""
    major, minor = X.shape if X.format == "csr" else X.shape[::-1]
    indices, pointers = X.indices, X.indptr
    if len(pointers) != major + 1 or len(X.data) < len(indices):
        return f"{len(pointers)} pointers for {major} and {len(X.data)} entries for {len(indices)} indices"
    arrays = indices, np.ascontiguousarray(pointers, dtype=indices.dtype)
    if core is not None and all(_plain(a) and a.flags.c_contiguous for a in arrays):
        return str(core.pattern_fault(*arrays, minor))
    if pointers[0] != 0 or (np.diff(pointers) < 0).any() or pointers[-1] > len(indices):
        return "an indptr that does not rise from 0 to the number of entries"
    low, high = indices.min(initial=0), indices.max(initial=0)
    return "" if low >= 0 and high < max(1, minor) else f"the index {low if low < 0 else high} for {minor}"


# Verbs: (X, first row, last row + 1, state, slices of row vectors) -> sums, as those of ``Block``

Sums = list[Any]


def _zeros(X: Any) -> FloatArray:
    return np.zeros(X.n_features)


def _margins(X: Any, low: int, high: int, at: Affine, *vectors: Any) -> Sums:
    if at.w.ndim > 1:
        _of_classes(X, low, high, SCORES, None, None, vectors[-1], **_columns(at))
    else:
        X.margins(low, high, at.w, at.b, *vectors)
    return []


def _value(X: Any, low: int, high: int, at: Valued, sigma: Any, base: Any, s: Any, t: Any) -> Sums:
    code, g = code_of(at.loss), _zeros(X)
    if code is not None:
        risk, rest = X.value(low, high, code, at.w, at.b, sigma, base, s, t, g)
        return [risk, g, rest]

    def sums(a: int, b: int, sigma: Any, base: Any, s: Any, t: Any) -> Sums:
        X.margins(a, b, at.w, at.b, sigma, base, t)
        return _sums_of(X, a, b, sigma, s, t, loss=at.loss)

    return _in_strips(sums, low, high, sigma, base, s, t)


def _gap(X: Any, low: int, high: int, at: Dual, *vectors: Any) -> Sums:
    g, h, balance = _zeros(X), _zeros(X), (at.up, at.down)
    found = X.gap(low, high, code_of(at.loss), at.w, at.b, balance, *vectors, g, h)
    risk, excess, total_of_g, rest, lost, size, square = found
    return [risk, excess, g, h, total_of_g, np.longdouble(rest) + lost, size, square]


def _sums(X: Any, low: int, high: int, loss: Loss, sigma: Any, s: Any, t: Any) -> Sums:
    code, g = code_of(loss), _zeros(X)
    if code is not None:
        risk, rest = X.sums(low, high, code, sigma, s, t, g)
        return [risk, g, rest]
    return _in_strips(partial(_sums_of, X, loss=loss), low, high, sigma, s, t)


def _sums_of(X: Any, low: int, high: int, sigma: Any, s: Any, t: Any, *, loss: Loss) -> Sums:
    value, r = loss.value_and_gradient(t)
    r *= sigma
    g = _zeros(X)
    rest = X.transpose(low, high, weighted(r, s), g)
    return [total(value, s), g, rest]


def _in_strips(part: Callable[..., Sums], low: int, high: int, *vectors: Any) -> Sums:
    """The sums of a loss in Python, strip by strip."""
    sums: list[Sums] = []
    for a in range(low, high, STRIP):
        b = min(a + STRIP, high)
        sums.append(part(a, b, *(None if v is None else v[a - low : b - low] for v in vectors)))
    return reduce(add, sums)


def _back(verb: str, X: Any, low: int, high: int, at: Affine | None, *vectors: Any) -> Sums:
    """Xᵀr and Σ r of one of three r."""
    g = _zeros(X)
    return [g, getattr(X, verb)(low, high, *(() if at is None else (at.w, at.b)), *vectors, g)]


def _diagonal(X: Any, low: int, high: int, about: Scatter | None, c: Any) -> Sums:
    g, squares, centre = _zeros(X), _zeros(X), None if about is None else about.centre
    c = np.broadcast_to(1.0, high - low) if c is None else c
    mass = X.diagonal(low, high, c, None if X.sparse else centre, g, squares)
    if X.sparse and centre is not None:
        squares -= centre * (2.0 * g - mass * centre)
        np.maximum(squares, 0.0, out=squares)
    return [mass, g, squares]


def _gram(X: Any, low: int, high: int, about: Scatter, c: Any = None) -> Sums:
    first, gram, centre = _zeros(X), np.zeros((X.n_features, X.n_features)), about.centre
    c = np.full(high - low, about.mass) if c is None else c
    mass = X.gram(low, high, c, first, gram)
    if centre.any():
        half = first - (0.5 * mass) * centre
        for a, b in ((half, centre), (centre, half)):  # in place
            gram = dger(-1.0, a, b, a=gram.T, overwrite_a=1).T
    return [mass, first, gram]


def _diagonals(X: Any, low: int, high: int, about: Scatter, p: Any, s: Any) -> Sums:
    shape, centre = (X.n_features, p.shape[1]), about.centre[:, None]
    g, squares = np.zeros(shape), np.zeros(shape)
    kernel = ClassKernel("spreads", extra=np.array([[about.mass or 0.0]]))
    first, mass = _of_classes(X, low, high, kernel, p, s, g=g, squares=squares)
    squares -= centre * (2.0 * first - mass * centre)
    return [mass, first, np.maximum(squares, 0.0, out=squares)]


@dataclass(frozen=True)
class ClassKernel:
    """A kernel of K margins a row: what C++ calls it, and NumPy's `function` where ``Block`` has none.

    `extra` has tilts, shape (1, K), steps, shape (k, 2), or the least p (1 - p), shape (1, 1).
    """

    verb: str
    function: Callable[..., list[Any]] | None = None
    extra: FloatArray | None = None

    def __call__(self, *vectors: Any) -> list[Any]:
        """The sums over some rows; those of ``Through`` are NumPy's here."""
        if self.verb in ("slopes", "bends", "gap") or not serves_classes(vectors):
            assert self.function is not None
            return self.function(*vectors)
        return _of_classes(None, 0, len(vectors[0]), self, *vectors)


SCORES = ClassKernel("scores")
_READS = {
    "slopes": ("y", "s", "out"),
    "bends": ("other", "s"),
    "spreads": ("margins", "s"),
    "gap": ("y", "s", "out"),
    "risk": ("margins", "y", "s"),
    "shares": ("margins", "out"),
    "corrected": ("margins", "y", "s", "out"),
    "tilted": ("y", "s", "out"),
    "expanded": ("margins", "other", "y", "s"),
    "scores": ("y", "s", "out"),
}
"""What the vectors of each kernel are."""


def _of_classes(X: Any, low: int, high: int, kernel: ClassKernel, *vectors: Any, **others: Any) -> Sums:
    """The sums of a kernel: those of its own, and Xᵀr and Σ r where there is X."""
    verb, extra = kernel.verb, kernel.extra
    given = dict(zip(_READS[verb], vectors, strict=False)) | others
    if given.get("y") is not None:  # files keep labels in fewer bytes
        given["y"] = np.ascontiguousarray(given["y"], dtype=np.int64)
    K = next(given[name] for name in ("w", "margins", "out") if name in given).shape[1]
    of_class, table = np.zeros((K, 5)), None
    if extra is not None and verb != "spreads":
        table = np.zeros((K, K) if verb == "tilted" else (len(extra), 6))
    code = core.CLASS_VERBS["slopes" if verb == "risk" else verb]
    sums = core.classes(X, low, high, code, K, extra=extra, of_class=of_class, table=table, **given)
    rest, lost, square, mass, missed = of_class.T
    if verb == "tilted":
        return [rest + lost.astype(np.longdouble), mass, table]
    if verb == "expanded":
        return list(np.asarray(table).ravel().tolist())
    found: Sums = list(sums[: {"slopes": 1, "risk": 1, "corrected": 1, "gap": 3}.get(verb, 0)])
    if verb == "gap":
        found += [square, mass, missed, rest + lost.astype(np.longdouble)]
    return found if X is None else [*found, given.get("g"), rest + lost]


def _columns(at: Affine) -> dict[str, Any]:
    """w and b of a function with K columns, as C++ reads them."""
    b = np.ascontiguousarray(np.broadcast_to(at.b, at.w.shape[1]), dtype=np.float64)
    return {"w": np.ascontiguousarray(at.w), "b": b}


def _through(X: Any, low: int, high: int, at: Through, *vectors: Any) -> Sums:
    if at.known:
        given, vectors = {"margins": vectors[0]}, vectors[1:]
    else:
        given = _columns(at)
    g = np.zeros((X.n_features, next(iter(given.values())).shape[1]))
    assert isinstance(at.kernel, ClassKernel)
    return _of_classes(X, low, high, at.kernel, *vectors, **given, g=g)


VERBS: dict[str, Callable[..., Sums]] = {
    "margins": _margins,
    "value": _value,
    "gap": _gap,
    "sums": _sums,
    "hessian": partial(_back, "hessian"),
    "transpose": partial(_back, "transpose"),
    "product": partial(_back, "product"),
    "diagonal": _diagonal,
    "gram": _gram,
    "through": _through,
    "diagonals": _diagonals,
}


def serves(verb: str, state: Any, vectors: Sequence[NDArray[Any] | None]) -> bool:
    """Whether a verb runs here: margins of one column, or of classes, in arrays that C++ may read."""
    if core is None or verb not in VERBS:
        return False
    if isinstance(state, Through) and not isinstance(state.kernel, ClassKernel):
        return False
    if isinstance(state, Affine) and state.w.ndim > 1:
        signs = verb == "margins" and any(v is not None for v in vectors[:2])
        return verb in ("margins", "through") and not signs and serves_classes(vectors)
    if verb in ("through", "diagonals"):
        return serves_classes(vectors)
    if isinstance(state, Dual) and (state.careful or code_of(state.loss) is None):
        return False
    return all(v is None or (v.ndim == 1 and _lies_well(v)) for v in vectors)


def serves_classes(vectors: Sequence[NDArray[Any] | None]) -> bool:
    """Whether a kernel of classes runs here: numbers of a row in a line, and labels."""
    numbers = [v for v in vectors if v is not None and v.dtype.kind not in "iu"]
    apart = (v.ndim > 1 and v.strides[1] != 8 < v.shape[1] * 8 for v in numbers)
    return core is not None and all(map(_lies_well, numbers)) and not any(apart)


def _lies_well(v: NDArray[Any]) -> bool:
    return bool(v.dtype == FLOAT64 and v.flags.aligned and v.strides[0] % 8 == 0)


def by_block(verb: str, state: Any) -> bool:
    """Whether the rounding of a verb is bounded by the rows of a block: those of a lane are more."""
    return verb == "gap" or (verb == "through" and state.kernel.verb == "gap")


# Sums over rows that do not look at X


def _code_for(loss: Loss, vectors: Sequence[Any]) -> tuple[int, float] | None:
    return code_of(loss) if serves("margins", None, vectors) else None


def expansions(loss: Loss, steps: Sequence[tuple[float, float]], *vectors: Any) -> list[float] | None:
    """The six sums of an expansion at each step, one after the other, or None where C++ does not do it.

    The vectors are margins, slopes along one direction and along another, and weights; the last two may be
    None.
    """
    if (code := _code_for(loss, vectors)) is None:
        return None
    out = np.empty((len(steps), 6))
    core.expand(code, np.array(steps), *vectors, out)
    return list(out.ravel().tolist())


def dual_point(loss: Loss, *vectors: Any) -> list[float] | None:
    """φ'(t) + φ''(t) q, clipped and written, and the masses of s a σ, or None where C++ does not do it.

    The vectors are t, q, σ, s, which may be None, and what is written.
    """
    if (code := _code_for(loss, vectors)) is None:
        return None
    bounds = 0.0 if loss.increasing else -loss.max_gradient, loss.max_gradient
    return list(core.dual_point(code, bounds, *vectors))


def curvature(loss: Loss, t: FloatArray) -> FloatArray | None:
    """φ'' of every margin, to every digit, or None where C++ does not do it."""
    if (code := _code_for(loss, (t,))) is None:
        return None
    out = np.empty(len(t))
    core.evaluate(code, 2, t, out)
    return out
