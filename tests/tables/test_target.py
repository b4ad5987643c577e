"""The target: found by name or number, taken as written, with its task and the reason for it."""

import numpy as np
import pandas
import pytest

from gdnp.tables import Table, column_of, taken, task_of
from gdnp.tables.target import numbers_of


def target(values, name="y", **other):
    return taken(Table("t.csv", pandas.DataFrame({"x": range(len(values)), name: values, **other})), name)


def test_columns_by_name_and_number():
    names = ["age", "7", "Churned"]
    assert [column_of(names, given) for given in ("age", "7", "3", "1")] == ["age", "7", "Churned", "age"]
    with pytest.raises(ValueError, match=r"--drop must name a column, one of age, 7, Churned, or count"):
        column_of(names, "x", "--drop")
    for given in ("4", "0"):
        with pytest.raises(ValueError, match=f"count it: it counts from 1 to 3. Got {given}"):
            column_of(names, given, "--drop")
    with pytest.raises(ValueError, match=r"Got 'churn'\. Did you mean 'Churned'\?"):
        column_of(names, "churn")


@pytest.mark.parametrize(
    "written", [["01", "02"], ["01", "1"], ["1.0", "2"], ["NA", "EU"], ["1" * 18, "1" * 17 + "2"]]
)
def test_labels_are_as_written(written):
    assert target(written).labels.tolist() == written


@pytest.mark.parametrize(
    ("written", "labels", "note"),
    [
        (["1", "1.0", "0", "1"], ["1", "1", "0", "1"], "'1' and '1.0' are one number: '1'"),
        (["1.0", "1", "1.0", "0"], ["1.0", "1.0", "1.0", "0"], "'1.0' and '1' are one number: '1.0'"),
        (["+1", "1", "1", "-1"], ["1", "1", "1", "-1"], "'1' and '+1' are one number: '1'"),
        (["$1,000", "1000", "1000", "0"], ["1000"] * 3 + ["0"], "'1000' and '$1,000' are one number: '1000'"),
        (["0", "-0", "0", "5"], ["0", "0", "0", "5"], "'0' and '-0' are one number: '0'"),
    ],
)
def test_spellings_of_one_whole_number_are_one_label(written, labels, note):
    found = target(written)
    assert found.labels.tolist() == labels
    assert found.notes[0] == note
    assert "2 different" in task_of(found)[1]


def test_one_number_in_two_spellings_is_one_value():
    with pytest.raises(ValueError, match=r"should have at least two values\. Got '1' in every row: --target"):
        target(["1", "1.0"])


def test_labels_that_differ_by_case_are_kept_and_said():
    found = target(["yes", "Yes", "no", "no"])
    assert found.labels.tolist() == ["yes", "Yes", "no", "no"]
    assert found.notes == ("labels differ by case only, and are not merged: 'Yes' and 'yes'",)


def test_na_among_words_is_a_label_and_said():
    found = target(["NA", "EU", "AS", "NA", ""])
    assert found.labels.tolist() == ["NA", "EU", "AS", "NA"]
    assert found.notes == (
        "'NA' is a label (2 rows); --missing NA makes it a gap",
        "1 of 5 rows have no 'y' and are left out",
    )


def test_na_among_numbers_is_a_gap():
    found = target(["NA", "1.5", "", "2"])
    assert found.rows.tolist() == [False, True, False, True]
    assert found.numbers.tolist() == [1.5, 2.0]
    assert found.notes == ("2 of 4 rows have no 'y' and are left out",)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (pandas.Series([True, None, False], dtype="boolean"), [True, False]),
        (pandas.Series([1, None, 2**60], dtype="Int64"), [1, 2**60]),
        (pandas.Series([0.5, np.nan, 2.0]), [0.5, 2.0]),
        (pandas.Series(["a", None, "b"], dtype="category"), ["a", "b"]),
        (pandas.Series([7, 8, 7], dtype="category"), [7, 8, 7]),
    ],
)
def test_targets_with_types(values, labels):
    found = target(values)
    assert found.labels.tolist() == labels
    assert found.labels.dtype.kind in "bifU"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["", ""], "should have values. Got nothing but gaps"),
        (["1", "inf"], "should be finite. Got infinity in row 2"),
        (pandas.to_datetime(["2020-01-01", "2021-01-01"]), "must be numbers or labels. Got dates in 'y'"),
    ],
)
def test_targets_that_are_none(values, message):
    with pytest.raises(ValueError, match=message):
        target(values)


def test_a_table_needs_two_columns():
    with pytest.raises(ValueError, match=r"at least one feature\. Got 1 column: --sep says"):
        taken(Table("t.csv", pandas.DataFrame({"y": ["1"]})))


def test_the_last_column_is_the_target_and_said():
    found = taken(Table("t.csv", pandas.DataFrame({"x": ["1", "2"], "y": ["a", "b"]})))
    assert found.name == "y"
    assert found.notes == ("the target is the last column, 'y' (--target names another)",)


@pytest.mark.parametrize(
    ("values", "task", "why"),
    [
        (["a", "b"], "classification", "words"),
        ([True, False], "classification", "true or false"),
        (["true", "FALSE", "true"], "classification", "true or false"),
        (["False", "false", "true", "zebra"], "classification", "words"),
        (["1", "2", "3", "4", "5"] * 3, "classification", "5 different whole numbers"),
        ([str(k) for k in range(25)] * 9, "regression", "25 different numbers in 225 rows"),
        (["1.5", "2"], "regression", "fractions"),
    ],
)
def test_the_task_and_why(values, task, why):
    found, reason = task_of(target(values))
    assert found == task
    assert why in reason


def test_true_and_false_are_numbers_too():
    assert target(["true", "False", "true"]).numbers.tolist() == [1.0, 0.0, 1.0]
    assert target(["true", "False", "true"]).labels.tolist() == ["true", "False", "true"]


def test_numbers_with_marks():
    found = numbers_of(["1,234", "$3,400.5", "12 %", "-5", "1e3", "x", "1,23", "True"])
    np.testing.assert_array_equal(found, [1234.0, 3400.5, 12.0, -5.0, 1000.0, np.nan, np.nan, 1.0])
    assert numbers_of(pandas.Series(pandas.to_timedelta([36], unit="h"))).tolist() == [1.5]
