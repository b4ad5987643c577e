"""Raw columns as numbers: what each kind becomes, what is left out, and what later rows may bring."""

import datetime
import warnings

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from gdnp.tables import TableColumns

N = 40


def made(frame, **options):
    columns = TableColumns(**options)
    X = columns.fit_transform(pandas.DataFrame(frame))
    X = X.toarray() if hasattr(X, "toarray") else X
    return columns, pandas.DataFrame(X, columns=columns.get_feature_names_out())


def kinds(columns):
    return {column["name"]: column["kind"] for column in columns.columns_}


def notes(columns):
    return {column["name"]: column["note"] for column in columns.columns_}


def test_numbers_stay_as_they_are(rng):
    values = rng.standard_normal(N) * 1e6
    _, X = made({"typed": values, "text": [str(v + 1.0) for v in values], "n": range(N), "b": values > 0})
    assert_array_equal(X["typed"], values)
    assert_array_equal(X["text"], values + 1.0)
    assert_array_equal(X["n"], range(N))
    assert_array_equal(X["b"], values > 0)


def test_gaps_in_numbers_are_the_median_with_an_indicator():
    columns, X = made({"a": ["1", "NA", "3", "8", ""], "full": [1.0, 2.0, 3.0, 4.0, 6.0]})
    assert X.columns.tolist() == ["a", "full", "a: gap"]
    assert X["a"].tolist() == [1.0, 3.0, 3.0, 8.0, 3.0]
    assert X["a: gap"].tolist() == [0.0, 1.0, 0.0, 0.0, 1.0]
    assert columns.columns_[0]["gaps"] == 2
    assert [column["makes"] for column in columns.columns_] == [2, 1]


def test_categories_are_indicators_and_a_gap_is_a_level():
    columns, X = made({"plan": ["a", "b", "c", ""] * 10, "two": ["yes", "no"] * 20})
    assert X.columns.tolist() == ["plan = (gap)", "plan = a", "plan = b", "plan = c", "two = yes"]
    assert_array_equal(X.iloc[:4, :4], np.eye(4)[[1, 2, 3, 0]])
    assert_array_equal(X["two = yes"], [1.0, 0.0] * 20)
    assert [column["makes"] for column in columns.columns_] == [4, 1]


def test_rare_levels_are_one_and_new_ones_belong_to_it():
    values = ["often"] * 600 + ["also"] * 500 + ["once", "twice", "twice", "thrice"]
    columns, X = made({"v": values})
    assert X.columns.tolist() == ["v = also", "v = often", "v = (rare)"]
    assert X["v = (rare)"].sum() == 4
    with pytest.warns(UserWarning, match=r"v: 1 row with a level that was not seen before"):
        later = columns.transform(pandas.DataFrame({"v": ["new", "once", "often"]}))
    assert_array_equal(
        later.toarray() if hasattr(later, "toarray") else later, [[0, 0, 1], [0, 0, 1], [0, 1, 0]]
    )


def test_a_level_that_was_not_seen_is_none_where_no_level_is_rare():
    columns, _ = made({"v": ["a", "b", "c"] * 10})
    with pytest.warns(UserWarning, match="not seen before"):
        later = columns.transform(pandas.DataFrame({"v": ["new"]}))
    assert_array_equal(later.toarray() if hasattr(later, "toarray") else later, [[0.0, 0.0, 0.0]])


