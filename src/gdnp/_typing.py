"""Names of array types that every module shares."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
