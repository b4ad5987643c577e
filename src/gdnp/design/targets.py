"""Labels, targets and weights that are read batch by batch into row vectors."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import Rows, RowVector
from gdnp.design.cluster import ClusterRows
from gdnp.design.source import Values, filled
from gdnp.validation import check_weights

MOST_CLASSES = 1 << 15


def signs(code: int, codes: NDArray[Any], out: FloatArray) -> list[Any]:
    """See ``Rows.total``: 1 for one code and -1 for the others, written."""
    out[:] = np.where(codes == code, 1.0, -1.0)
    return []


def renumbered(rank: NDArray[np.int16], codes: NDArray[Any]) -> list[Any]:
    """See ``Rows.total``: the rank of each code, in place."""
    codes[:] = rank[codes]
    return []


def check_labels(labels: Any) -> None:
    """Refuse what is no label, and too many."""
    if len(labels) > MOST_CLASSES:
        raise ValueError(f"y must have at most {MOST_CLASSES} classes. Got more; use GDNPRegressor.")
    if isinstance(labels, np.ndarray) and labels.dtype.kind == "f":
        broken = labels[labels != np.floor(labels)]  # nor does NaN equal its floor
        if len(broken):
            raise ValueError(
                "Unknown label type: y must hold class labels, without gaps. "
                f"Got {broken[0]:g}; use GDNPRegressor for numbers."
            )


def encoded(values: Any, rows: Rows) -> tuple[NDArray[Any], RowVector]:
    """Classes in their order, and the index of each row's."""
    if isinstance(rows, ClusterRows):
        if len(values.shape) > 1:
            raise ValueError(f"y must have one label a row. Got shape {values.shape}.")
        classes, on_workers = rows.labels(values)
        check_labels(classes)
        return classes, on_workers
    known: dict[Any, int] = {}

    def numbered(batch: NDArray[Any]) -> NDArray[Any]:
        labels, found = np.unique(batch, return_inverse=True)
        check_labels(labels)
        codes = [known.setdefault(label, len(known)) for label in labels.tolist()]
        check_labels(known)
        return np.array(codes, dtype=np.int16)[found]

    codes = filled(values, "y", rows, np.int16, numbered)
    classes = np.array(list(known))
    order = np.argsort(classes, kind="stable")
    rows.total(partial(renumbered, np.argsort(order).astype(np.int16)), writes=(codes,))
    return classes[order], codes


def mass_of(classes: int, s: FloatArray | None, codes: NDArray[Any]) -> list[Any]:
    """See ``Rows.total``: Σ s of each class."""
    return [np.bincount(codes, s, minlength=classes)]


def reweighed(factor: FloatArray, s: FloatArray | None, codes: NDArray[Any], out: FloatArray) -> list[Any]:
    """See ``Rows.total``: s times the factor of each class, written."""
    out[:] = factor[codes] if s is None else factor[codes] * s
    return []


def array_of(values: Values) -> NDArray[Any]:
    """All of them in memory."""
    return np.concatenate(list(values()))


def normalised(s: FloatArray) -> FloatArray:
    """Weights of sum one, in place."""
    largest = s.max()  # a sum may overflow
    check_weights(s.min(), largest)
    s /= largest
    s /= s.sum()
    return s
