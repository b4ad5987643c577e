"""Data sets by name, from files, and drawn from a known Gaussian population."""

import os
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from sklearn import datasets as sklearn_datasets

from gdnp.datasets.dataset import Dataset
from gdnp.datasets.fetch import (
    FILES,
    ChecksumError,
    DataNotFoundError,
    data_dir,
    fetch_a9a,
    fetch_file,
    fetch_mushrooms,
    files_of,
)
from gdnp.datasets.files import holds_table, load_libsvm, load_table
from gdnp.datasets.gaussian import gaussian_design, gaussian_parameters
from gdnp.datasets.images import cifar10_batches, fetch_cifar10, fetch_mnist, load_digits

__all__ = [
    "DATASETS",
    "FILES",
    "ChecksumError",
    "DataNotFoundError",
    "Dataset",
    "cifar10_batches",
    "data_dir",
    "fetch_a9a",
    "fetch_cifar10",
    "fetch_file",
    "fetch_mnist",
    "fetch_mushrooms",
    "files_of",
    "gaussian_design",
    "gaussian_parameters",
    "load",
    "load_breast_cancer",
    "load_digits",
    "load_libsvm",
    "load_table",
]


def load_breast_cancer() -> Dataset:
    """breast_cancer, which comes with scikit-learn: 569 tumours, 30 measurements on very unequal scales.

    X is dense, y = +1 for benign and -1 for malignant.
    """
    bunch = sklearn_datasets.load_breast_cancer()
    raw = Dataset("breast_cancer", bunch.data, bunch.target, tuple(map(str, bunch.feature_names)))
    return replace(raw, y=raw.signs())


DATASETS: dict[str, Callable[..., Dataset]] = {
    "a9a": fetch_a9a,
    "a9a.t": partial(fetch_a9a, "test"),
    "breast_cancer": load_breast_cancer,
    "cifar10": fetch_cifar10,
    "cifar10.t": partial(fetch_cifar10, "test"),
    "digits": load_digits,
    "gaussian": gaussian_design,
    "mnist": fetch_mnist,
    "mnist.t": partial(fetch_mnist, "test"),
    "mushrooms": fetch_mushrooms,
}


def load(
    name_or_path: str | os.PathLike[str], *, target: str | None = None, n_features: int | None = None
) -> Dataset:
    """Load a data set of ``DATASETS`` by its name, or a file by its path.

    Parameters
    ----------
    name_or_path : str or path
        A registered name comes first: write ``./a9a`` for a file of that name here. A file is a table or
        LIBSVM, as its suffix says or else its first lines.
    target
        For a table, see `load_table`.
    n_features
        For a LIBSVM file, see `load_libsvm`.

    Raises
    ------
    FileNotFoundError
        For neither a name nor a file; `DataNotFoundError` for a name whose file is not to be had.
    ValueError
        For an option of another kind of data, and whatever the reader itself refuses.
    """
    name = os.fspath(name_or_path)
    if name in DATASETS:
        if target is not None or n_features is not None:
            raise ValueError(f"target and n_features are for files. Got them for the data set {name!r}.")
        return DATASETS[name]()
    check_there(name)
    if holds_table(name):
        if n_features is not None:
            raise ValueError(f"n_features is for LIBSVM files. Got it for {name}.")
        return load_table(name, target)
    if target is not None:
        raise ValueError(f"target names a column of a table. Got {target!r} for {name}, a LIBSVM file.")
    return load_libsvm(name, n_features)


def check_there(name: str) -> None:
    """Refuse what is neither a data set nor a file, with the nearest that is."""
    if name == "-" or name in DATASETS or Path(name).exists() or "://" in name:
        return
    folder = Path(name).parent
    files = [str(folder / path.name) for path in folder.iterdir()] if folder.is_dir() else []
    near = get_close_matches(name, [*DATASETS, *files], 1)
    advice = f": did you mean {near[0]}?" if near else f" or one of {', '.join(DATASETS)}."
    raise FileNotFoundError(f"Data must be a file{advice} Got {name!r}.")