def test_codes_with_leading_zeros_and_categories_of_numbers_are_no_numbers():
    codes = [10115, 10117, 20095] * 10
    columns, X = made(
        {"zip": codes, "c": pandas.Categorical(codes), "z": ["01", "02", "07"] * 10}, category=["zip"]
    )
    assert kinds(columns) == {"zip": "category", "c": "copy", "z": "copy"}
    assert notes(columns)["c"] == "says the same as 'zip'"
    assert X.columns.tolist() == ["zip = 10115", "zip = 10117", "zip = 20095"]
    assert_array_equal(columns.transform(pandas.DataFrame({"zip": ["10117"]})), [[0, 1, 0]])


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["2024-01-31", "2024-02-01"], "ISO8601"),
        (["2024-01-31T10:00:00", "2024-02-01 11:30"], "ISO8601"),
        (["31.01.2024", "01.02.2024"], "%d.%m.%Y"),
        (["31/01/2024 10:00", "01/02/2024 11:30"], "%d/%m/%Y %H:%M"),
        (["01/31/2024", "02/01/2024"], "%m/%d/%Y"),
        (["Jan 31, 2024", "Feb 01, 2024"], "%b %d, %Y"),
        (["31 January 2024", "1 February 2024"], "%d %B %Y"),
        (["31/01/24", "01/02/24"], "%d/%m/%y"),
        (["01/31/2024 11:05 PM", "02/01/2024 11:10 PM"], "%m/%d/%Y %I:%M %p"),
    ],
)
def test_dates_in_text(values, form):
    columns, X = made({"d": values * 10})
    assert columns.columns_[0]["kind"] == "date"
    assert columns.columns_[0]["format"] == form
    days = X["d: days since 1970"][:2] // 1
    assert (days - days[0]).tolist() == [0.0, 1.0]


def test_dates_that_can_be_read_in_two_ways_are_said_and_overruled():
    frame = {"d": ["01/02/2024", "03/02/2024"] * 10}
    columns, X = made(frame)
    assert notes(columns)["d"] == "day before month; if not, --date-format"
    assert np.ptp(X["d: days since 1970"]) == 2.0
    _, X = made(frame, date_format="%m/%d/%Y")
    assert np.ptp(X["d: days since 1970"]) == 60.0


@pytest.mark.parametrize("kind", [str, int, float])
def test_dates_that_are_whole_numbers_are_told_and_made_when_asked_for(kind):
    frame = {"d": [kind(day) if kind is str else kind(int(day)) for day in ("20240131", "20240201") * 10]}
    columns, _ = made(frame)
    assert (kinds(columns), notes(columns)) == (
        {"d": "number"},
        {"d": "--date-format %Y%m%d makes dates of it"},
    )
    columns, X = made(frame, date_format="%Y%m%d")
    assert kinds(columns) == {"d": "date"}
    assert np.ptp(X["d: days since 1970"]) == 1.0
    assert notes(made({"d": ["20241331", "20240201"] * 10})[0]) == {"d": ""}


def test_dates_with_types(rng):
    zone = pandas.date_range("2024-01-01", periods=3, tz="Europe/Berlin")
    frame = {"a": [datetime.date(2024, 1, 1), datetime.date(2024, 3, 1), None], "z": zone}
    columns, X = made(frame | {"t": pandas.to_timedelta([1, 2, 4], unit="D")})
    assert kinds(columns) == {"a": "date", "z": "date", "t": "number"}
    assert np.diff(X["z: days since 1970"]).tolist() == [1.0, 1.0]
    assert X["t"].tolist() == [1.0, 2.0, 4.0]


def test_what_says_nothing_is_left_out_with_the_reason(rng):
    frame = {
        "id": range(N),
        "customerID": [f"{k:04d}-X" for k in rng.permutation(N)],
        "mail": [f"u{k}@x.org" for k in range(N)],
        "note": [f"called on day {k} about it" for k in range(N)],
        "currency": ["EUR"] * N,
        "nothing": [None] * N,
        "x": rng.standard_normal(N),
    }
    frame["again"] = [str(v) for v in frame["x"]]
    columns, X = made(frame, drop=["mail"])
    assert kinds(columns) == {
        "id": "id",
        "customerID": "id",
        "mail": "dropped",
        "note": "free text",
        "currency": "constant",
        "nothing": "empty",
        "x": "number",
        "again": "copy",
    }
    assert notes(columns)["again"] == "says the same as 'x'"
    assert X.columns.tolist() == ["x"]
    columns, X = made(frame, keep=["id", "again"], ids=["x"])
    assert X.columns.tolist() == ["id", "again"]


@pytest.mark.parametrize("name", ["valid", "paid", "width", "humidity", "row", "year"])
def test_counting_alone_makes_no_id(name):
    assert kinds(made({name: range(N)})[0]) == {name: "number"}


