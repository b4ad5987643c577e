"""Files of tables: what packs them, and how a text is written, found by looking at it and said."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import os
import re
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdnp._files import existing_file, require

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", r"\s+": "blanks"}
"""What may keep fields apart, the likeliest first."""
PACKED: dict[bytes, tuple[Any, Any]] = {
    b"\x1f\x8b": (gzip.decompress, gzip.open),
    b"BZh": (bz2.decompress, bz2.open),
    b"\xfd7zXZ": (lzma.decompress, lzma.open),
}
OTHERS = {"xl/workbook.xml": "an Excel workbook: save the sheet as CSV"}
OTHERS |= {"schema.json": "a saved model, which gdnp show prints"}
"""Archives that hold something else, by a member of theirs."""
ARROW = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
)
"""What parsers raise on bytes that are not theirs (pandas' and Arrow's own derive from these)."""
SAMPLE, LINES = 1 << 18, 200
"""Bytes and lines that are looked at to find how a text is written."""
LIBSVM = re.compile(r"[^\s,;]+(\s+(qid:)?\d+:\S+)*\s*(#.*)?")
THOUSANDS = r"[-+]?\d{1,3}(\.\d{3})+"
COMMA = rf"([-+]?\d*|{THOUSANDS}),\d+([eE][-+]?\d+)?"
"""A number with a decimal comma, and perhaps points between thousands."""
WIDE = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
WIDE |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Encodings of several bytes a letter, by how a file begins."""
MARK = r"\s?[%€$£]?\s?"
"""What may stand beside a number."""
EXCEL = re.compile(r"sep=(.)\s*")
"""A first line that names the separator."""
STRANGERS = {
    re.compile(rb"\s*<(?:!DOCTYPE|(html|\?xml))", re.I): "HTML or XML: save it as CSV",
    re.compile(rb'\s*(\{\s*"|\[\s*[\[{])'): "JSON: save it as CSV or Parquet, say by pandas",
    re.compile(rb"\x93NUMPY"): "an array of NumPy: save it as CSV, or fit it with --memory",
}
"""What begins so is no table."""

QUOTED = "put fields that hold a separator in double quotes, or say with --sep what keeps fields apart"
UNQUOTED = 'close it, or write "" for a quote within quotes'


@dataclass(frozen=True)
class Reading:
    """How a text is written. What is None is found, and said.

    Attributes
    ----------
    separator : str, optional
        Between fields; a regular expression where it has more than one character.
    encoding : str, optional
    decimal : {".", ","}, optional
    header : bool, optional
        Whether the first line names the columns.
    missing : tuple of str
        What stands for a gap beside nothing, NA, NaN, null and the like.
    mark : {".", ","}, optional
        The decimal mark where the text does not tell: is 1,234 more than a thousand?
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] = ()
    mark: str | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """A data frame with names of text.

    Attributes
    ----------
    name : str
        What messages call it.
    frame : DataFrame
        Of text, as it is written but for decimal commas, or of the types that other files have.
    notes : tuple of str
        What had to be found out.
    row_names : tuple of str
        Columns that only name or number the rows.
    reading : Reading
        How later rows are written, where they do not tell: `missing` and `mark`.
    """

    name: str
    frame: Any
    notes: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()
    reading: Reading = Reading()

    def __post_init__(self) -> None:
        if self.frame.empty:
            raise ValueError(f"{self.name} should hold rows of data. Got a header and no rows.")


def read_table(source: str | os.PathLike[str], reading: Reading | None = None) -> Table:
    """Read CSV, TSV, Parquet or Arrow, packed by gzip, bzip2, xz or zip, or not at all.

    Parameters
    ----------
    source : str or path
        A file, or "-" for what comes on the standard input.
    reading : Reading, optional
        Overrules what would be found.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ImportError
        Without pandas, or without pyarrow where that is needed.
    ValueError
        For what is no table, in one sentence.
    """
    name = os.fspath(source)
    if re.match(r"\w{2,}://", name):
        raise ValueError(f"Data must be a file on this machine. Got the address {name}: download it first.")
    contents = sys.stdin.buffer.read() if name == "-" else existing_file(source).read_bytes()
    name = "standard input" if name == "-" else name
    contents = _unpacked(name, contents).removeprefix(codecs.BOM_UTF8)
    reading = reading or Reading()
    if contents.startswith(ARROW):
        return _from_arrow(name, contents, reading)
    if Path(name).suffix.lower() in (".parquet", ".pq", ".arrow", ".feather"):
        raise ValueError(f"{name} should be a Parquet or Arrow file. Got other bytes: is its name right?")
    for begins, what in STRANGERS.items():
        if begins.match(contents):
            raise ValueError(f"{name} should be a table. Got {what}.")
    return _from_text(name, contents, reading)


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether the file at `path` begins like a table, rather than with LIBSVM's "label index:value"."""
    with existing_file(path).open("rb") as opened:
        head = opened.read(SAMPLE)
    for magic, (_, open_) in PACKED.items():
        if head.startswith(magic):
            try:
                with open_(path) as opened:
                    head = opened.read(SAMPLE)
            except UNREADABLE:  # the reader says what is wrong
                return False
    if head.startswith((b"PK\x03\x04", *ARROW)):
        return True
    lines = _lines(head.decode("latin-1"))
    like = all(map(LIBSVM.fullmatch, lines)) and any(":" in line for line in lines)
    blanks = {len(line.split()) for line in lines}
    even = len(lines) > 1 and len(blanks) == 1 and blanks != {1} and ":" not in "".join(lines)
    return not like and (even or any(re.search(r"[,;\t|]", line) for line in lines))


