"""Dates as numbers: days on a line, parts that vary, gaps that are known as such."""

import numpy as np
import pandas
from numpy.testing import assert_array_equal

from gdnp.tables import DateParts


def parts(dates):
    frame = pandas.DataFrame({"d": pandas.to_datetime(dates)})
    made = DateParts().fit(frame)
    return made, pandas.DataFrame(made.transform(frame), columns=made.get_feature_names_out())


def test_days_month_weekday_and_hour():
    """The epoch was a Thursday."""
    _, X = parts(["1970-01-01 00:00", "1970-02-03 12:30"])
    assert X.columns.tolist() == [
        "d: days since 1970",
        "d: month = Jan",
        "d: month = Feb",
        "d: weekday = Tue",
        "d: weekday = Thu",
        "d: hour",
    ]
    assert_array_equal(X.to_numpy(), [[0, 1, 0, 0, 1, 0], [33 + 12.5 / 24, 0, 1, 1, 0, 12.5]])


def test_parts_that_never_vary_make_no_column():
    _, X = parts(["2024-01-01", "2024-01-08", "2024-01-15"])  # Mondays of one month
    assert X.columns.tolist() == ["d: days since 1970"]
    assert_array_equal(np.diff(X["d: days since 1970"]), [7.0, 7.0])


def test_a_gap_is_in_the_middle_and_marked():
    _, X = parts(["2024-01-01", None, "2024-01-09"])
    assert_array_equal(X["d: gap"], [0.0, 1.0, 0.0])
    assert X["d: days since 1970"][1] == X["d: days since 1970"][[0, 2]].mean()
    assert X.loc[1, X.columns.str.contains("weekday")].sum() == 0.0


def test_parts_that_were_not_seen_have_no_column():
    made, X = parts(["2024-01-01", "2024-02-08"])
    later = made.transform(pandas.DataFrame({"d": pandas.to_datetime(["2025-07-04", None])}))
    assert later.shape == (2, X.shape[1])
    assert_array_equal(later[:, 1:], 0.0)
    assert later[1, 0] == X["d: days since 1970"].mean()
