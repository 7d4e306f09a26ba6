import gzip
import json
import lzma
import tracemalloc
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.meters import COLUMNS, PLAIN, SCHEMA, Meter, row, text
from tocsin.core.errors import InputError
from tocsin.core.schema import Label, Schema
from tocsin.core.types import Sample
from tocsin.data.files import open_table
from tocsin.data.sources import Reading, read, write_quarantine

ANY = Reading(max_bad_rows=0.99)


@pytest.fixture
def csv_file(tmp_path: Path):
    def write(content: str | bytes, name: str = "m.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_a_row_becomes_a_sample_and_its_truth(csv_file):
    rows = [row(), row(volts="", truth="tampered"), row(amps="Infinity", site="cellar", truth="broken")]
    found = read([csv_file(text(rows))], SCHEMA)
    assert list(found.columns) == ["volts", "amps", "site"]
    np.testing.assert_array_equal(found.columns["volts"], [230.5, np.nan, 230.5])
    np.testing.assert_array_equal(found.columns["amps"], [1.5, 1.5, np.nan])
    assert found.columns["site"].tolist() == ["roof", "roof", "cellar"]
    assert found.label.tolist() == [0, 1, 1]
    assert found.category.tolist() == ["", "tampered", "broken"], "a negative has no category"
    assert found.ids.tolist() == ["m.csv:2", "m.csv:3", "m.csv:4"]
    assert found.source.tolist() == ["m.csv"] * 3
    assert found.repairs == (("amps: Infinity -> missing", 1),)
    assert found.refused == ()


VALUES = st.fixed_dictionaries(
    {
        "volts": st.none() | st.floats(0, 1e300),
        "amps": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "site": st.sampled_from([None, "roof", "cellar"]),
        "serial": st.none()
        | st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5).filter(bool),
        "truth": st.sampled_from(["ok", "broken", "tampered"]),
    }
)


