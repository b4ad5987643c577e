"""Two classes as signs, whatever their labels are."""

import numpy as np
import pytest

from gdnp.datasets import Dataset


@pytest.mark.parametrize(
    "labels", [[1.0, 2.0, 1.0], [-1.0, 1.0, -1.0], [False, True, False], ["a", "b", "a"]]
)
def test_signs(labels):
    np.testing.assert_array_equal(Dataset("d", np.ones((3, 1)), np.array(labels)).signs(), [-1.0, 1.0, -1.0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.0, 1.0], "d should have exactly two classes. Got 1: 1.0.$"),
        (["a", "b", "c"], "Got 3: a, b, c.$"),
        (np.arange(9.0), r"Got 9: 0.0, 1.0, 2.0, 3.0, 4.0, ...\.$"),
    ],
)
def test_signs_needs_two_classes(labels, message):
    with pytest.raises(ValueError, match=message):
        Dataset("d", np.ones((len(labels), 1)), np.array(labels)).signs()
