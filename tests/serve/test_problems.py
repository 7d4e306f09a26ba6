"""One body for every refusal, and nothing of the request in it."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve.toys import quiet, running, toy_app
from tocsin.serve.problems import CATALOGUE, MEDIA_TYPE, Problem, problem_of

KEYS = {"type", "title", "status", "detail", "instance", "error", "errors"}
EXAMPLES = 60
RELEASE_EXAMPLES = 10_000

# What tells of the inside: a path, a module, a class, a stack, a query, a variable.
LEAK = re.compile(
    r"/work|/home|/usr|/tmp|\.py\b|site-packages|Traceback|Error\(|pydantic|starlette|fastapi|onnx|numpy|"
    r"<class|0x[0-9a-f]{6}|SELECT |TOCSIN_|File \"",
)


def check(reply: httpx.Response) -> dict:
    body = reply.json()
    assert reply.headers["content-type"] == MEDIA_TYPE
    assert set(body) == KEYS
    kind = CATALOGUE[body["type"].removeprefix("urn:tocsin:problem:")]
    assert (body["status"], body["title"], body["detail"]) == (reply.status_code, kind.title, kind.detail)
    assert body["error"] == kind.detail
    assert body["instance"] == f"urn:request:{reply.headers['x-request-id']}"
    assert all(set(place) == {"pointer", "code"} for place in body["errors"])
    assert not LEAK.search(reply.text)
    return body


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_every_kind_has_the_one_body(name: str) -> None:
    response = Problem(name, [("/0/a", "missing")]).response("0123")
    reply = httpx.Response(
        response.status_code,
        headers={**response.headers, "x-request-id": "0123"},
        content=bytes(response.body),
    )
    assert check(reply)["errors"] == [{"pointer": "/0/a", "code": "missing"}]


def test_the_catalogue_is_in_order() -> None:
    statuses = [kind.status for kind in CATALOGUE.values()]
    assert statuses == sorted(statuses)
    assert max(Counter(kind.name for kind in CATALOGUE.values()).values()) == 1
    for kind in CATALOGUE.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.name)
        assert kind.detail.endswith(".")


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 406, 408, 413, 415, 418, 422, 500, 501, 503, 504]
)
def test_any_status_of_the_framework_is_a_problem(status: int) -> None:
    expected = (
        status if status in {kind.status for kind in CATALOGUE.values()} else 400 if status < 500 else 500
    )
    assert problem_of(status).kind.status == expected


def test_a_leak_would_be_found() -> None:
    for text in (
        'File "/srv/x.py"',
        "pydantic_core.ValidationError",
        "Traceback (most",
        "<class 'Toy'>",
        "/work/x",
    ):
        assert LEAK.search(text)


# Text that stands out: nothing in the answers can look like it by chance.
secret = st.text(st.sampled_from("ѦѪѬ☃\u202e\x00\r\n\x1b[31m\"'{}<>;%$`"), min_size=6, max_size=40)
value = st.one_of(secret, st.lists(secret, max_size=2), st.dictionaries(secret, secret, max_size=2))
fields = st.sampled_from(["a", "b", "protocol", "note", "features"])
body = st.one_of(
    value,
    st.dictionaries(st.one_of(fields, secret), value, max_size=4),
    st.lists(st.dictionaries(st.one_of(fields, secret), value, max_size=3), max_size=3),
)


def secrets_in(found: object) -> list[str]:
    if isinstance(found, dict):
        return [text for pair in found.items() for part in pair for text in secrets_in(part)]
    if isinstance(found, list):
        return [text for part in found for text in secrets_in(part)]
    return [str(found)] if len(str(found)) >= 6 and found != "protocol" and found != "features" else []


def fuzz(log: Path, examples: int) -> Counter[int]:
    """Send bodies that are full of secrets to every POST route; return how often each status came."""
    seen: Counter[int] = Counter()
    app = toy_app(quiet().model_copy(update={"request_log": log}))

    async def send(client: httpx.AsyncClient, sent: object, path: str, raw: str) -> None:
        headers = {"content-type": "application/json"}
        content = (
            json.dumps(sent).encode() if raw != "cut" else json.dumps(sent, ensure_ascii=False).encode()[:-1]
        )
        query = {"explain": raw} if raw not in ("whole", "cut") else {}
        reply = await client.post(path, content=content, headers=headers, params=query)
        seen[reply.status_code] += 1
        if reply.status_code != 200:
            answer = json.dumps(check(reply), ensure_ascii=False)
            for text in [*secrets_in(sent), *([raw] if query else [])]:
                assert text not in answer
                assert json.dumps(text)[1:-1] not in answer

    with asyncio.Runner() as runner:
        context = running(app)
        client = runner.run(context.__aenter__())

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
        @given(
            body,
            st.sampled_from(["/v1/toy/predict", "/predict"]),
            st.one_of(st.sampled_from(["whole", "cut"]), secret),
        )
        def run(sent: object, path: str, raw: str) -> None:
            runner.run(send(client, sent, path, raw))

        run()
        runner.run(context.__aexit__(None, None, None))
    return seen


def check_fuzz(log: Path, examples: int) -> None:
    seen = fuzz(log, examples)
    assert seen[400] > 0
    assert seen[422] > 0
    assert not [status for status in seen if status >= 500]
    lines = log.read_text().splitlines()
    assert len(lines) == sum(seen.values())
    for line in lines:
        json.loads(line)
        assert line.isprintable()
        assert not set(line) & set("ѦѪѬ☃\u202e")


def test_no_answer_and_no_log_line_repeats_what_was_sent(tmp_path: Path) -> None:
    check_fuzz(tmp_path / "log.jsonl", EXAMPLES)


@pytest.mark.release
def test_no_answer_and_no_log_line_repeats_what_was_sent_at_full_size(tmp_path: Path) -> None:
    check_fuzz(tmp_path / "log.jsonl", RELEASE_EXAMPLES)
