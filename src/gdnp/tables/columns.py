"""Raw columns as numbers: what each one holds is found, said and kept."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from gdnp._files import require
from gdnp.tables.dates import COMPACT, LOOK, DateParts, as_dates, format_of
from gdnp.tables.target import GAPS, as_numbers, column_of, is_text, marked, numbers_of, texts

USED = ("number", "date", "category")
"""Kinds of columns that numbers are made of."""
GAP, RARE = "(gap)", "(rare)"
MOST_LEVELS, RARE_ROWS, RARE_SHARE = 100, 10, 0.01
"""A level is rare in fewer rows than this, or than this share of a short table, or beyond so many levels."""
DATES = 19_000_101, 21_001_231
EXACT, LONG = 2**53, 16
"""float64 has every whole number up to this one, and those of fewer digits than that."""
ODD_WORDS, ODD_SHARE, MARKS_SHARE = 3, 0.2, 0.5
"""Numbers may have so many different words among them, or marks without a letter, in these shares of rows."""
DISTINCT = 0.5
"""Texts of which more than this share are different are no categories."""
IDENTIFIER = re.compile(r"(?i:(.*[^a-z])?(ids?|uuid|guid|rownames?|row ?names?|index))|.*[a-z](ID|Id)")


@dataclass(frozen=True)
class Column:
    """What a column holds: a kind that is used, or the word for why it is left out.

    `makes` counts the columns of numbers that it becomes, `format` is that of dates, `words` stand for gaps.
    """

    name: str
    kind: str
    note: str = ""
    gaps: int = 0
    format: str = ""
    makes: int = 0
    words: Sequence[str] = ()


def level(name: str, value: str) -> str:
    """The name of an indicator; scikit-learn has a word of its own for what is rare."""
    return f"{name} = {RARE if value == 'infrequent_sklearn' else value}"


class TableColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A data frame as numbers: numbers as they are, categories one by one, dates as days and parts.

    Gaps in numbers become the median, with an indicator; in categories they are a level. Levels that are
    rare are one, and levels that were not seen belong to it. Ids, free text, constants and copies are left
    out. What cannot be read in later rows is a gap, with a warning that counts it.

    Parameters
    ----------
    drop, keep, ids : sequence of str
        Columns to leave out, to take in whatever they look like, and that only name rows.
    category : sequence of str
        Columns of numbers that are codes.
    date_format : str, optional
        As for ``strptime``, where it would be guessed wrong.

    Attributes
    ----------
    columns_ : list of dict
        What was done with each column: the fields of ``Column``.
    transformer_ : ColumnTransformer

    Examples
    --------
    >>> import pandas
    >>> frame = pandas.DataFrame({"age": [31, None, 45, 28], "plan": ["a", "b", "a", "a"]})
    >>> TableColumns().fit(frame).get_feature_names_out().tolist()
    ['age', 'age: gap', 'plan = b']
    """

    def __init__(
        self,
        *,
        drop: Sequence[str] = (),
        keep: Sequence[str] = (),
        ids: Sequence[str] = (),
        category: Sequence[str] = (),
        date_format: str | None = None,
    ) -> None:
        self.drop = drop
        self.keep = keep
        self.ids = ids
        self.category = category
        self.date_format = date_format

    def fit(self, X: Any, y: Any = None) -> TableColumns:
        """Find what each column holds."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **_: Any) -> Any:
        """The same, and the numbers."""
        if not hasattr(X, "columns"):
            raise TypeError(
                f"TableColumns takes a data frame, whose columns have names. Got {type(X).__name__}."
            )
        asked = {
            what: {column_of(X.columns, name, f"--{option}") for name in getattr(self, what)}
            for what, option in (("drop", "drop"), ("keep", "keep"), ("ids", "id"), ("category", "category"))
        }
        found = [self._decided(name, X[name], asked) for name in X.columns]
        frame = _converted(X, [column for column in found if column.kind in USED])
        found = _without_copies(found, frame, asked["keep"])
        fewest = max(1, min(RARE_ROWS, int(RARE_SHARE * len(X))))
        found = [_unless_rare(column, frame, fewest) for column in found]
        groups = {kind: [column.name for column in found if column.kind == kind] for kind in USED}
        if not any(groups.values()):
            left = "; ".join(f"{column.name} ({column.kind})" for column in found[:8])
            raise ValueError(f"A table should have columns to predict from. Got {left}: --keep takes one in.")
        encoder = OneHotEncoder(
            drop="if_binary",
            handle_unknown="infrequent_if_exist",
            min_frequency=fewest,
            max_categories=MOST_LEVELS,
            feature_name_combiner=level,
        )
        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        steps = zip(USED, (imputer, DateParts(), encoder), strict=True)
        self.transformer_ = ColumnTransformer(
            [(kind, step, groups[kind]) for kind, step in steps if groups[kind]],
            verbose_feature_names_out=False,
        )
        made = _ordered(self.transformer_.fit_transform(frame))
        makes = self._makes()
        self.columns_ = [asdict(replace(column, makes=makes.get(column.name, 0))) for column in found]
        return made

    def transform(self, X: Any) -> Any:
        """Numbers of the columns that are used, found by name: dense, or CSR where most are zero."""
        check_is_fitted(self, "transformer_")
        used = [Column(**column) for column in self.columns_ if column["kind"] in USED]
        missing = [column.name for column in used if column.name not in X.columns]
        if missing:
            more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
            listed = ", ".join(map(repr, missing[:8]))
            raise ValueError(f"The table should have the columns of the model. Missing: {listed}{more}.")
        encoder = self._step("category")
        levels = dict(zip(encoder.feature_names_in_, encoder.categories_, strict=True)) if encoder else {}
        with warnings.catch_warnings():  # of unknown levels, which are counted here
            warnings.filterwarnings("ignore", message="Found unknown categories", category=UserWarning)
            return _ordered(self.transformer_.transform(_converted(X, used, levels)))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """As "age", "age: gap", "plan = b", "signup: month = Mar"."""
        names = self.transformer_.get_feature_names_out()
        imputer = self._step("number")
        if imputer:
            at = self.transformer_.output_indices_["number"].start + len(imputer.statistics_)
            for k, column in enumerate(self._gaps(imputer)):
                names[at + k] = f"{column}: gap"
        return names

    def _step(self, kind: str) -> Any:
        return self.transformer_.named_transformers_.get(kind)

    def _gaps(self, imputer: Any) -> list[str]:
        found = [] if imputer.indicator_ is None else imputer.indicator_.features_
        return [imputer.feature_names_in_[k] for k in found]

    def _makes(self) -> dict[str, int]:
        """How many columns of numbers each column becomes."""
        found: dict[str, int] = {}
        imputer, dates, encoder = map(self._step, USED)
        if imputer:
            found |= dict.fromkeys(imputer.feature_names_in_, 1) | dict.fromkeys(self._gaps(imputer), 2)
        if dates:
            found |= {name: len(parts) for name, parts in dates.parts_}
        if encoder:
            rare = encoder.infrequent_categories_
            for k, name in enumerate(encoder.feature_names_in_):
                few = 0 if rare[k] is None else len(rare[k]) - 1
                found[name] = len(encoder.categories_[k]) - few - (encoder.drop_idx_[k] is not None)
        return found

    # --- what a column holds

    def _decided(self, name: str, values: Any, asked: Mapping[str, set[str]]) -> Column:
        """By its options, its type and its values."""
        kept = name in asked["keep"] or name in asked["category"]
        if name in asked["drop"] or (name in asked["ids"] and not kept):
            kind, note = ("dropped", "as asked for") if name in asked["drop"] else ("id", "names the rows")
            return Column(name, kind, note)
        pandas = require("pandas", "Reading a table")
        coded = isinstance(values.dtype, pandas.CategoricalDtype) or name in asked["category"]
        text = texts(values) if is_text(values) else values
        long = not coded and _too_long(text)
        typed = not (coded or long or is_text(values))
        text = values if typed else _levels_of(values)
        gaps = values.isna() if typed else text.isin(GAPS)
        known, count = text[~gaps], int(gaps.sum())
        if known.empty:
            return Column(name, "empty", "nothing but gaps", count)
        distinct = known.nunique()
        if distinct == 1 and not count and not kept:
            return Column(name, "constant", f"always {known.iloc[0]}")
        if pandas.api.types.is_datetime64_any_dtype(values) or pandas.api.types.infer_dtype(values) == "date":
            return Column(name, "date", "", count, "ISO8601")
        form = format_of(_levels_of(known), self.date_format) if self.date_format and not coded else None
        if form:
            return Column(name, "date", "as asked for", count, form)
        numbers = known if typed else as_numbers(known) if not (coded or long) and _some(known) else None
        if numbers is not None and (found := _numeric(name, known, numbers, count, kept or count > 0)):
            return found
        form = None if coded else format_of(known)
        if form:
            swapped = form.replace("%d/%m", "%m/%d")
            both = form != swapped and as_dates(known, swapped).notna().all()
            note = "day before month; if not, --date-format" if both else ""
            return Column(name, "date", note, count, form)
        if not kept and distinct > max(MOST_LEVELS / ODD_WORDS, DISTINCT * len(known)):
            kind = "free text" if known.iloc[:1000].str.count(r"\s").mean() > 1.0 else "id"
            return Column(name, kind, f"{distinct} different texts{_among(numbers)}", count)
        spelled = text[gaps & text.ne("")]
        level = f"{spelled.iloc[0]!r} is one (--missing makes it a gap)" if len(spelled) else ""
        distinct, count = distinct + spelled.nunique(), count - len(spelled)
        note = f"{distinct} level{'s' * (distinct > 1)}{_among(numbers)}"
        note += ", of more digits than a number holds" * long
        return Column(name, "category", ", ".join(filter(None, (note, level))), count)


def _some(known: Any) -> bool:
    """Whether text is worth reading as numbers: some of it is one, and none has zeros before it."""
    return not (as_numbers(known.iloc[:LOOK]).isna().all() or known.str.fullmatch(r"0\d+").any())


def _too_long(values: Any) -> bool:
    """Whether whole numbers have more digits than float64, so that different ones would be the same."""
    if values.dtype.kind in "iu":
        long = values[(values >= EXACT) | (values <= -EXACT)]
    elif not is_text(values) or values.iloc[:LOOK].str.len().max() < LONG:
        return False
    else:
        long = values[values.str.fullmatch(rf"[-+]?\d{{{LONG},}}").eq(True)]
    return bool(long.nunique() > long.astype(np.float64).nunique())


def _numeric(name: str, known: Any, numbers: Any, count: int, kept: bool) -> Column | None:
    """A column of numbers, with the words that are gaps among them; None for one of other words."""
    odd = known[numbers.isna()]
    words = odd.unique()
    share = ODD_SHARE if any(re.search(r"\w", word) for word in words) else MARKS_SHARE
    few = len(words) <= ODD_WORDS < numbers.nunique() and len(odd) < share * len(known)
    if len(words) > 0 and not few:
        return None
    whole = numbers.dtype.kind in "iuf" and (numbers == numbers.round()).all()
    if whole and numbers.is_unique and not kept and not len(words) and IDENTIFIER.fullmatch(name):
        return Column(name, "id", "another number in every row")
    said = [f"{' and '.join(map(repr, words))} read as gaps"] * bool(len(words))
    said += [] if known is numbers else marked(known)
    dates = whole and numbers.between(*DATES).all() and as_dates(_levels_of(numbers), COMPACT).notna().all()
    said += [f"--date-format {COMPACT} makes dates of it"] * bool(dates)
    return Column(name, "number", "; ".join(said), count + len(odd), words=tuple(map(str, words)))


def _among(numbers: Any) -> str:
    """How many of other words are numbers."""
    if numbers is None or not (count := int(numbers.notna().sum())):
        return ""
    return f", {count:,} of {len(numbers):,} rows are numbers (--missing takes words for gaps)"


def _levels_of(values: Any) -> Any:
    """A column as text; whole numbers without a point, as they are written."""
    types = require("pandas", "Reading a table").api.types
    if types.is_float_dtype(values) and bool((values.dropna() == values.dropna().round()).all()):
        values = values.astype("Int64")
    return texts(values)


def _converted(X: Any, used: Sequence[Column], levels: Mapping[str, Any] | None = None) -> Any:
    """The columns that are used in their types; with the levels that are known, what is new is counted."""
    made, said = {}, []
    for column in used:
        values, name = X[column.name], column.name
        if column.kind == "category":
            text = _levels_of(values)
            made[name] = text.where(text.ne(""), GAP).astype(object)
            unread = int((~made[name].isin(levels[name])).sum()) if levels is not None else 0
            if unread:
                said.append(f"{name}: {_several(unread, 'row')} with a level that was not seen before")
            continue
        text = texts(values) if is_text(values) else None
        if column.kind == "date":
            digits = _levels_of(values) if values.dtype.kind in "iuf" else values
            made[name] = as_dates(digits if text is None else text, column.format)
        else:
            made[name] = numbers_of(values if text is None else text)
        if column.kind == "number" and np.isinf(made[name]).any():
            at = int(np.flatnonzero(np.isinf(made[name]))[0])
            row = 1 + (int(X.index[at]) if X.index.dtype.kind in "iu" else at)
            raise ValueError(f"{name!r} should be finite. Got infinity in row {row}: --drop leaves it out.")
        if levels is not None:
            gaps = values.isna() if text is None else text.isin((*GAPS, *column.words))
            unread = int(np.isnan(made[name]).sum() if column.kind == "number" else made[name].isna().sum())
            if unread > gaps.sum():
                count = _several(unread - int(gaps.sum()), "value")
                said.append(f"{name}: {count} taken for a gap, being no {column.kind}")
            if gaps.any() and not column.gaps:
                count = _several(int(gaps.sum()), "gap")
                said.append(f"{name}: {count}, where the model has seen none, made the median")
    if said:
        warnings.warn(f"{'; '.join(said)}.", UserWarning, stacklevel=3)
    return require("pandas", "Reading a table").DataFrame(made, index=X.index)


def _several(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _without_copies(found: Sequence[Column], frame: Any, keep: set[str]) -> list[Column]:
    """Of columns that hold the same, by other names for it too, the first is used."""
    first: dict[bytes, str] = {}
    kept = []
    for column in found:
        if column.kind in USED and column.name not in keep:
            values = frame[column.name]
            same = values.factorize()[0] if column.kind == "category" else values.to_numpy()
            original = first.setdefault(same.tobytes() + column.kind.encode(), column.name)
            if original != column.name:
                column = Column(column.name, "copy", f"says the same as {original!r}")
        kept.append(column)
    return kept


def _unless_rare(column: Column, frame: Any, fewest: int) -> Column:
    """A category without a level in `fewest` rows would be one level in every row: it is left out."""
    if column.kind != "category" or frame[column.name].value_counts().max() >= fewest:
        return column
    note = f"none of its {column.note} is in {fewest} rows, so they would all be one"
    return Column(column.name, "rare", note, column.gaps)


def _ordered(X: Any) -> Any:
    return csr_matrix(X) if issparse(X) else np.ascontiguousarray(X, dtype=np.float64)
