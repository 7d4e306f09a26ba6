"""Hostile bodies for /v1/phishing/predict: each has a verdict or a problem that says what is wrong, soon."""

import json
import random
import time
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from end_to_end.letters import compose
from serve.toys import ask, post, quiet
from tocsin.artifact.open import open_artifact
from tocsin.detectors.phishing.sample import MOST_CHARACTERS
from tocsin.serve.app import create_app
from tocsin.serve.service import Offer

PATH = "/v1/phishing/predict"
SECONDS = 10.0
"""For a single answer with its evidence; half a second on one idle core, and the machine may be shared."""


def message(text: str, **fields: str) -> bytes:
    return json.dumps({"text": text, **fields}).encode()


@pytest.fixture
def app(mail_artifact: Path) -> Starlette:
    """An application serves one conversation: it ends with its event loop."""
    return create_app([Offer(open_artifact(mail_artifact))], quiet())


@pytest.mark.parametrize(
    ("body", "status", "kind", "place"),
    [
        (b"", 400, "malformed-json", None),
        (bytes(range(256)), 400, "malformed-json", None),
        (b"\x89PNG\r\n\x1a\n\x00\x00", 400, "malformed-json", None),
        (b'{"text":"\xff\xfe"}', 400, "malformed-json", None),
        (b'{"text":"\\ud800"}', 400, "malformed-json", None),
        (b"null", 422, "invalid-sample", ("", "model_type")),
        (b"[]", 422, "invalid-sample", ("", "too_short")),
        (message(""), 422, "invalid-sample", ("/text", "string_too_short")),
        (message(" \t\n"), 422, "invalid-sample", ("/text", "value_error")),
        (message("\u200b" * 1_000), 422, "invalid-sample", ("/text", "value_error")),
        (b'{"text":null}', 422, "invalid-sample", ("/text", "string_type")),
        (b'{"subject":"no text"}', 422, "invalid-sample", ("/text", "missing")),
        (message("a " * 500_000), 422, "invalid-sample", ("/text", "string_too_long")),
        (message("a", subject="s" * 2_001), 422, "invalid-sample", ("/subject", "string_too_long")),
        (message("a", channel="fax"), 422, "invalid-sample", ("/channel", "literal_error")),
        (message("a", language="x" * 17), 422, "invalid-sample", ("/language", "string_too_long")),
        (message("a", sender="b"), 422, "invalid-sample", ("", "unknown_field")),
        (message("a " * 600_000), 413, "body-too-large", None),
    ],
)
def test_what_is_no_message_is_refused_with_the_place(
    app: Starlette, body: bytes, status: int, kind: str, place: tuple[str, str] | None
) -> None:
    answer = post(body, PATH, app)
    assert answer.status_code == status
    problem = answer.json()
    assert problem["type"] == f"urn:tocsin:problem:{kind}"
    assert problem["detail"]
    if place is None:
        assert problem["errors"] == []
    else:
        assert {"pointer": place[0], "code": place[1]} in problem["errors"]
    assert len(answer.content) < 1_000, "the answer repeats the input"


FULL = MOST_CHARACTERS
HOSTILE = {
    "one letter": "a",
    "mostly blank": " \t\n." + " " * 5_000,
    "controls": "\x00\x01\x1b[2J",
    "one word": "a" * FULL,
    "many words": "a " * (FULL // 2),
    "no spaces": "我" * FULL,
    "only emoji": "😀👩‍👩‍👧‍👦" * (FULL // 8),
    "mostly zero-width": "\u200b" * (FULL - 1) + "a",
    "marks on a letter": "a" + "\u0301" * (FULL - 1),
    "letters that unfold": "\ufdfa" * FULL,
    "beginnings of links": "http://" * (FULL // 7),
    "beginnings of tags": "<" * FULL,
    "beginnings of references": "&#" * (FULL // 2),
    "addresses": "a@" * (FULL // 2),
    "right to left": "\u202e" + "مرحبا " * 1000 + "\u202c",
    "a bomb": "[" * FULL,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_has_a_verdict_and_evidence_in_time(app: Starlette, name: str) -> None:
    async def converse(client: httpx.AsyncClient) -> tuple[httpx.Response, float]:
        start = time.perf_counter()
        sent = message(HOSTILE[name])
        assert json.loads(sent)["text"] == HOSTILE[name]
        answer = await client.post(
            f"{PATH}?explain=3", content=sent, headers={"content-type": "application/json"}
        )
        return answer, time.perf_counter() - start

    answer, took = ask(converse, app)
    assert answer.status_code == 200, answer.text
    (verdict,) = answer.json()["verdicts"]
    assert 0 <= verdict["probability"] <= 1
    assert verdict["label"] in ("phishing", "legitimate")
    assert took < SECONDS


def test_a_language_that_is_not_that_of_the_text_changes_nothing(app: Starlette) -> None:
    text = compose(True, random.Random(3))
    bodies = [{"text": text, "language": language} for language in ("en", "zh", "xx", None)]
    verdicts = post(bodies, PATH, app).json()["verdicts"]
    assert len({verdict["probability"] for verdict in verdicts}) == 1


def test_disguised_words_are_read_through(app: Starlette) -> None:
    """Zero-width characters and look-alikes do not turn a phishing message into another."""
    plain = compose(True, random.Random(4))
    alike = str.maketrans({"a": "а", "e": "е", "o": "о", "p": "р", "c": "с"})  # Cyrillic
    texts = [
        plain,
        "\u200b".join(plain),
        plain.translate(alike),
        plain.upper(),
        compose(False, random.Random(4)),
    ]
    verdicts = post([{"text": text} for text in texts], PATH, app).json()["verdicts"]
    assert [verdict["label"] for verdict in verdicts] == ["phishing"] * 4 + ["legitimate"]


def test_a_hostile_neighbour_changes_no_verdict(app: Starlette) -> None:
    texts = [compose(number % 2 == 0, random.Random(number)) for number in range(4)]
    among = [piece for text in texts for piece in ({"text": text}, {"text": "\u0301" * 20_000})]

    async def converse(client: httpx.AsyncClient) -> list[list[float]]:
        answers = [
            await client.post(PATH, json=body) for body in (*({"text": text} for text in texts), among)
        ]
        return [[verdict["probability"] for verdict in answer.json()["verdicts"]] for answer in answers]

    *alone, together = ask(converse, app)
    assert together[::2] == pytest.approx([one for (one,) in alone], abs=1e-6)
