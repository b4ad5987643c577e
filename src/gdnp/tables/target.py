"""The column that is to be predicted: found by name or number, taken as it is written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._files import require
from gdnp._typing import FloatArray
from gdnp.tables.dates import format_of
from gdnp.tables.reading import Table

GAPS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "none", "NaT")
MARKED = r"[$€£]?\s?[-+]?\d{1,3}(?:[, \u00a0\u202f'’]?\d{3})*(?:\.\d+)?\s?[%€$£]?"
"""A number with marks of money, per cent or thousands."""
TRUTH = {"true": 1.0, "false": 0.0}
MANY, SHARE = 20, 0.5
"""Among at least so many rows, labels of which more than this share differ are no classes."""
MOST_CLASSES = 20
"""Whole numbers are labels where at most this many differ, and each stands in two rows on average."""


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be predicted, of the rows that have it.

    Attributes
    ----------
    name : str
    labels : ndarray of shape (n,)
        Text as written, a whole number as it is written most; numbers and booleans of files that have types.
    numbers : ndarray of shape (n,) or None
        The same as float64, where all of it is numbers.
    rows : ndarray of shape (rows of the table,)
        Which have a target.
    notes : tuple of str
    """

    name: str
    labels: NDArray[Any]
    numbers: FloatArray | None
    rows: NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def column_of(columns: Sequence[str], given: str, option: str = "--target", table: str = "") -> str:
    """Which of `columns` is `given`, by name or number from 1; else `option` of `table` is refused."""
    names, where = list(columns), f" of {table}" if table else ""
    if given in names:
        return given
    if given.isdigit():
        if 0 < int(given) <= len(names):
            return names[int(given) - 1]
        raise ValueError(
            f"{option} must name a column{where}, or count it: it counts from 1 to {len(names)}. Got {given}."
        )
    lower = {name.lower(): name for name in names}
    near = get_close_matches(given.lower(), lower, 1, 0.5)
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    advice = f" Did you mean {lower[near[0]]!r}?" if near else ""
    expected = f"{option} must name a column{where}, one of {listed}, or count it."
    raise ValueError(f"{expected} Got {given!r}.{advice}")


