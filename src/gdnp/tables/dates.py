"""Dates as numbers: days on a line, and the parts of a date that a line cannot follow."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from gdnp._files import require
from gdnp._typing import FloatArray

IN_DIGITS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
IN_WORDS = ("%d %b %Y", "%b %d %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%b %Y")
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMATS = ("ISO8601", *(f"{day}{time}" for day in IN_DIGITS + IN_WORDS for time in TIMES))
COMPACT = "%Y%m%d"
"""Of dates that are whole numbers as well."""
LOOK = 50
"""Texts that decide whether a column is worth a closer look."""

PARTS = {
    "month": ("month", ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")),
    "weekday": ("day_of_week", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")),
}
"""What pandas calls a part, and the names of its values: month from 1, weekday from 0."""
DAY = 86_400e9


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Days since 1970, month and weekday as indicators, the hour, and an indicator of gaps.

    A part that never varies when fitted makes no column. A gap has the median day, no month and no weekday.

    Attributes
    ----------
    parts_ : list of (str, list of str)
        Each column of dates, and the parts that are made of it.
    medians_ : dict of str to float
        Days, where a gap is.
    """

    def fit(self, X: Any, y: Any = None) -> DateParts:
        """Find which parts vary in a data frame of dates, datetime64 without a time zone."""
        self.parts_, self.medians_ = [], {}
        for name in X.columns:
            known = X[name].dropna()
            values = {part: set(getattr(known.dt, attribute)) for part, (attribute, _) in PARTS.items()}
            parts = [
                f"{part} = {word}"
                for part, (_, words) in PARTS.items()
                for k, word in enumerate(words)
                if len(values[part]) > 1 and k + (part == "month") in values[part]
            ]
            hours = ["hour"] if known.dt.hour.nunique() > 1 else []
            gaps = ["gap"] if X[name].isna().any() else []
            self.parts_.append((name, ["days since 1970", *parts, *hours, *gaps]))
            self.medians_[name] = float(np.median(_days(known)))
        return self

    def transform(self, X: Any) -> FloatArray:
        """The columns that `get_feature_names_out` names, shape (n, columns)."""
        columns = []
        for name, parts in self.parts_:
            dates = X[name]
            found = {
                f"{part} = {word}": getattr(dates.dt, attribute) == k + (part == "month")
                for part, (attribute, words) in PARTS.items()
                for k, word in enumerate(words)
            }
            gap = dates.isna().to_numpy()
            found["hour"] = (dates.dt.hour + dates.dt.minute / 60.0).fillna(0.0)
            found["gap"] = gap
            found["days since 1970"] = np.where(gap, self.medians_[name], _days(dates))
            columns += [np.asarray(found[part], dtype=np.float64) for part in parts]
        return np.column_stack(columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """As "signup: month = Mar"."""
        return np.array([f"{name}: {part}" for name, parts in self.parts_ for part in parts], dtype=object)


def format_of(text: Any, given: str | None = None) -> str | None:
    """The first format, or `given`, in which all of a column are dates; what has no digits has none."""
    head = text.iloc[:LOOK]
    if not head.str.contains(r"\d").all():
        return None
    for form in [given] if given else FORMATS:
        if as_dates(head, form).notna().all() and as_dates(text, form).notna().all():
            return form
    return None


def as_dates(values: Any, form: str) -> Any:
    """datetime64 without a time zone; NaT for what is none."""
    found = require("pandas", "Reading a table").to_datetime(values, format=form, errors="coerce", utc=True)
    return found.dt.tz_localize(None)


def _days(dates: Any) -> FloatArray:
    return np.asarray(dates.to_numpy().astype("datetime64[ns]").astype(np.int64) / DAY)
