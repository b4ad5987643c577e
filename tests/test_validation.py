"""Targets, weights and numbers that users give: what is taken, and the sentence for what is not."""

import numpy as np
import pytest

from gdnp.losses import LOSSES
from gdnp.validation import checked_count, checked_flag, checked_number, checked_targets, checked_weights

SQUARED, LOG = LOSSES["squared_error"], LOSSES["log_loss"]
SIGNS = np.array([1.0, -1.0, 1.0])


@pytest.mark.parametrize("y", [[1, -1, 1], np.array([1, -1, 1], dtype=np.int8), SIGNS])
def test_targets_are_float64_and_not_copied_where_they_are(y):
    found = checked_targets(y, 3, LOG)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, SIGNS)
    assert (found is y) == (y is SIGNS)


@pytest.mark.parametrize(
    ("y", "loss", "message"),
    [
        ([1.0, 2.0], SQUARED, r"one entry per row of X, shape \(3,\)\. Got shape \(2,\)"),
        ([[1.0], [2.0], [3.0]], SQUARED, r"Got shape \(3, 1\)"),
        (["a", "b", "a"], SQUARED, "must hold numbers.*convert them first"),
        ([1.0, np.nan, 1.0], SQUARED, "y must be finite. Got NaN or infinity"),
        ([1.0, -np.inf, 1.0], SQUARED, "y must be finite"),
        ([0, 1, 2], LOG, r"two labels for log_loss\. Got 3: 0.0, 1.0, 2.0; keep two"),
        ([7, 7, 7], LOG, r"two labels for log_loss\. Got 1: 7.0; keep two"),
        (["a", "b", "c"], LOG, r"two labels for log_loss\. Got 3: a, b, c; keep two"),
        ([0.0, np.nan, 1.0], LOG, "y must be finite"),
        (np.array(["a", 1, 1], dtype=object), LOG, "labels of one kind for log_loss.*make them all text"),
    ],
)
def test_targets_that_are_refused(y, loss, message):
    with pytest.raises(ValueError, match=message):
        checked_targets(y, 3, loss)


@pytest.mark.parametrize(
    "labels", [(0, 1), (1.0, 2.0), ("no", "yes"), (False, True), (-1, 1), (-1.0, 7.5)], ids=str
)
def test_any_two_labels_are_signs(labels):
    targets = checked_targets([labels[0], labels[1], labels[1]], 3, LOG)
    np.testing.assert_array_equal(targets, [-1.0, 1.0, 1.0])
    assert targets.dtype == np.float64


@pytest.mark.parametrize("value", ["False", 0, 1.0, None], ids=repr)
def test_a_flag_is_true_or_false(value):
    assert checked_flag("center", np.True_) is True
    with pytest.raises(ValueError, match=rf"center must be True or False. Got {value!r}; pass one"):
        checked_flag("center", value)


def test_weights_add_up_to_one():
    assert checked_weights(None, SIGNS, LOG) is None
    np.testing.assert_array_equal(checked_weights([1, 0, 3], np.ones(3), SQUARED), [0.25, 0.0, 0.75])
    given = np.array([1.0, 2.0, 1.0])
    checked_weights(given, SIGNS, LOG)
    np.testing.assert_array_equal(given, [1.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (["a", "b", "c"], r"must hold numbers\. Got \['a', 'b', 'c'\]"),
        ([1.0, 1.0], r"one entry per row, \(3,\)\. Got shape \(2,\)"),
        ([1.0, -1.0, 1.0], "Got minimum -1 and sum 1"),
        ([0.0, 0.0, 0.0], "positive sum. Got minimum 0 and sum 0"),
        ([1.0, np.nan, 1.0], "must be finite and non-negative"),
        ([1e308, 1e308, 1e308], "and sum inf"),
        ([1.0, 0.0, 1.0], "rows of both classes for log_loss. Got 1 alone"),  # the other has no weight
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in reduce:RuntimeWarning")
def test_weights_that_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        checked_weights(weight, SIGNS, LOG)


def test_one_class_is_enough_for_a_regression():
    assert checked_weights(None, np.ones(3), SQUARED) is None
    with pytest.raises(ValueError, match="Got -1 alone"):
        checked_weights(None, -np.ones(3), LOG)


@pytest.mark.parametrize("value", [0, 0.0, 1, np.float32(2.5), np.int64(3)])
def test_numbers(value):
    found = checked_number("alpha", value)
    assert type(found) is float
    assert found == value


@pytest.mark.parametrize("value", [-1, -1e-300, np.nan, np.inf, "1", None, 1j, [1.0]])
def test_numbers_that_are_refused(value):
    with pytest.raises(ValueError, match=r"alpha must be finite and non-negative\. Got "):
        checked_number("alpha", value)


def test_zero_is_not_positive():
    assert checked_number("step", 5e-324, positive=True) > 0.0
    with pytest.raises(ValueError, match=r"step must be finite and positive\. Got 0"):
        checked_number("step", 0, positive=True)


def test_counts():
    assert checked_count("max_iter", np.int32(7)) == 7
    assert type(checked_count("max_iter", np.int32(7))) is int
    assert checked_count("n", 2, least=2) == 2


@pytest.mark.parametrize("value", [1, True, 2.0, "3", None, np.float64(5.0)])
def test_counts_that_are_refused(value):
    with pytest.raises(ValueError, match=r"n must be a whole number of at least 2\. Got "):
        checked_count("n", value, least=2)


def test_a_truth_value_is_no_count():
    with pytest.raises(ValueError, match="Got True"):
        checked_count("n", True)