def _lines(head: str) -> list[str]:
    """The first lines that hold something; where there are more, the last may be cut off."""
    lines = [line for line in head.splitlines()[: LINES + 1] if line.strip()]
    return lines[:-1] if len(head) >= SAMPLE or len(lines) > LINES else lines


def first_line(error: BaseException) -> str:
    """What a parser says, without the lines that quote the file."""
    return str(error).strip().split("\n")[0].rstrip(".")


def _unpacked(name: str, contents: bytes) -> bytes:
    """What a packed file holds, by its first bytes and not by its name."""
    for magic, (unpack, _) in PACKED.items():
        if contents.startswith(magic):
            try:
                contents = unpack(contents)
            except UNREADABLE as error:
                raise ValueError(f"{name} is cut off or damaged: {first_line(error)}.") from error
            break
    if contents.startswith(b"PK\x03\x04"):
        contents = _only_member(name, contents)
    if not contents.strip():
        raise ValueError(f"{name} should hold data. Got an empty file: write or download it again.")
    return contents


def _only_member(name: str, contents: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            members = [m for m in archive.namelist() if not m.endswith("/") and not m.startswith("__MACOSX")]
            if len(members) == 1:
                return archive.read(members[0])
    except (*UNREADABLE, zipfile.BadZipFile, RuntimeError) as error:  # RuntimeError: a password
        raise ValueError(f"{name} cannot be unpacked: {first_line(error)}.") from error
    for member, what in OTHERS.items():
        if member in members:
            raise ValueError(f"{name} should be a table. Got {what}.")
    listed = ", ".join(members[:4])
    raise ValueError(f"{name} should hold one file. Got {len(members)} ({listed}): unpack the one you mean.")


# --- files with types


def _from_arrow(name: str, contents: bytes, reading: Reading) -> Table:
    pandas = require("pandas", "Reading a table")
    arrow = require("pyarrow", "Reading a Parquet or Arrow file")
    buffer = arrow.BufferReader(contents)
    try:
        if contents.startswith(ARROW[0]):
            found = require("pyarrow.parquet", "Reading a Parquet file").ParquetFile(buffer).read()
        else:
            open_ = arrow.ipc.open_file if contents.startswith(ARROW[1]) else arrow.ipc.open_stream
            found = open_(buffer).read_all()
        described = found.schema.pandas_metadata or {}
        coded = [c["field_name"] for c in described.get("columns", ()) if c["pandas_type"] == "categorical"]
        at = [k for k, column in enumerate(found.column_names) if column in coded]
        names, notes = _distinct([str(column) for column in found.column_names])
        frame = found.replace_schema_metadata().rename_columns(names).to_pandas()
        frame = frame.astype({names[k]: "category" for k in at})  # Parquet keeps text alone as categories
        for given, column in zip(names, found.columns, strict=True):
            if column.null_count and arrow.types.is_integer(column.type):  # in float64 long ones would merge
                whole = pandas.UInt64Dtype() if arrow.types.is_uint64(column.type) else pandas.Int64Dtype()
                frame[given] = column.to_pandas(types_mapper={column.type: whole}.get)
    except UNREADABLE as error:
        kind = "Parquet" if contents.startswith(ARROW[0]) else "Arrow"
        raise ValueError(f"{name} should be a readable {kind} file. Got: {first_line(error)}.") from error
    index = [name for name in described.get("index_columns", ()) if isinstance(name, str) and name in names]
    for column in frame.columns if reading.missing else ():
        text = frame[column].astype(str)
        gaps = text.isin(reading.missing) | text.str.removesuffix(".0").isin(reading.missing)
        frame[column] = frame[column].mask(gaps) if gaps.any() else frame[column]
    text = {"sep": reading.separator, "encoding": reading.encoding, "decimal": reading.decimal}
    for option, given in {**text, "header": reading.header}.items():
        if given is not None:
            notes += (f"--{option} is for text, and changes nothing here",)
    return Table(name, frame, notes, tuple(index), Reading(missing=reading.missing))


# --- text


def _from_text(name: str, contents: bytes, reading: Reading) -> Table:
    pandas = require("pandas", "Reading a table")
    encoding, notes = _encoding(name, contents, reading.encoding)
    head = contents[:SAMPLE].decode(encoding, "replace").splitlines(keepends=True)
    before, named, said = _before(head)
    lines = _lines("".join(head[before:]))
    notes += said
    separator, said = _separator(name, lines, reading.separator or named)
    rows = _rows(name, lines, separator)
    decimal = reading.decimal or _decimal(rows[1:]) or reading.mark or "."
    if separator == ";" and decimal == "." and reading.decimal is None:
        notes += _unsure(rows[1:])
    header = _has_names(rows) if reading.header is None else reading.header
    notes += said
    if decimal == "," and reading.decimal is None:
        notes += ("numbers have a decimal comma (--decimal says another mark)",)
    if not header and reading.header is None:
        notes += ("the first line holds data, so the columns are called 'column 1' and so on (--header)",)
    names, said = _distinct(rows[0] if header else [f"column {k + 1}" for k in range(max(map(len, rows)))])
    notes += said
    ends = [len(row) == len(names) + 1 and not row[-1] for row in rows[1:]]
    empty = bool(ends) and all(ends)  # a separator at the end of each line, but of the names
    try:
        with warnings.catch_warnings():  # by default pandas makes a field too many the name of its row
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame = pandas.read_csv(
                io.BytesIO(contents),
                sep=separator,
                encoding=encoding,
                skiprows=before,
                header=0 if header else None,
                names=names,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                usecols=range(len(names)) if empty else None,
                skipinitialspace=True,
                engine="c" if len(separator) == 1 or separator == r"\s+" else "python",
            )
    except pandas.errors.ParserWarning as error:
        raise ValueError(f"{name} needs one name a column. Got rows of more fields: {QUOTED}.") from error
    except UNREADABLE as error:
        raise ValueError(f"{name} should be a table of text. Got: {_misread(error, before)}.") from error
    if contents.count(separator.encode()) != (len(frame) + header) * (len(names) - 1):
        every = contents.decode(encoding).splitlines(keepends=True)[before:]
        short = [k for k, row in enumerate(_rows(name, every, separator)) if len(row) < len(names)]
        first = f"{short[0] + (not header)}; what they lack is a gap" if short else ""
        notes += (f"{len(short):,} rows end early, the first is row {first}",) * bool(short)
    if reading.missing:
        frame = frame.mask(frame.isin(reading.missing), "")
    if decimal == ",":
        for column in frame.columns:
            text = frame[column].str.strip()
            written = text.str.fullmatch(f"{MARK}(?:{COMMA}|{THOUSANDS}){MARK}").eq(True)
            if written.any():
                points = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
                frame[column] = text.where(~written, points)
    unnamed = [new for new, old in zip(names, rows[0], strict=False) if header and not _named(old)]
    index = [new for new in unnamed if frame[new].is_unique]
    notes += tuple(
        f"a column without a name is called {new!r}"
        for new in unnamed
        if new not in index and new not in rows[0]
    )
    return Table(name, frame, notes, tuple(index), Reading(missing=reading.missing, mark=decimal))


def _misread(error: BaseException, before: int) -> str:
    """What is wrong, and where, in the words of someone who has the file open."""
    words = first_line(error)
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", words):
        return f"{found[3]} fields on line {found[2]}, where {found[1]} are expected: {QUOTED}"
    if found := re.search(r"inside string starting at row (\d+)", words):
        row = int(found[1]) + 1 + before
        return f"a quote that opens in row {row}, the header counted, and is never closed: {UNQUOTED}"
    return words


def _before(lines: list[str]) -> tuple[int, str | None, tuple[str, ...]]:
    """Lines before the table, which are comments or name the separator as Excel has it; and that."""
    kept, named, comments = 0, None, 0
    marks = [[line.count(mark) for mark in SEPARATORS] for line in lines if line.strip() and line[0] != "#"]
    for line in lines:
        if found := EXCEL.fullmatch(line):
            named = found[1]
        elif line.startswith("#") and [line.count(mark) for mark in SEPARATORS] not in marks[:1]:
            comments += 1
        elif line.strip():
            break
        kept += 1
    return kept, named, ("lines that begin with # stand before the table and are left out",) * bool(comments)


def _encoding(name: str, contents: bytes, given: str | None) -> tuple[str, tuple[str, ...]]:
    """UTF-8, or UTF-16 or 32 with its mark, or else Windows's letters of western Europe."""
    marked = [encoding for mark, encoding in WIDE.items() if contents.startswith(mark)][:1]
    for encoding in [given] if given else marked or ["utf-8-sig", "cp1252", "latin-1"]:
        if b"\x00" in contents[:SAMPLE] and not re.match(r"utf.?(16|32)", encoding, re.I):
            raise ValueError(f"{name} should be a table. Got a binary file of another kind.")
        try:
            contents.decode(encoding)
        except LookupError as error:
            raise ValueError(f"--encoding must be one that Python knows. Got {given!r}.") from error
        except UnicodeDecodeError as error:
            if given or marked:
                line = contents.count(b"\n", 0, error.start) + 1
                raise ValueError(
                    f"{name} should be in {encoding}. Got other bytes on line {line}."
                ) from error
            continue
        break
    said = (f"read as {encoding}, since it is not UTF-8 (--encoding)",)
    return str(encoding), () if given or encoding == "utf-8-sig" else said


def _rows(name: str, lines: list[str], separator: str) -> list[list[str]]:
    if len(separator) == 1:
        try:
            return [[field.strip() for field in row] for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error as error:
            raise ValueError(
                f"{name} should be a table of text. Got: {first_line(error)}, as of a quote that is never "
                f"closed: {UNQUOTED}."
            ) from error
    return [re.split(separator, line.strip()) for line in lines if line.strip()]


def _separator(name: str, lines: list[str], given: str | None) -> tuple[str, tuple[str, ...]]:
    """The one that gives nearly all lines the same number of fields, and most of them."""
    if given is not None:
        given = given.encode().decode("unicode_escape") if given.isascii() else given
        return ({"tab": "\t", "space": r"\s+", " ": r"\s+"}.get(given, given)), ()
    best, most = ",", 1.0
    for separator in SEPARATORS:
        counts = Counter(map(len, _rows(name, lines, separator)))
        count, times = counts.most_common(1)[0]
        weight = count * (times / len(lines)) ** 4
        if count > 1 and weight > most * (1.5 if separator == r"\s+" else 1.0):
            best, most = separator, weight
    expected = "\t" if ".tsv" in map(str.lower, Path(name).suffixes) else ","
    said = f"fields are kept apart by {SEPARATORS[best]} (--sep says another)"
    return best, () if best == expected else (said,)


def _decimal(rows: list[list[str]]) -> str | None:
    """A comma where more numbers have one than a point; None where all may stand between thousands."""
    fields = [re.sub(f"^{MARK}|{MARK}$", "", field) for row in rows for field in row]
    commas = [field for field in fields if re.fullmatch(COMMA, field)]
    points = [field for field in fields if re.fullmatch(r"[-+]?\d*\.\d+([eE][-+]?\d+)?", field)]
    points = [field for field in points if not re.fullmatch(THOUSANDS, field)]
    thousands = all(re.fullmatch(r"[-+]?\d{1,3},\d{3}", field) for field in commas)
    if len(commas) > len(points):
        return None if thousands else ","
    return "." if points else None


def _unsure(rows: list[list[str]]) -> tuple[str, ...]:
    """A word where a point may stand between thousands: all numbers with one have three digits after it."""
    points = [field for row in rows for field in row if re.fullmatch(r"[-+]?\d*\.\d+", field)]
    if not points or not all(re.fullmatch(THOUSANDS, field) for field in points):
        return ()
    return (f"{points[0]} is read with a decimal point (--decimal , reads one between thousands)",)


def _has_names(rows: list[list[str]]) -> bool:
    """Whether the first line names the columns: it has no number, or nothing but a run of them."""
    numbers = [field for field in rows[0] if _number(field)]
    if numbers:
        start = int(numbers[0]) if numbers[0].isdigit() else -1
        return len(numbers) > 1 and numbers == [str(start + k) for k in range(len(numbers))]
    even = [row for row in rows if len(row) == len(rows[0])]
    return len(even) < 2 or not all(column[0] in column[1:] for column in zip(*even, strict=True))


def _number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return text.strip().lower() not in ("nan", "inf", "infinity")


def _named(text: str) -> bool:
    return bool(text.strip()) and not re.fullmatch(r"Unnamed: \d+", text)


def _distinct(names: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Every column with a name of its own."""
    found: list[str] = []
    notes = []
    for k, name in enumerate(names):
        new = name if name.strip() else f"column {k + 1}"
        copies = 1
        while new in found:
            copies += 1
            new = f"{name}.{copies}"
        if copies > 1:
            notes.append(f"two columns are called {name!r}: the later one is {new!r} here")
        found.append(new)
    return found, tuple(notes)
