"""Files of messages: our own columns, few or all of them, and the collection by two truths."""

import json
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from tocsin.core.errors import InputError
from tocsin.data.sources import Reading, read
from tocsin.detectors.phishing import DETECTOR
from tocsin.detectors.phishing.layouts import LAYOUTS, read_label
from tocsin.detectors.phishing.sample import Message

SCHEMA = DETECTOR.schemas["message"]


def collection(folder: Path) -> Path:
    base = {
        "id": "a", "text": "hello", "label": 1, "category": "spam", "is_phishing_strict": 0, "source_label": "x",
        "language": "en", "language_basis": "b", "source": "s", "channel": "sms", "text_origin": "original",
        "label_quality": "q", "group": "g", "split": "train", "has_html": False, "n_urls": 0, "year": 2001,
        "truncated": False,
    }  # fmt: skip
    rows = [
        base,
        base | {"label": 0, "category": "legit", "text": "dinner?"},
        base | {"channel": "url", "text": "http://a.test"},
        base | {"is_phishing_strict": None, "category": "phishing", "text": "verify"},
        base | {"is_phishing_strict": 1, "category": "phishing", "text": "verify now"},
    ]
    path = folder / "messages.parquet"
    pl.DataFrame(rows, schema_overrides={"is_phishing_strict": pl.Int8}).write_parquet(path)
    return path


def test_the_loose_truth(tmp_path: Path) -> None:
    data = read([collection(tmp_path)], SCHEMA, Reading(layout="messages", group="group"))
    assert data.label.tolist() == [1, 0, 1, 1]
    assert data.category.tolist() == ["spam", "", "phishing", "phishing"]
    assert set(data.columns) == {"text", "subject", "language", "channel"}
    assert data.facets["source"].tolist() == ["s"] * 4
    assert data.facets["split"].tolist() == ["train"] * 4
    assert dict(data.repairs)["left out: a bare link, not a message"] == 1


def test_the_strict_truth_leaves_out_what_nobody_knows(tmp_path: Path) -> None:
    data = read([collection(tmp_path)], SCHEMA, Reading(layout="messages_strict"))
    assert data.label.tolist() == [0, 0, 1]
    assert data.category.tolist() == ["", "", "phishing"]


def test_originals_leave_out_what_a_machine_translated(tmp_path: Path) -> None:
    path = collection(tmp_path)
    rows = pl.read_parquet(path)
    origin = pl.Series(
        "text_origin", ["original", "machine_translated", "original", "preprocessed", "original"]
    )
    rows.with_columns(origin).write_parquet(path)
    data = read([path], SCHEMA, Reading(layout="messages_original"))
    assert data.columns["text"].tolist() == ["hello", "verify", "verify now"]
    assert dict(data.repairs)["left out: a machine translation"] == 1


@pytest.mark.parametrize("header", ["text,subject,language,channel,label,source", "text,language,channel"])
def test_ones_own_messages_are_known_without_their_labels(tmp_path: Path, header: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        f"{header}\n" + ",".join("x" if n != "channel" else "url" for n in header.split(",")) + "\n"
    )
    assert len(read([path], SCHEMA, Reading(labelled=False))) == 1


def test_which_truth_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.layout"):
        read([collection(tmp_path)], SCHEMA)


def test_two_columns_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("text,label\nverify now,phishing\ndinner?,ham\n")
    data = read([path], SCHEMA)
    assert data.label.tolist() == [1, 0]
    assert data.columns["subject"].tolist() == [None, None]


def test_json_lines_with_a_sender_to_group_by(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [
        {"text": "a b", "label": 1, "subject": "hi", "sender_domain": "x.test", "category": "fraud"},
        {"text": "c", "label": 0, "subject": None, "sender_domain": "y.test", "category": None},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = read([path], SCHEMA, Reading(group="sender_domain"))
    assert data.group.tolist() == ["x.test", "y.test"]
    assert "sender_domain" not in data.columns
    assert data.category.tolist() == ["fraud", ""]


def test_a_label_that_is_no_word_for_it_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("text,label,channel\nx,maybe,sms\ny,1,pigeon\nz,0,sms\nw,,sms\n")
    data = read([path], SCHEMA, Reading(max_bad_rows=0.8))
    assert len(data) == 1
    assert [row.line for row in data.refused] == [2, 3, 5]


@pytest.mark.parametrize(
    ("value", "truth"), [(1, True), (0, False), (1.0, True), ("Ham", False), (True, True)]
)
def test_words_for_a_label(value: object, truth: bool) -> None:
    assert read_label(value) is truth


def test_a_language_that_nobody_stated_is_identified_to_report_by_and_filters_nothing(tmp_path: Path) -> None:
    texts = {
        "Akaunti yako imefungwa, tafadhali thibitisha namba yako ya siri haraka": "sw",
        "Ваш счет заблокирован, подтвердите пароль по ссылке немедленно": "ru",
        "您的账户已被冻结，请立即点击链接验证您的密码": "zh",
        "Dear customer, please confirm the number of your account at once": "en",
        "ok": "und",
        "4711 0815": "und",
    }
    path = tmp_path / "mine.csv"
    rows = [{"text": text, "label": i % 2, "language": ""} for i, text in enumerate(texts)]
    rows.append(
        {"text": "Dear customer, please confirm the number of your account", "label": 0, "language": "xx"}
    )
    pl.DataFrame(rows).write_csv(path)
    for stated in (True, False):
        if not stated:
            pl.read_csv(path).drop("language").write_csv(path)
        data = read([path], SCHEMA)
        assert data.facets["language"].tolist() == [*texts.values(), "xx" if stated else "en"]
        assert len(data) == len(rows)
        assert set(data.columns["language"]) <= {None, "", "xx"}, "the sample is left as it was"


def test_keys_and_tokens_are_masked_and_counted() -> None:
    key = "AIza" + "b1_-" * 8 + "xyz"
    for layout in LAYOUTS:
        row = {"text": f"open https://maps.example/?key={key}&v=3", "subject": "plain AIza words"}
        assert list(layout.repair(row)) == ["a key or token -> [secret]"], layout.name
        assert row == {"text": "open https://maps.example/?key=[secret]&v=3", "subject": "plain AIza words"}
        assert list(layout.repair(row)) == []


@pytest.mark.parametrize("text", [" \n\t", "\u200b\u2060\ufeff", "\x00\x01"])
def test_a_text_with_nothing_to_read_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="nothing to read"):
        Message(text=text)
    assert Message(text=text + ".").text.endswith(".")