@settings(max_examples=30)
@given(rows=st.lists(VALUES, min_size=1, max_size=20))
def test_every_format_says_the_same(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    schema = {
        "volts": pl.Float64,
        "amps": pl.Float64,
        "site": pl.Categorical,
        "serial": pl.String,
        "truth": pl.Enum(["ok", "broken", "tampered"]),
    }
    pl.DataFrame(rows, schema=schema).write_parquet(folder / "m.parquet")
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    written = text([{k: repr(v) if isinstance(v, float) else v for k, v in r.items()} for r in rows])
    (folder / "m.csv").write_text(written, newline="")
    (folder / "m.jsonl").write_text(lines)
    (folder / "m.csv.gz").write_bytes(gzip.compress(written.encode()))
    (folder / "m.ndjson.xz").write_bytes(lzma.compress(lines.encode()))
    first, *others = (read([path], SCHEMA) for path in sorted(folder.iterdir()))
    assert len(first) == len(rows)
    assert len(others) == 4
    for other in others:
        assert other.label.tolist() == first.label.tolist()
        assert other.category.tolist() == first.category.tolist()
        for name, values in first.columns.items():
            np.testing.assert_array_equal(other.columns[name], values)


def test_any_url_can_be_read():
    with fsspec.open("memory://bucket/m.csv", "w") as file:
        file.write(text([row()] * 3))
    pl.DataFrame([row()] * 2).write_parquet(buffer := __import__("io").BytesIO())
    with fsspec.open("memory://bucket/m.parquet", "wb") as file:
        file.write(buffer.getvalue())
    assert len(read(["memory://bucket/m.csv", "memory://bucket/m.parquet"], SCHEMA)) == 5


BAD = {
    "fields": (b"1,2,roof,s1\n", 2, "4 fields where the header has 5"),
    "more fields": (b"1,2,roof,s1,ok,x\n", 2, "6 fields where the header has 5"),
    "number": (
        b"x,2,roof,s1,ok\n",
        2,
        "volts: Input should be a valid number, unable to parse string as a number, not 'x'",
    ),
    "range": (b"-1,2,roof,s1,ok\n", 2, "volts: Input should be greater than or equal to 0, not '-1'"),
    "two": (
        b"-1,x,moon,s1,ok\n",
        2,
        "volts: Input should be greater than or equal to 0, not '-1' (and 2 more)",
    ),
    "infinite": (b"1,-inf,roof,s1,ok\n", 2, "amps: Input should be a finite number, not '-inf'"),
    "no label": (b"1,2,roof,s1,\n", 2, "label None is not known"),
    "NaN label": (b"1,2,roof,s1,NaN\n", 2, "label 'NaN' is not known"),
    "unknown label": (b"1,2,roof,s1,perhaps\n", 2, "label 'perhaps' is not known"),
    "bytes": (b"1,2,roof,\xff\xfe,ok\n", 2, "bytes that are not UTF-8"),
    "NUL": (b"1,2,roof,a\0b,ok\n", 2, "a NUL character"),
    "empty fields": (b",,,,\n", 2, "label None is not known"),
    "stray quote": (b'1,2,"ro"of,s1,ok\n', 2, "not CSV: ',' expected after '\"'"),
}


@pytest.mark.parametrize(("line", "number", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_row_is_kept_with_file_line_and_reason(line: bytes, number: int, reason: str, csv_file):
    good = text([row()] * 2).encode().split(b"\n", 1)
    found = read([csv_file(good[0] + b"\n" + line + good[1])], SCHEMA, ANY)
    assert [(bad.file, bad.line, bad.reason) for bad in found.refused] == [("m.csv", number, reason)]
    assert found.ids.tolist() == ["m.csv:3", "m.csv:4"], "its neighbours are read"


@given(kinds=st.lists(st.sampled_from([None, None, None, *BAD]), min_size=1, max_size=40))
@settings(max_examples=40)
def test_no_row_is_lost(kinds, tmp_path_factory):
    """Good and bad rows in any order: each is read or refused, at the line where it stands."""
    path = tmp_path_factory.mktemp("mixed") / "m.csv"
    lines = [b"1,2,roof,s1,ok\n" if kind is None else BAD[kind][0] for kind in [*kinds, None]]
    path.write_bytes(",".join(COLUMNS).encode() + b"\n" + b"".join(lines))
    found = read([path], SCHEMA, ANY)
    assert found.ids.tolist() == [f"m.csv:{i}" for i, kind in enumerate([*kinds, None], 2) if kind is None]
    assert [(bad.line, bad.reason) for bad in found.refused] == [
        (i, BAD[kind][2]) for i, kind in enumerate(kinds, 2) if kind is not None
    ]


def test_a_quoted_field_may_span_lines_and_numbers_stay_exact(csv_file):
    content = text([row(serial="a\nb\nc"), row(), row(serial="d\ne", volts="x"), row()])
    found = read([csv_file(content)], SCHEMA, ANY)
    assert found.ids.tolist() == ["m.csv:2", "m.csv:5", "m.csv:8"]
    assert [bad.line for bad in found.refused] == [6]


def test_an_unclosed_quote_costs_every_line_that_it_swallows(csv_file):
    content = text([row()] * 3) + '1,2,roof,"s1,ok\n' + text([row()] * 5, header=False)
    found = read([csv_file(content)], SCHEMA, ANY)
    assert len(found) == 3
    assert [bad.line for bad in found.refused] == [5, 6, 7, 8, 9, 10]
    assert "lines 5 to 10 were read as one row" in found.refused[0].reason
    with pytest.raises(InputError, match="6 of 9 rows are bad"):
        read([csv_file(content)], SCHEMA)


def test_blank_lines_are_counted(csv_file):
    found = read([csv_file(text([row()]) + "\n\n" + text([row()], header=False) + "\n")], SCHEMA)
    assert found.ids.tolist() == ["m.csv:2", "m.csv:5"]
    assert dict(found.repairs) == {"blank line skipped": 3}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (",".join(COLUMNS).encode() + b"\n", "there are no rows in it"),
        (
            b"volts,amps,site,serial,truth\n1,2,roof,s,maybe\n",
            "none of its 1 rows is usable: line 2: label 'maybe' is not known",
        ),
        (
            b"volts,amp,site,serial,truth\n1,2,roof,s,ok\n",
            "the nearest is 'plain': missing 'amps'; unexpected 'amp'; 'amps' is missing; did you mean 'amp'",
        ),
        (b"volts,amps,site,serial,truth,volts\n1,2,roof,s,ok,1\n", "column 'volts' is there more than once"),
        (b"x,y\n1,2\n", "no layout of 'meter' has these columns"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no layout of 'meter' has these columns"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(content: bytes, complaint: str, csv_file):
    path = csv_file(content)
    with pytest.raises(InputError) as caught:
        read([path], SCHEMA)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("gone.csv", "gone.csv: there is no such file"),
        ("gone.parquet", "gone.parquet: there is no such file"),
        ("x.xlsx", r"x.xlsx: the name must end with one of \.csv"),
        ("x", r"x: the name must end with one of"),
        ("nowhere://x.csv", "nowhere://x.csv: .*[Pp]rotocol"),
    ],
)
def test_a_file_that_is_not_there_is_named(url: str, complaint: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=complaint):
        read([url], SCHEMA)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv.gz", gzip.compress(text([row()] * 1000).encode())[:-20]),
        ("m.csv.gz", b"no gzip"),
        ("m.csv.xz", b"no xz"),
        ("m.csv.bz2", b"no bz2"),
        ("m.parquet", b"PAR1 but no more"),
        ("m.parquet", b""),
    ],
)
def test_damaged_files_are_named(name: str, content: bytes, csv_file):
    with pytest.raises(InputError, match=f"{name}: "):
        read([csv_file(content, name)], SCHEMA)