def test_few_words_among_numbers_are_gaps_and_many_make_categories(rng):
    numbers = [f"{v:.3f}" for v in rng.standard_normal(N)]
    columns, X = made({"v": ["?", "-", *numbers[2:]]})
    assert kinds(columns) == {"v": "number"}
    assert notes(columns)["v"] == "'?' and '-' read as gaps"
    assert X["v: gap"].sum() == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        columns.transform(pandas.DataFrame({"v": ["?", "1.5"]}))
    assert kinds(made({"v": ["low", "1", "2", "3", "4"] * 8})[0]) == {"v": "category"}
    assert kinds(made({"v": ["-", "1", "2", "3", "4"] * 8})[0]) == {"v": "number"}
    assert kinds(made({"v": ["-", "-", "-", "-", "1", "2", "3", "4"] * 5})[0]) == {"v": "category"}


def test_later_rows_are_found_by_name_in_any_order_and_type(rng):
    frame = pandas.DataFrame(
        {
            "n": rng.standard_normal(N),
            "c": ["1", "2", "x", "3"] * 10,
            "d": pandas.date_range("2024-01-01", periods=N).astype(str),
        }
    )
    columns, X = made(frame)
    later = frame.assign(n=frame["n"].map(str), more=1, d=pandas.to_datetime(frame["d"]))[
        ["d", "more", "c", "n"]
    ]
    assert_allclose(columns.transform(later), X)
    only_numbers = frame[frame["c"] != "x"].assign(c=lambda f: f["c"].astype(int))
    assert_allclose(columns.transform(only_numbers), X[frame["c"] != "x"])
    with pytest.raises(ValueError, match=r"should have the columns of the model\. Missing: 'c', 'd'"):
        columns.transform(frame[["n"]])


def test_what_cannot_be_read_later_is_a_gap_and_counted(rng):
    columns, _ = made(
        {"n": rng.standard_normal(N), "d": pandas.date_range("2024-01-01", periods=N).astype(str)}
    )
    with pytest.warns(
        UserWarning,
        match=r"n: 1 value taken for a gap, being no number; d: 1 value taken for a gap, being no date",
    ):
        later = columns.transform(pandas.DataFrame({"n": ["x", "2"], "d": ["soon", "2024-01-02"]}))
    assert np.isfinite(later).all()


def test_gaps_that_were_not_seen_are_the_median_and_counted():
    columns, _ = made({"n": [1.0, 2.0, 4.0], "g": ["1", "", "3"]})
    with pytest.warns(UserWarning, match=r"^n: 2 gaps, where the model has seen none, made the median\.$"):
        later = columns.transform(pandas.DataFrame({"n": ["NA", "", "3"], "g": ["", "", "7"]}))
    assert_array_equal(later, [[2.0, 2.0, 1.0], [2.0, 2.0, 1.0], [3.0, 7.0, 0.0]])


def test_refusals():
    with pytest.raises(ValueError, match=r"Got a \(empty\); b \(constant\): --keep takes one in"):
        made({"a": [None, None], "b": [1, 1]})
    with pytest.raises(ValueError, match=r"'x' should be finite\. Got infinity in row 2"):
        made({"x": [1.0, np.inf, 3.0]})
    with pytest.raises(ValueError, match=r"infinity in row 1: --drop"):
        TableColumns().fit(pandas.DataFrame({"x": [np.inf, 1.0]}, index=["a", "b"]))
    with pytest.raises(TypeError, match=r"takes a data frame, .* Got ndarray"):
        TableColumns().fit(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"--drop must name a column, one of x, or count it\. Got 'y'"):
        made({"x": [1.0, 2.0]}, drop=["y"])


def test_it_is_an_estimator(rng):
    columns, _ = made({"x": rng.standard_normal(N), "c": ["a", "b"] * 20}, keep=["x"])
    assert clone(columns).keep == ["x"]
    assert sum(column["makes"] for column in columns.columns_) == len(columns.get_feature_names_out())
