"""What every loader returns: a matrix, a target and their names."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from gdnp._typing import FloatArray


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named design matrix with its target.

    Attributes
    ----------
    name : str
        A registered name, or the name of the file.
    X : ndarray or CSR matrix of shape (n, d)
        float64, float32 for MNIST and CIFAR-10; one row an observation.
    y : ndarray of shape (n,)
        {-1, +1} for the registered sets of two classes, 0 to 9 for those of images; for a file the labels or
        numbers as they stand there.
    feature_names : tuple of str, optional
        d names, where the source has them.
    """

    name: str
    X: FloatArray | NDArray[np.float32] | csr_matrix
    y: NDArray[np.float64 | np.bool_ | np.str_]
    feature_names: tuple[str, ...] | None = None

    def signs(self) -> FloatArray:
        """Target as {-1, +1}, shape (n,), the larger of the two labels in sorted order being +1.

        Raises
        ------
        ValueError
            When there are not exactly two classes.
        """
        labels = np.unique(self.y)
        if len(labels) != 2:
            shown = ", ".join(map(str, labels[:5])) + (", ..." if len(labels) > 5 else "")
            raise ValueError(f"{self.name} should have exactly two classes. Got {len(labels)}: {shown}.")
        return np.where(self.y == labels[1], 1.0, -1.0)