def test_a_folder_is_not_a_file(tmp_path: Path):
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(InputError, match=r"d\.csv: "):
        read([tmp_path / "d.csv"], SCHEMA)


def test_too_many_bad_rows_are_an_error_that_names_three(csv_file):
    rows = [row(volts=f"x{i}") if i % 10 == 0 else row() for i in range(100)]
    path = csv_file(text(rows))
    assert len(read([path], SCHEMA, Reading(max_bad_rows=0.1)).refused) == 10
    with pytest.raises(InputError) as caught:
        read([path], SCHEMA, Reading(max_bad_rows=0.09))
    message = str(caught.value)
    assert "10 of 100 rows are bad (10.00%, max_bad_rows allows 9.00%)" in message
    assert all(f"line {line}: volts" in message for line in (2, 12, 22))
    assert "x30" not in message


def test_a_small_bad_file_does_not_hide_among_large_good_ones(csv_file):
    good = csv_file(text([row()] * 1000), "good.csv")
    bad = csv_file(text([row(truth="?")] * 5), "bad.csv")
    with pytest.raises(InputError, match=r"bad\.csv: none of its 5 rows is usable"):
        read([good, bad], SCHEMA)


def test_the_quarantine_is_json_lines(csv_file, tmp_path: Path):
    found = read([csv_file(text([row(), row(volts="\x1b[31m")]))], SCHEMA, ANY)
    write_quarantine(found, tmp_path / "refused.jsonl")
    (line,) = (tmp_path / "refused.jsonl").read_text("ascii").splitlines()
    assert json.loads(line) | {"reason": ""} == {"file": "m.csv", "line": 3, "reason": ""}