def taken(table: Table, given: str | None = None) -> Target:
    """The column `given` of a table, by default its last, as target; rows without it are left out.

    Raises
    ------
    ValueError
        For a column that is not there, that is no label or number, or that has none.
    """
    frame = table.frame
    if frame.shape[1] < 2:
        raise ValueError(
            f"{table.name} should have a target and at least one feature. Got {frame.shape[1]} column: "
            "--sep says what keeps columns apart."
        )
    rest = [name for name in frame.columns if name not in table.row_names] or frame.columns
    name = rest[-1] if given is None else column_of(frame.columns, given, table=table.name)
    values, notes = frame[name], []
    if given is None:
        notes.append(f"the target is the last column, {name!r} (--target names another)")
    types = require("pandas", "Reading a table").api.types
    if isinstance(values.dtype, require("pandas", "").CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    dates = types.is_datetime64_any_dtype(values)
    if types.is_bool_dtype(values) or types.is_numeric_dtype(values):
        rows = values.notna().to_numpy()
        labels = np.array(values[rows].tolist())  # without pandas' own types
        numbers: FloatArray | None = labels.astype(np.float64)
    else:
        text = texts(values)
        found = as_numbers(text)
        empty = text.eq("")
        spelled = text.isin(GAPS) & ~empty
        if spelled.any() and found[~empty & ~spelled].notna().all():
            empty |= spelled
        elif spelled.any():
            count, word = int(spelled.sum()), text[spelled].iloc[0]
            notes.append(f"{word!r} is a label ({count} rows); --missing {word} makes it a gap")
        rows = ~empty.to_numpy()
        labels = text[rows].to_numpy(dtype=object).astype(np.str_)
        numbers = found[rows].to_numpy(dtype=np.float64) if found[rows].notna().all() else None
        if numbers is None:
            dates = dates or bool(format_of(text[rows]))
            notes += _cases(labels)
            truth = text[rows].str.lower().map(TRUTH)
            numbers = truth.to_numpy(dtype=np.float64) if truth.notna().all() else None
        elif (numbers == np.floor(numbers)).all() and text[rows].nunique() > found[rows].nunique():
            labels, said = _merged(text[rows])
            notes += said
        notes += [] if numbers is None else marked(text)
    if dates:
        raise ValueError(
            f"The target of {table.name} must be numbers or labels. Got dates in {name!r}: --target names "
            "another column."
        )
    left = int((~rows).sum())
    if left:
        notes.append(f"{left:,} of {len(rows):,} rows have no {name!r} and are left out")
    if not rows.any():
        raise ValueError(f"The target {name!r} of {table.name} should have values. Got nothing but gaps.")
    if numbers is not None and not np.isfinite(numbers).all():
        row = int(np.flatnonzero(rows)[np.flatnonzero(~np.isfinite(numbers))[0]]) + 1
        raise ValueError(f"The target {name!r} of {table.name} should be finite. Got infinity in row {row}.")
    if len(table.frame) > 1:
        varied(labels, f"The target {name!r} of {table.name}", numbers is None)
    return Target(name, labels, numbers, rows, tuple(notes))


def varied(labels: NDArray[Any], what: str, words: bool = False) -> None:
    """Refuse a target that is the same in every row, or `words` that differ in most."""
    if (labels == labels[0]).all():
        raise constant_target(what, labels[0])
    count = len(np.unique(labels)) if words else 0
    if len(labels) >= MANY and count > SHARE * len(labels):
        raise ValueError(
            f"{what} should have labels that come again. Got {count:,} different ones in {len(labels):,} "
            f"rows, as {str(labels[0])!r}: --target names another column."
        )


def constant_target(what: str, value: Any) -> ValueError:
    """What is said of a target that is the same in every row."""
    said = f"Got {str(value)!r} in every row: --target names another column."
    return ValueError(f"{what} should have at least two values. {said}")


def marked(text: Any) -> list[str]:
    """A note on numbers whose marks of money, per cent or thousands are taken off."""
    other = text[require("pandas", "Reading a table").to_numeric(text, errors="coerce").isna()]
    with_marks = other[other.str.fullmatch(MARKED)]
    return [] if with_marks.empty else [f"numbers are read without their marks, as {with_marks.iloc[0]!r}"]


def _merged(text: Any) -> tuple[NDArray[Any], list[str]]:
    """Labels that are whole numbers, each in its commonest spelling, and what was merged."""
    first: dict[Any, str] = {}
    spelled: dict[str, list[str]] = {}
    counts = text.value_counts().sort_index()
    for word in counts.sort_values(ascending=False, kind="stable").index:
        spelled.setdefault(first.setdefault(_exactly(word), word), []).append(word)
    text = text.replace({word: kept for kept, words in spelled.items() for word in words[1:]})
    several = [words[:4] for words in spelled.values() if len(words) > 1]
    notes = [f"{' and '.join(map(repr, words))} are one number: {words[0]!r}" for words in several[:4]]
    return text.to_numpy(dtype=object).astype(np.str_), notes


def _exactly(word: str) -> Decimal | str:
    """A number with more digits than float64 has, without marks; with zeros before it, it is a code."""
    if re.fullmatch(r"0\d+", word):
        return word
    try:
        return Decimal(word)
    except InvalidOperation:
        return Decimal(re.sub(r"[^\d.+-]", "", word))


def _cases(labels: NDArray[Any]) -> list[str]:
    """A note where labels differ by case only."""
    words: dict[str, list[str]] = {}
    for label in np.unique(labels):
        words.setdefault(label.casefold(), []).append(str(label))
    same = [" and ".join(map(repr, each)) for each in words.values() if len(each) > 1]
    return [f"labels differ by case only, and are not merged: {'; '.join(same[:4])}"] * bool(same)


def task_of(target: Target) -> tuple[str, str]:
    """What a target looks like, and why."""
    different = np.unique(target.labels)
    count, numbers = len(different), target.numbers
    if numbers is None:
        return "classification", "the target holds words"
    if str(different[0]).lower() in TRUTH:
        return "classification", "the target is true or false"
    if (numbers != np.floor(numbers)).any():
        return "regression", "the target holds numbers with fractions"
    if count <= min(MOST_CLASSES, len(numbers) / 2):
        return "classification", f"the target holds {count} different whole numbers"
    return "regression", f"the target holds {count} different numbers in {len(numbers)} rows"


def as_numbers(text: Any) -> Any:
    """Text as float64, with NaN where it is no number; marks of money and of thousands are taken off."""
    to_numeric = require("pandas", "Reading a table").to_numeric
    found = to_numeric(text, errors="coerce").astype(np.float64)
    other = text[found.isna()]
    if len(other) and (marked := other.str.fullmatch(MARKED)).any():
        plain = other[marked].str.replace(r"[^\d.+-]", "", regex=True)
        found = found.fillna(to_numeric(plain, errors="coerce"))
    return found


def texts(values: Any) -> Any:
    """Text without blanks around it; a gap is empty."""
    if values.dtype == "str":
        return values.fillna("").str.strip()
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def numbers_of(values: Any) -> FloatArray:
    """A column of any type, or an array, as float64; NaN for what is no number, 1 for true."""
    values = require("pandas", "Reading a table").Series(values)
    if values.dtype.kind == "m":
        return np.asarray(values.dt.total_seconds() / 86_400.0)
    if is_text(values):
        text = texts(values)
        return np.asarray(as_numbers(text).fillna(text.str.lower().map(TRUTH)))
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))


def is_text(values: Any) -> bool:
    """Whether a column has no type of its own: text, and objects."""
    types = require("pandas", "Reading a table").api.types
    return bool(types.is_string_dtype(values) or types.is_object_dtype(values))
