"""What packs a table and how it is written: found, said, and refused in one sentence."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile

import numpy as np
import pandas
import pytest

from gdnp.tables import Reading, is_table, read_table, taken

TEXT = b"name,b,y\nx,2.5,yes\nz,3,no\n"
ROWS = {"name": ["x", "z"], "b": ["2.5", "3"], "y": ["yes", "no"]}


def zipped(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, contents in members:
            archive.writestr(name, contents)
    return packed.getvalue()


def npy(values):
    made = io.BytesIO()
    np.save(made, np.array(values))
    return made.getvalue()


def read(tmp_path, contents, name="t.csv", **reading):
    (tmp_path / name).write_bytes(contents)
    return read_table(tmp_path / name, Reading(**reading))


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda text: zipped(("a/", b""), ("a/t.csv", text))],
)
@pytest.mark.parametrize("name", ["t.csv", "t.txt"])
def test_packing_is_told_by_the_first_bytes(tmp_path, pack, name):
    assert read(tmp_path, pack(TEXT), name).frame.to_dict("list") == ROWS
    assert is_table(tmp_path / name)


@pytest.mark.parametrize(
    ("separator", "words"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars"), ("  ", "blanks")]
)
def test_separators_are_found_and_said(tmp_path, separator, words):
    table = read(tmp_path, TEXT.replace(b",", separator.encode()))
    assert table.frame.to_dict("list") == ROWS
    assert table.notes == (f"fields are kept apart by {words} (--sep says another)",)
    assert read(tmp_path, TEXT.replace(b",", b"#"), separator="#").frame.to_dict("list") == ROWS


def test_tabs_and_commas_where_the_name_says_so_are_no_news(tmp_path):
    assert read(tmp_path, TEXT).notes == ()
    assert read(tmp_path, TEXT.replace(b",", b"\t"), "t.TSV").notes == ()
    assert read(tmp_path, TEXT.replace(b",", b"\t"), separator="tab").notes == ()


def test_separators_within_quotes_and_lines_within_fields_are_text(tmp_path):
    table = read(tmp_path, b'a,note\n1,"x;y;z, and\nmore"\n2,"u;v;w, too"\n')
    assert table.frame["note"].tolist() == ["x;y;z, and\nmore", "u;v;w, too"]


@pytest.mark.parametrize(
    ("contents", "values"),
    [
        (b"a;b\n1,5;x\n-2,25;y\n", ["1.5", "-2.25"]),
        (b"a;b\n1.234,5;x\n7;y\n", ["1234.5", "7"]),
        (b"a;b\n1.234;x\n0,5;y\n", ["1234", "0.5"]),
        (b"a;b\n1,234;x\n1,000;y\n", ["1,234", "1,000"]),  # between thousands, and not decimal
        (b"a;b\n1.5;x\n12.10.2024;y\n", ["1.5", "12.10.2024"]),
        ("a;b\n€ 1,50;x\n7,5 %;y\n".encode(), ["€ 1.50", "7.5 %"]),
        (b'a,b\n"1,234",x\n"2,500",y\n', ["1,234", "2,500"]),
    ],
)
def test_decimal_commas(tmp_path, contents, values):
    table = read(tmp_path, contents)
    assert table.frame["a"].tolist() == values
    decimal = "." in values[0] + values[1] and b"," in contents and b'"' not in contents
    assert any("decimal comma" in note for note in table.notes) == decimal


def test_a_decimal_mark_that_is_given_is_not_looked_for(tmp_path):
    table = read(tmp_path, b"a;b\n1,234;x\n1,000;y\n", decimal=",")
    assert table.frame["a"].tolist() == ["1.234", "1.000"]


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ()),
        ("utf-8-sig", ()),
        ("utf-16", ("utf-16",)),
        ("utf-32", ("utf-32",)),
        ("cp1252", ("cp1252",)),
    ],
)
def test_encodings(tmp_path, encoding, said):
    table = read(tmp_path, "größe,y\n1,Müller\n2,Žižek\n".encode(encoding))
    assert table.frame.columns.tolist() == ["größe", "y"]
    assert table.frame["y"].tolist() == ["Müller", "Žižek"]
    assert [note.split()[2].strip(",") for note in table.notes] == list(said)


def test_an_encoding_that_is_given(tmp_path):
    table = read(tmp_path, "a,y\n1,ź\n2,b\n".encode("cp1250"), encoding="cp1250")
    assert table.frame["y"].tolist() == ["ź", "b"]
    assert table.notes == ()
    with pytest.raises(ValueError, match=r"t\.csv should be in ascii\. Got other bytes on line 2"):
        read(tmp_path, "a,y\n1,ź\n".encode(), encoding="ascii")
    with pytest.raises(ValueError, match=r"--encoding must be one that Python knows\. Got 'klingon'"):
        read(tmp_path, TEXT, encoding="klingon")


@pytest.mark.parametrize(
    ("contents", "names"),
    [
        (b"1.5,2.5,x\n1.5,2.5,y\n", None),
        (b"5,3,1\n4,2,0\n", None),
        (b"p,x,s\ne,x,s\np,b,y\ne,b,y\n", None),  # every letter of the first line stands below it too
        (b"0,1,2\n5,6,1\n", ["0", "1", "2"]),
        (b"country,2019,2020\nF,1.5,2\n", ["country", "2019", "2020"]),
        (b"a,b\nx,y\nz,y\n", ["a", "b"]),
    ],
)
def test_names_on_the_first_line(tmp_path, contents, names):
    table = read(tmp_path, contents)
    width = contents.split(b"\n")[0].count(b",") + 1
    assert table.frame.columns.tolist() == names or [f"column {k + 1}" for k in range(width)]
    assert any("the first line holds data" in note for note in table.notes) == (names is None)
    assert len(table.frame) == contents.count(b"\n") - (names is not None)
    assert len(read(tmp_path, contents, header=True).frame) == contents.count(b"\n") - 1
    assert len(read(tmp_path, contents, header=False).frame) == contents.count(b"\n")


def test_columns_without_a_name_and_with_one_twice(tmp_path):
    table = read(tmp_path, b",a,a\n0,1,2\n1,3,4\n")
    assert table.frame.columns.tolist() == ["column 1", "a", "a.2"]
    assert table.row_names == ("column 1",)
    assert table.notes == ("two columns are called 'a': the later one is 'a.2' here",)
    assert read(tmp_path, b"Unnamed: 0,a\n0,1\n1,3\n").row_names == ("Unnamed: 0",)


def test_lines_that_end_early_or_in_a_separator(tmp_path):
    assert read(tmp_path, b"a,b,y\n1,2,3,\n4,5,6,\n").frame["y"].tolist() == ["3", "6"]
    table = read(tmp_path, b"a,b,c\n1,2\n1,2,3\n")
    assert table.frame["c"].tolist() == ["", "3"]
    assert table.notes == ("1 rows end early, the first is row 1; what they lack is a gap",)


def test_what_stands_for_a_gap_can_be_said(tmp_path):
    assert read(tmp_path, b"a,y\n-9,1\n2,-9\n", missing=("-9",)).frame.to_dict("list") == {
        "a": ["", "2"],
        "y": ["1", ""],
    }


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT))))
    table = read_table("-")
    assert (table.name, table.frame.to_dict("list")) == ("standard input", ROWS)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_parquet_and_arrow(tmp_path, kind):
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1, 2], "when": pandas.to_datetime(["2020-01-01", "2021-01-01"])})
    getattr(frame, f"to_{kind}")(tmp_path / f"t.{kind}")
    table = read_table(tmp_path / f"t.{kind}")
    assert table.frame["a"].dtype == "int64"
    assert table.frame["when"].dtype.kind == "M"
    assert table.row_names == ()


def test_an_index_is_a_column_that_names_rows(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1.0, 2.0]}, index=pandas.Index(["u", "v"], name="customer"))
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.frame["customer"].tolist() == ["u", "v"]
    assert table.row_names == ("customer",)
    assert table.notes == ()


def test_long_whole_numbers_with_gaps_stay_as_they_are(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    long = [10**17 + 1, None, 10**17 + 2]
    parquet.write_table(arrow.table({"x": [1, 2, 3], "y": long}), tmp_path / "t.parquet")
    assert taken(read_table(tmp_path / "t.parquet")).labels.tolist() == [10**17 + 1, 10**17 + 2]


def test_parquet_with_one_name_twice(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    column = arrow.array([1.0, 2.0])
    parquet.write_table(arrow.table([column, column], names=["a", "a"]), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.frame.columns.tolist() == ["a", "a.2"]
    assert "two columns are called 'a'" in table.notes[0]


BAD = {  # name of the case: (file, contents, what the error says)
    "empty": ("f.csv", b"", "should hold data. Got an empty file"),
    "blank": ("f.csv", b"\n\n", "should hold data. Got an empty file"),
    "packed nothing": ("f.csv", gzip.compress(b""), "should hold data. Got an empty file"),
    "binary": ("f.csv", bytes(range(256)), "Got a binary file of another kind"),
    "ragged": (
        "f.csv",
        b"a,b\n1,2\n1,2,3\n",
        "3 fields on line 3, where 2 are expected: put .* or say with --sep",
    ),
    "more fields": (
        "f.csv",
        b"a,b\n0,2,3\n1,5,6\n",
        "Got rows of more fields: put fields that hold a separator in double quotes",
    ),
    "open quote": (
        "f.csv",
        b'a,b\n"1,2\n3,4\n',
        "a quote that opens in row 2, .* never closed: close it, or write",
    ),
    "open quote in a long file": ("f.csv", b'a,b\n"1,2\n' + b"3,4\n" * 50_000, "never closed: close it"),
    "no rows": ("f.csv", b"a,b\n", "should hold rows of data. Got a header and no rows"),
    "gzip cut off": ("f.csv.gz", gzip.compress(TEXT * 99)[:30], "is cut off or damaged: Compressed file"),
    "xz cut off": ("f.csv.xz", lzma.compress(TEXT * 99)[:30], "is cut off or damaged"),
    "zip cut off": ("f.zip", zipped(("t.csv", TEXT))[:50], "cannot be unpacked"),
    "two in a zip": ("f.zip", zipped(("a.csv", TEXT), ("b.csv", TEXT)), r"one file. Got 2 \(a.csv, b.csv\)"),
    "JSON by lines": ("f.jsonl", codecs.BOM_UTF8 + b'{"a": 1}\n{"a": 2}', "Got JSON: save it as CSV"),
    "JSON in a list": ("f.json", b'[{"a": 1}, {"a": 2}]', "Got JSON: save it as CSV"),
    "npy": ("f.npy", npy([[1.0, 2.0]]), "an array of NumPy: save it as CSV, or fit it with --memory"),
    "web page": ("f.csv", b"<!DOCTYPE html><p>a,b", "should be a table. Got HTML or XML: save it as CSV"),
    "workbook": ("f.xlsx", zipped(("xl/workbook.xml", b""), ("x", b"")), "an Excel workbook: save the sheet"),
    "model": ("f.csv", zipped(("schema.json", b""), ("x", b"")), "a saved model, which gdnp show prints"),
    "prose": ("f.pq", b"hello world, this is no table\n", "should be a Parquet or Arrow file"),
    "parquet damaged": ("f.pq", b"PAR1" + bytes(99), "should be a readable Parquet file"),
    "arrow damaged": ("f.arrow", b"ARROW1" + bytes(99), "should be a readable Arrow file"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_table(tmp_path, case):
    pytest.importorskip("pyarrow")
    name, contents, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, contents, name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_parquet_cut_off(tmp_path, keep):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    pandas.DataFrame({"a": range(1000), "y": range(1000)}).to_parquet(path)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=r"should be a readable Parquet file. Got: "):
        read(tmp_path, whole[: int(keep * len(whole))], "t.parquet")


def test_an_address_is_no_file():
    with pytest.raises(ValueError, match=r"Got the address https://x.org/t.csv: download it first"):
        read_table("https://x.org/t.csv")


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"1 1:0.5 3:2\n-1 2:1\n", False),
        (b"1\n-1 2:1\n", False),
        (b"1 qid:3 2:1 # note\n", False),
        (b"hello world\n", False),
        (b"a\tb\n1\t2\n", True),
        (b"a,b\n1,2\n", True),
        (b"a b c\n1 2 3\n4 5 6\n", True),
        (b"when,y\n12:30,1\n13:45,0\n", True),
    ],
)
def test_tables_are_told_from_libsvm(tmp_path, contents, expected):
    (tmp_path / "f.txt").write_bytes(contents)
    assert is_table(tmp_path / "f.txt") == expected
    (tmp_path / "f.gz").write_bytes(gzip.compress(contents))
    assert is_table(tmp_path / "f.gz") == expected


@pytest.mark.parametrize(("field", "said"), [("1.234", True), ("1.23", False), ("1,5", False)])
def test_points_that_may_stand_between_thousands_are_told(tmp_path, field, said):
    (tmp_path / "t.csv").write_text(f"a;y\n{field};0\n2.500;1\n3.100;0\n")
    table = read_table(tmp_path / "t.csv")
    assert any("decimal point" in note for note in table.notes) == said