class TestColumns:
    def test_spaces_and_a_byte_order_mark_do_not_count(self, csv_file):
        found = read([csv_file(b"\xef\xbb\xbf volts, amps,site ,serial,truth\n1,2,roof,s,ok\n")], SCHEMA)
        assert dict(found.repairs) == {"space around a column name": 3}

    def test_a_layout_is_known_by_its_columns(self, csv_file):
        found = read([csv_file(text([row()])), csv_file("U,I,I,broken\n1,2,3,1\n", "o.csv")], SCHEMA)
        assert found.columns["volts"].tolist() == [230.5, 1]
        assert found.columns["amps"].tolist() == [1.5, 2], "the second I is I.1"

    def test_an_unknown_column_is_left_out_and_told(self, csv_file):
        content = "volts,amps,site,serial,truth,note\n1,2,roof,s,ok,hello\n"
        assert dict(read([csv_file(content)], SCHEMA).repairs) == {"unknown column 'note' left out": 1}

    def test_a_file_without_a_header(self, csv_file):
        found = read([csv_file(text([row(), row(truth="broken")], header=False))], SCHEMA)
        assert found.ids.tolist() == ["m.csv:1", "m.csv:2"]
        assert found.label.tolist() == [0, 1]

    def test_a_misspelled_header_is_not_taken_for_data(self, csv_file):
        with pytest.raises(InputError, match="missing 'amps'"):
            read([csv_file(b"volts,ampz,site,serial,truth\n1,2,roof,s,ok\n")], SCHEMA)

    def test_a_layout_asked_for_by_name(self, csv_file):
        path = csv_file(text([row()]))
        assert len(read([path], SCHEMA, Reading(layout="plain"))) == 1
        with pytest.raises(InputError, match="nearest is 'other'"):
            read([path], SCHEMA, Reading(layout="other"))
        with pytest.raises(InputError, match="no layout 'plane' of 'meter'; did you mean 'plain'"):
            read([path], SCHEMA, Reading(layout="plane"))

    def test_two_layouts_that_fit_alike_are_not_guessed_between(self, csv_file):
        twins = Schema("meter", Meter, {"a": replace(PLAIN, name="a"), "b": replace(PLAIN, name="b")})
        with pytest.raises(InputError, match=r"fits the layouts a and b: set `data\.layout`"):
            read([csv_file(text([row()]))], twins)

    def test_bytes_of_an_old_encoding_are_read_where_the_layout_says_so(self, csv_file):
        found = read([csv_file(b"U,I,I,broken,\n1,2,\x96,1,\n", "o.csv")], SCHEMA)
        assert len(found) == 1
        assert dict(found.repairs)["bytes that are not UTF-8 read as cp1252"] == 1

    def test_labels_are_not_read_where_there_are_none(self, csv_file):
        content = "volts,amps,site\n1,2,roof\n"
        found = read([csv_file(content)], SCHEMA, Reading(labelled=False))
        assert found.label.tolist() == [-1]
        with pytest.raises(InputError, match="missing 'serial', 'truth'"):
            read([csv_file(content)], SCHEMA)

    def test_labels_are_not_read_even_where_they_are(self, csv_file):
        layout = replace(PLAIN, truth=lambda row: pytest.fail("the label was read"))
        found = read(
            [csv_file(text([row()]))], Schema("meter", Meter, {"plain": layout}), Reading(labelled=False)
        )
        assert found.label.tolist() == [-1]


class TestDenied:
    def test_denied_columns_never_reach_the_record(self, csv_file):
        seen: list[set[str]] = []
        layout = replace(PLAIN, record=lambda row: seen.append(set(row)) or row)
        read([csv_file(text([row()]))], Schema("meter", Meter, {"plain": layout}))
        assert seen == [{"volts", "amps", "site"}]

    def test_a_sample_with_a_denied_field_is_refused(self, csv_file):
        class Leaky(Sample):
            volts: float | None = None
            Serial: str | None = None

        with pytest.raises(
            InputError, match="field 'Serial' of sample 'meter' is denied by layout 'plain': names one device"
        ):
            read([csv_file(text([row()]))], Schema("meter", Leaky, {"plain": PLAIN}))


