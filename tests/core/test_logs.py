import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import structlog
from _pytest.logging import LogCaptureHandler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tocsin.core.logs import configure, hand_over

LOGGERS = ("t", "library", "uvicorn")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    for handler in set(root.handlers) - set(before[0]):
        handler.close()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Configure JSON logs into a file; return a function that reads the lines written since."""
    file = tmp_path / "log.jsonl"
    configure("debug", file=file)
    for name in LOGGERS:  # pytest puts the root's own level back before the test begins
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    logging.getLogger().manager._clear_cache()

    def read() -> list[dict[str, object]]:
        text = file.read_text("ascii")
        file.write_text("")
        return [
            json.loads(line, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
            for line in text.splitlines()
        ]

    return read


ODD = '\r\n{"level": "forged"}\x1b[31mred\x1b[0m\x00\x85\u2028\u202eevil\ud800'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(event=st.text(), key=st.text(min_size=1), value=st.text() | st.floats() | st.binary() | st.integers())
def test_any_event_is_one_json_line_without_control_characters(lines, event, key, value):
    structlog.get_logger("t").info("x", **{f"k{key}": value, "note": event})
    (line,) = lines()
    assert line["event"] == "x"
    assert all(
        c.isprintable() or c.isspace()
        for text in (*line, *line.values())
        if isinstance(text, str)
        for c in text
        if c < " "
    )


@contextmanager
def unseen_by_pytest() -> Iterator[None]:
    """Keep pytest from reporting what is logged: a lone surrogate cannot be sent between its processes."""
    root = logging.getLogger()
    own = [handler for handler in root.handlers if isinstance(handler, LogCaptureHandler)]
    for handler in own:
        root.removeHandler(handler)
    yield
    for handler in own:
        root.addHandler(handler)


def test_injection_stays_inside_its_field(lines):
    with unseen_by_pytest():
        structlog.get_logger("t").warning(ODD, **{ODD: ODD})
        logging.getLogger("library").error("%s", ODD)
    first, second = lines()
    assert (first["level"], second["level"]) == ("warning", "error")
    for line in (first, second):
        assert not {c for text in map(str, line.values()) for c in text} & set(
            "\r\n\x1b\x00\x85\u2028\u202e\ud800"
        )
    assert second["logger"] == "library"


def test_a_huge_field_is_cut(lines):
    structlog.get_logger("t").info("x", field="a" * 10_000_000, many=list(range(10**6)))
    (line,) = lines()
    assert len(line["field"]) < 2100
    assert line["field"].endswith("(10000000 characters)")
    assert len(line["many"]) == 50


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("from jane.doe+x@mail.example.org to", "jane"),
        ("peer 192.168.13.77:443 closed", "192.168"),
        ("peer 2001:db8:0:1:1:1:1:1 closed", "2001:db8"),
        ("peer fe80::1ff:fe23:4567:890a closed", "fe80"),
        ("Authorization: Bearer abc.def-ghi", "abc.def"),
        ("password=hunter2 given", "hunter2"),
        ("api_key: 123456", "123456"),
        ("clone with ghp_0123456789abcdefghij", "0123456789abcdefghij"),
        ("eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "eyJzdWIiOi"),
    ],
)
def test_addresses_and_secrets_are_taken_out(text: str, secret: str, lines):
    structlog.get_logger("t").info(text, detail=text, nested={"a": [text]})
    logging.getLogger("library").info(text)
    written = json.dumps(lines())
    assert "[" in written
    assert secret not in written


@pytest.mark.parametrize(
    "text",
    ["at 19:14:06 on 2026-11-20", "tests/x.py::test_y", "numpy 2.4.6", "a: b: c", "std::vector", "3:4"],
)
def test_what_only_looks_like_them_stays(text: str, lines):
    structlog.get_logger("t").info(text)
    assert lines()[0]["event"] == text


class Message(BaseModel):
    text: str


def test_raw_inputs_are_named_by_type_only(lines):
    secret = "the body of the message"
    structlog.get_logger("t").info(
        "x", a=Message(text=secret), b=np.array([secret]), c=secret.encode(), d=[Message(text=secret)]
    )
    (line,) = lines()
    assert (line["a"], line["b"], line["c"], line["d"]) == (
        "<Message>",
        "<ndarray>",
        "<bytes>",
        ["<Message>"],
    )


def test_exceptions_are_told_without_the_values_of_variables(lines):
    body = "raw input"
    try:
        raise ValueError(f"row 3 of {len(body)}")
    except ValueError:
        structlog.get_logger("t").exception("failed")
        logging.getLogger("library").exception("failed too")
    for line in lines():
        assert line["exception"][-1] == "ValueError: row 3 of 9"
        assert "raw input" not in json.dumps(line)


def test_an_error_may_be_told_without_its_text(tmp_path: Path):
    """The control is the last line: told with its text, the text is there."""
    told = []
    for error_texts in (False, True):
        configure(file=tmp_path / "log", error_texts=error_texts)
        try:
            raise ValueError("raw input")
        except ValueError as error:
            structlog.get_logger("t").exception("failed")
            logging.getLogger("library").exception("failed too")
            logging.getLogger("library").error("failed late", exc_info=error)
        told.append([json.loads(line) for line in (tmp_path / "log").read_text().splitlines()])
        (tmp_path / "log").write_text("")
    short, long = told
    assert [line["error"] for line in short] == ["ValueError"] * 3
    assert {line["where"].rpartition("/")[2].partition(":")[0] for line in short} == {Path(__file__).name}
    assert "raw input" not in json.dumps(short)
    assert [line["exception"][-1] for line in long] == ["ValueError: raw input"] * 3


def test_what_the_program_says_of_itself_is_left(lines):
    logging.getLogger("library").info(
        "listening", extra={"own_address": "http://127.0.0.1:8000", "peer": "127.0.0.1"}
    )
    (line,) = lines()
    assert (line["own_address"], line["peer"]) == ("http://127.0.0.1:8000", "[ip]")


def test_warnings_and_libraries_speak_json_too(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", UserWarning, stacklevel=1)
    logging.getLogger("uvicorn").info("started", extra={"port": 8000})
    told, started = lines()
    assert "careful" in told["event"]
    assert (started["event"], started["port"], started["level"]) == ("started", 8000, "info")


def test_the_level_is_kept(tmp_path: Path):
    configure("warning", file=tmp_path / "other.jsonl")
    structlog.get_logger("other").info("quiet")
    structlog.get_logger("other").warning("loud")
    assert [json.loads(line)["event"] for line in (tmp_path / "other.jsonl").read_text().splitlines()] == [
        "loud"
    ]


def test_context_is_carried(lines):
    with structlog.contextvars.bound_contextvars(run="r1"):
        structlog.get_logger("t").info("x", loss=math.nan)
    assert (line := lines()[0])["run"] == "r1"
    assert line["loss"] == "nan"


def test_stderr_and_the_form_for_people(capsys: pytest.CaptureFixture[str]):
    configure()
    structlog.get_logger("t").info("told", rows=3)
    output = capsys.readouterr()
    assert json.loads(output.err)["rows"] == 3
    assert not output.out
    configure(json=False)
    structlog.get_logger("t").info(f"told {ODD}", rows=3)
    text = capsys.readouterr().err
    assert "rows=3" in text
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_a_program_that_imports_tocsin_keeps_its_own_logging(caplog: pytest.LogCaptureFixture, capsys):
    structlog.reset_defaults()
    hand_over()
    with caplog.at_level(logging.INFO, logger="t"):
        structlog.get_logger("t").info("begun", name="a@b.example")
        structlog.get_logger("t").debug("unheard")
    assert [record.getMessage() for record in caplog.records] == ["event='begun' name='[email]'"]
    assert capsys.readouterr() == ("", "")


def test_what_was_configured_is_left_alone():
    configure()
    before = structlog.get_config()
    hand_over()
    assert structlog.get_config() == before