class TestGroupAndTime:
    def test_they_are_read_even_if_denied_as_features(self, csv_file):
        rows = [row(serial="a"), row(serial="b")]
        found = read([csv_file(text(rows))], SCHEMA, Reading(group="serial", time="volts"))
        assert found.group.tolist() == ["a", "b"]
        assert found.time.tolist() == [230.5, 230.5]
        assert "serial" not in found.columns

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("12.5", 12.5),
            ("1970-01-01", 0),
            ("1970-01-01 00:01:00", 60),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-02T00:00:00Z", 86400),
        ],
    )
    def test_moments(self, value, seconds, csv_file):
        found = read([csv_file(text([row(serial=value)]))], SCHEMA, Reading(time="serial"))
        assert found.time.tolist() == [seconds]

    def test_a_moment_that_does_not_sort_is_refused(self, csv_file):
        rows = [row(serial="2026-01-01"), row(serial="5/7/2017 8:42"), row(serial=""), row(serial="nan")]
        found = read([csv_file(text(rows))], SCHEMA, Reading(time="serial", max_bad_rows=0.9))
        assert len(found) == 1
        assert [bad.reason for bad in found.refused] == [
            "time '5/7/2017 8:42' is neither a number nor an ISO 8601 date",
            "time None is neither a number nor an ISO 8601 date",
            "the time is not a number",
        ]

    def test_dates_of_parquet(self, tmp_path: Path):
        frame = pl.DataFrame([row(), row()]).with_columns(
            serial=pl.Series(["1970-01-01", "1970-01-03"]).str.to_datetime()
        )
        frame.write_parquet(tmp_path / "m.parquet")
        assert read([tmp_path / "m.parquet"], SCHEMA, Reading(time="serial")).time.tolist() == [0, 172800]

    def test_an_empty_group_is_refused_and_an_unknown_column_named(self, csv_file):
        path = csv_file(text([row(serial=""), row()]))
        assert (
            read([path], SCHEMA, Reading(group="serial", max_bad_rows=0.9)).refused[0].reason
            == "group column 'serial' is empty"
        )
        with pytest.raises(InputError, match="there is no column 'seriel'; did you mean 'serial'"):
            read([path], SCHEMA, Reading(group="seriel"))


class TestLimit:
    def test_rows_are_drawn_evenly_and_always_the_same(self, csv_file):
        path = csv_file(text([row(volts=str(i)) for i in range(5000)]))
        found, again = (read([path], SCHEMA, Reading(limit=1000)) for _ in range(2))
        assert found.ids.tolist() == again.ids.tolist()
        assert len(found) == 1000
        place = found.columns["volts"]
        assert (np.diff(place) > 0).all(), "in the order of the file"
        counts = np.histogram(place, bins=10, range=(0, 5000))[0]
        assert abs(counts - 100).max() < 45, "five standard deviations of an even draw"

    def test_a_limit_beyond_the_file_reads_it_all(self, csv_file):
        assert len(read([csv_file(text([row()] * 7))], SCHEMA, Reading(limit=100))) == 7


def test_names_tell_files_apart_wherever_they_lie(tmp_path: Path):
    ids = []
    for root in (tmp_path / "x", tmp_path / "y" / "z"):
        for day in ("monday", "tuesday"):
            (root / day).mkdir(parents=True)
            (root / day / "m.csv").write_text(text([row()]))
        ids.append(read([root / "monday" / "m.csv", root / "tuesday" / "m.csv"], SCHEMA).ids.tolist())
    assert ids[0] == ids[1] == ["monday/m.csv:2", "tuesday/m.csv:2"]


def test_nothing_and_twice_the_same_are_refused(csv_file):
    path = csv_file(text([row()]))
    with pytest.raises(InputError, match="no files"):
        read([], SCHEMA)
    with pytest.raises(InputError, match="named twice"):
        read([path, path], SCHEMA)


class TestJsonLines:
    def test_what_is_no_record_is_refused(self, csv_file):
        lines = [
            json.dumps(row()),
            "[1]",
            "{",
            '{"volts": 1',
            json.dumps(row(serial="a\0b")),
            json.dumps(row(site={"a": 1})),
            "",
            "3",
        ]
        found = read([csv_file("\n".join(lines) + "\n", "m.jsonl")], SCHEMA, ANY)
        assert found.ids.tolist() == ["m.jsonl:1"]
        assert [bad.line for bad in found.refused] == [2, 3, 4, 5, 6, 8]
        assert found.refused[3].reason == "a NUL character"
        assert dict(found.repairs) == {"blank line skipped": 1}

    def test_a_key_that_is_missing_is_a_missing_value(self, csv_file):
        sparse = {k: v for k, v in row().items() if k != "amps"}
        found = read([csv_file(f"{json.dumps(row())}\n{json.dumps(sparse)}\n", "m.jsonl")], SCHEMA)
        np.testing.assert_array_equal(found.columns["amps"], [1.5, np.nan])

    def test_a_column_that_comes_late_is_told(self, csv_file, monkeypatch):
        monkeypatch.setattr("tocsin.data.files.BATCH", 2)
        lines = [json.dumps(row())] * 3 + [json.dumps(row(extra=1))]
        found = read([csv_file("\n".join(lines), "m.jsonl")], SCHEMA)
        assert dict(found.repairs) == {"column 'extra', which the first 2 lines lack, left out": 1}


def test_parquet_text_with_nul_and_blanks(tmp_path: Path):
    pl.DataFrame([row(serial="a\0b"), row(site=""), row()]).write_parquet(tmp_path / "m.parquet")
    found = read([tmp_path / "m.parquet"], SCHEMA, ANY)
    assert [(bad.line, bad.reason) for bad in found.refused] == [(1, "a NUL character")]
    assert found.columns["site"].tolist() == [None, "roof"]


def test_a_file_is_streamed(csv_file):
    """The text of a file is never whole in memory: 12 MB of unused text, a fraction of it at the peak."""
    path = csv_file(text([row(serial="x" * 6000)] * 2000))
    tracemalloc.start()
    assert len(read([path], SCHEMA)) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 1.5


def test_opening_says_which_file(csv_file):
    with pytest.raises(InputError, match=r"m\.csv: line 1 is not CSV"), open_table(str(csv_file('"a"b\n'))):
        pytest.fail("opened")


class Spans(Label):
    """A label, and the words that say so."""

    spans: tuple[tuple[int, int], ...] = ()


def spans_of(row: dict) -> dict:
    ends = [tuple(map(int, part.split("-"))) for part in (row["truth"] or "").split()]
    return {"label": None if row["truth"] is None else bool(ends), "spans": tuple(ends)}


def test_a_schema_may_bring_a_truth_of_its_own(csv_file):
    """Its columns go with the rows; label and category are read from them."""
    layout = replace(PLAIN, truth=spans_of)
    schema = Schema("meter", Meter, {"plain": layout}, Spans)
    lines = [row(truth="0-4 7-9"), row(truth="x-2"), row(truth="no"), row(truth="5-6")]
    found = read([csv_file(text([*lines[:2], lines[3]]))], schema, ANY)
    assert found.truth["spans"].tolist() == [((0, 4), (7, 9)), ((5, 6),)]
    assert found.label.tolist() == [1, 1]
    assert found.category.tolist() == ["", ""]
    assert [bad.line for bad in found.refused] == [3], "a truth that cannot be read refuses its row"
    some = found.take(np.array([1]))
    assert (some.truth["spans"].tolist(), some.label.tolist()) == ([((5, 6),)], [1])


def test_a_truth_that_does_not_fit_its_class_refuses_its_row(csv_file):
    layout = replace(
        PLAIN, truth=lambda row: {"label": True, "spans": ((1,),)} if row["site"] else {"label": False}
    )
    schema = Schema("meter", Meter, {"plain": layout}, Spans)
    found = read([csv_file(text([row(), row(site="")]))], schema, ANY)
    assert len(found) == 1
    assert found.refused[0].reason.startswith("spans.0.1: ")


def test_rows_without_labels_have_empty_truth(csv_file):
    found = read([csv_file(text([row(), row()]))], SCHEMA, Reading(labelled=False))
    assert np.isnan(found.truth["label"]).all()
    assert found.label.tolist() == [-1, -1]
    assert found.truth["category"].tolist() == [None, None]
