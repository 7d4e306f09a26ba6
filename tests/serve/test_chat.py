"""The runtime `chat`: texts whole and by events, golden answers, limits, and clients that go away."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from serve.parrots import OTHER, TABLE, Client, bigrams, events, golden_answers, parrot_artifact, parrot_files
from serve.processes import eventually, metric, serving
from serve.toys import ask, quiet, running, toy_artifact, until
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.language import GOLDEN_LIMITS
from tocsin.core.plugins import load_detector
from tocsin.serve.app import create_app
from tocsin.serve.chat import ChatService
from tocsin.serve.service import Offer
from tocsin.serve.settings import Settings

PATH = "/v1/parrot/answer"
DIGEST = parrot_artifact().digest
FOX = {"text": " quick brown fox", "tokens": 3, "stopped": "end", "artifact": DIGEST}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts begin at nothing, and no word is waited for."""
    for name, value in {"before": None, "made": 0, "begun": 0, "ended": 0}.items():
        monkeypatch.setattr(bigrams.Bigrams, name, value)


def parrot_app(artifact: Any = None, **settings: Any) -> Starlette:
    return create_app([Offer(artifact or parrot_artifact())], quiet(**settings))


def post(body: object, query: str = "", app: Starlette | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    return ask(
        lambda client: client.post(PATH + query, content=content, headers=headers), app or parrot_app()
    )


# Answers


def test_answers_as_worked_out_by_hand() -> None:
    one, some = post({"word": "the"}), post([{"word": "the"}, {"word": "fox"}])
    assert one.json() == {"answers": [FOX], "artifact": DIGEST}
    nothing = {"text": "", "tokens": 0, "stopped": "end", "artifact": DIGEST}
    assert some.json() == {"answers": [FOX, nothing], "artifact": DIGEST}


@pytest.mark.parametrize(("most", "stopped"), [(2, "length"), (3, "length"), (4, "end")])
def test_an_answer_ends_at_the_most_tokens(most: int, stopped: str) -> None:
    (reply,) = post({"word": "the"}, app=parrot_app(max_tokens=most)).json()["answers"]
    assert reply["text"] == "".join([" quick", " brown", " fox"][:most])
    assert (reply["tokens"], reply["stopped"]) == (min(most, 3), stopped)


def test_a_model_that_does_not_obey_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_self: object, _sample: object, _limits: object) -> Iterator[str]:
        while True:
            yield "!"

    app = parrot_app(max_tokens=9)

    async def converse(client: httpx.AsyncClient) -> dict[str, Any]:
        monkeypatch.setattr(bigrams.Bigrams, "stream", endless)
        return (await client.post(PATH, json={"word": "the"})).json()

    assert ask(converse, app)["answers"][0]["text"] == "!" * 9


@pytest.mark.parametrize(
    "body", [{"word": "the"}, [{"word": "ein"}, {"word": "fox"}, {"word": "the"}], {"word": "fox"}]
)
def test_the_events_are_the_pieces_and_the_last_is_the_answer_without_stream(body: Any) -> None:
    whole, streamed = post(body), post(body, "?stream=1")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.headers["cache-control"] == "no-store"
    *pieces, (name, last) = events(streamed.text)
    assert (name, last) == ("answers", whole.json())
    assert {name for name, _ in pieces} <= {"message"}
    for index, answer in enumerate(last["answers"]):
        texts = [data["text"] for _, data in pieces if data["sample"] == index]
        assert ("".join(texts), len(texts)) == (answer["text"], answer["tokens"])


def test_pieces_are_sent_as_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second word is not made before the first one has arrived."""
    app, go, seen = parrot_app(), threading.Event(), []
    client = Client(leaves=lambda: False)

    def hold(word: str) -> None:
        if word == "quick":
            go.wait(10)

    async def converse(_client: httpx.AsyncClient) -> None:
        monkeypatch.setattr(bigrams.Bigrams, "before", staticmethod(hold))
        task = asyncio.create_task(client.post(app, f"{PATH}?stream=1", {"word": "the"}))
        await until(lambda: client.content)
        seen.append(events(client.content.decode()))
        go.set()
        await task

    ask(converse, app)
    assert seen == [[("message", {"sample": 0, "text": " quick"})]]
    assert events(client.content.decode())[-1][1]["answers"] == [FOX]


def test_a_short_answer_comes_in_between_a_long_one() -> None:
    app = parrot_app(max_tokens=5000)
    client = Client(leaves=lambda: False)

    async def converse(other: httpx.AsyncClient) -> tuple[list[dict], int]:
        task = asyncio.create_task(client.post(app, PATH, {"word": "tick"}))
        await until(lambda: bigrams.Bigrams.made > 70)
        short = (await other.post(PATH, json={"word": "the"})).json()["answers"]
        made = bigrams.Bigrams.made
        await task
        return short, made

    short, made = ask(converse, app)
    assert short == [FOX]
    assert made < 5000
    assert json.loads(client.content)["answers"][0]["tokens"] == 5000


# Refusals


@pytest.mark.parametrize(
    ("body", "query", "status", "kind"),
    [
        (b"{", "", 400, "malformed-json"),
        (b'{"word":"a","word":"b"}', "", 400, "duplicate-key"),
        ({"words": "the"}, "", 422, "invalid-sample"),
        ({"word": "x" * 101}, "", 422, "invalid-sample"),
        ({"word": "too long"}, "", 422, "invalid-sample"),
        ([{"word": "the"}] * 5, "", 422, "invalid-sample"),
        ([], "", 422, "invalid-sample"),
        *(
            ({"word": "the"}, query, 422, "invalid-query")
            for query in ("?stream=0", "?stream", "?explain=1", "?stream=1&stream=1")
        ),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_bad_request_is_a_problem(body: Any, query: str, status: int, kind: str, streamed: bool) -> None:
    query = query or ("?stream=1" if streamed else "")
    reply = post(body, query)
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:tocsin:problem:{kind}")
    assert "too long" not in reply.text


@pytest.mark.parametrize("query", ["", "?stream=1"])
def test_only_json_is_taken_and_refusals_are_counted(query: str) -> None:
    async def converse(client: httpx.AsyncClient) -> tuple[int, str]:
        reply = await client.post(PATH + query, content=b"the", headers={"content-type": "text/plain"})
        return reply.status_code, (await client.get("/metrics")).text

    status, metrics = ask(converse, parrot_app())
    assert status == 415
    assert (
        'inputs_rejected_total{alias="default",detector="parrot",reason="unsupported-media-type"} 1'
        in metrics
    )


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-way through a stream it is the last event; else the status says so."""
    app = parrot_app(inference_timeout=0.3, max_tokens=8000)

    async def converse(
        client: httpx.AsyncClient,
    ) -> tuple[httpx.Response, httpx.Response, httpx.Response, str]:
        monkeypatch.setattr(bigrams.Bigrams, "before", staticmethod(lambda _word: time.sleep(0.01)))
        whole = await client.post(PATH, json={"word": "tick"})
        streamed = await client.post(f"{PATH}?stream=1", json={"word": "tick"})
        monkeypatch.setattr(bigrams.Bigrams, "before", staticmethod(lambda _word: time.sleep(0.5)))
        never_begun = await client.post(f"{PATH}?stream=1", json={"word": "tick"})
        await until(lambda: bigrams.Bigrams.ended >= 6)
        return whole, streamed, never_begun, (await client.get("/metrics")).text

    whole, streamed, never_begun, metrics = ask(converse, app)
    assert (whole.status_code, streamed.status_code, never_begun.status_code) == (504, 200, 504)
    *pieces, (name, problem) = events(streamed.text)
    assert len(pieces) > 3
    assert (name, problem["type"]) == ("problem", "urn:tocsin:problem:inference-timeout")
    assert problem["instance"] == f"urn:request:{streamed.headers['x-request-id']}"
    assert 'tocsin_requests_shed_total{reason="inference-timeout"} 3' in metrics
    assert 'stopped="broken"} 3' in metrics


def test_a_full_server_refuses_before_a_stream_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    app = parrot_app(queue=1)
    first = Client(leaves=lambda: False)

    async def converse(client: httpx.AsyncClient) -> list[int]:
        monkeypatch.setattr(bigrams.Bigrams, "before", staticmethod(lambda _word: go.wait(10)))
        task = asyncio.create_task(first.post(app, f"{PATH}?stream=1", {"word": "the"}))
        await until(lambda: app.state.tocsin.lane.admitted)
        refused = [
            (await client.post(PATH + query, json={"word": "the"})).status_code for query in ("", "?stream=1")
        ]
        go.set()
        await task
        return [*refused, (await client.post(PATH, json={"word": "the"})).status_code]

    assert ask(converse, app) == [503, 503, 200]
    assert first.status == 200


def test_an_unexpected_failure_half_way_breaks_off_and_is_logged_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(word: str) -> None:
        if word == "brown":
            raise RuntimeError("secret swordfish")

    app, client = parrot_app(), Client(leaves=lambda: False)

    async def converse(_client: httpx.AsyncClient) -> None:
        monkeypatch.setattr(bigrams.Bigrams, "before", staticmethod(fail))
        with pytest.raises(RuntimeError):  # the server's loop breaks the connection off
            await client.post(app, f"{PATH}?stream=1", {"word": "the"})

    ask(converse, app)
    assert [name for name, _ in events(client.content.decode())] == ["message", "message"]
    (record,) = [r for r in caplog.records if r.name == "tocsin.serve.middleware"]
    assert record.error == "RuntimeError"
    assert "swordfish" not in caplog.text
    assert app.state.tocsin.lane.admitted == 0


# Clients that go away


@pytest.mark.parametrize("query", ["", "?stream=1"])
@pytest.mark.parametrize("leaves", [True, False])
def test_a_client_that_goes_away_stops_the_writing(query: str, leaves: bool) -> None:
    """Negative control: with a client that stays, every token is written."""
    app = parrot_app(max_tokens=3000)
    client = Client(leaves=lambda: leaves and bigrams.Bigrams.made > 100)

    async def converse(other: httpx.AsyncClient) -> str:
        await client.post(app, PATH + query, {"word": "tick"})
        await until(lambda: bigrams.Bigrams.ended == 4)  # three golden answers, and this one
        assert app.state.tocsin.lane.admitted == 0
        return (await other.get("/metrics")).text

    metrics = ask(converse, app)
    made = bigrams.Bigrams.made - golden_tokens()
    assert (made < 1500) if leaves else (made == 3000)
    stopped = "broken" if leaves else "length"
    series = (
        f'tocsin_answers_total{{alias="default",detector="parrot",model_version="7",stopped="{stopped}"}} 1'
    )
    assert series in metrics
    code = 499 if leaves else 200
    assert f'tocsin_http_requests_total{{code="{code}",method="POST",route="{PATH}"}} 1.0' in metrics


def golden_tokens() -> int:
    return 3 + GOLDEN_LIMITS.tokens


@pytest.mark.parametrize("query", ["", "?stream=1"])
def test_a_client_that_is_gone_at_once_holds_no_place(query: str) -> None:
    app = parrot_app(max_tokens=3000)

    async def converse(other: httpx.AsyncClient) -> int:
        for _ in range(5):
            await Client(leaves=lambda: True).post(app, PATH + query, {"word": "tick"})
        assert app.state.tocsin.lane.admitted == 0
        await until(lambda: bigrams.Bigrams.ended == bigrams.Bigrams.begun)
        return (await other.post(PATH, json={"word": "the"})).status_code

    assert ask(converse, app) == 200
    assert bigrams.Bigrams.made < golden_tokens() + 5 * 10 + 4


def test_over_a_socket_too(sealed_parrot: Any) -> None:
    """A process, a client that reads three events and hangs up, and others that are answered meanwhile."""
    options = {"slow": 0.01, "slow_by": "tocsin.detectors.parrot.bigrams:slow_by"}
    settings = {"max_tokens": 4000, "inference_timeout": 60}
    with serving(sealed_parrot, settings=settings, **options) as server:
        with closing(server.connect()) as connection:
            body = json.dumps({"word": "tick"})
            connection.request("POST", f"{PATH}?stream=1", body, {"content-type": "application/json"})
            reply = connection.getresponse()
            first = [reply.readline() for _ in range(6)]
            assert server.request("POST", PATH, {"word": "the"})[0] == 200
            assert (
                metric(
                    server,
                    'tocsin_answers_total{alias="default",detector="parrot",model_version="7",stopped="broken"',
                )
                == 0
            )
            connection.sock.close()  # type: ignore[union-attr]
            reply.close()
        eventually(lambda: metric(server, "tocsin_answers_total") == 2)
        tokens = metric(server, "tocsin_llm_tokens_total")
        in_flight = metric(server, "tocsin_inference_in_flight_requests")
        assert server.end() == 0
    assert first[0] == b'data: {"sample":0,"text":" tock"}\n'
    assert 3 < tokens < 2000
    assert in_flight == 0


def test_a_conversation_without_torch_and_without_a_side_effect(sealed_parrot: Any, tmp_path: Any) -> None:
    """After the start nothing is imported, compiled, opened or reached; see the negative control in test_server."""
    report, begun = tmp_path / "report", tmp_path / "begun"
    with serving(sealed_parrot, watch=[str(report), str(begun)]) as server:
        begun.touch()
        bodies = [{"word": "the"}, [{"word": "the"}] * 2, {"words": "the"}, {"word": "too long"}]
        statuses = [
            server.request("POST", PATH + query, body)[0] for body in bodies for query in ("", "?stream=1")
        ]
        begun.unlink()
        assert server.end() == 0
    assert statuses == [200] * 4 + [422] * 4
    assert report.read_text() == ""


# Golden answers and loading


def loaded(files: dict[str, bytes] | None = None) -> ChatService:
    service = ChatService(Offer(parrot_artifact(files)))
    service.load()
    return service


def test_golden_answers_are_written_again_and_counted() -> None:
    service = ChatService(Offer(parrot_artifact()))
    assert (service.is_ready, service.golden) == (False, 0)
    service.load()
    assert (service.is_ready, service.golden) == (True, 3)


@pytest.mark.parametrize(
    "answers",
    [
        {"fox": "", "the": " quick brown dog"},
        {"fox": "", "the": " quick brown"},
        {"fox": "", "the": " quick brown fox "},
        {"fox": "", "tick": " tock tick" * 31},
        {"fox": "", "tick": " tock tick" * 33},
    ],
)
def test_another_answer_than_the_golden_one_refuses_the_artifact(answers: dict[str, str]) -> None:
    with pytest.raises(CheckFailed, match=r"^golden\.jsonl:2: the answer is not what it was"):
        loaded(parrot_files(golden=golden_answers(answers)))


def test_another_model_is_found_by_the_golden_answers() -> None:
    with pytest.raises(CheckFailed, match=r"golden\.jsonl:1"):
        loaded(parrot_files(table=OTHER))


@pytest.mark.parametrize(
    ("golden", "fault"),
    [
        (b"", "missing or empty"),
        (b"{}\n", r"golden\.jsonl:1"),
        (golden_answers() + b"{not json\n", r"golden\.jsonl:4: not a golden answer to a Question"),
        (b'{"sample": {"words": "x"}, "answer": ""}', r"golden\.jsonl:1"),
        (b'{"sample": {"word": "x"}, "answer": 1}', r"golden\.jsonl:1"),
        (b'{"sample": {"word": "x"}, "answer": "", "outputs": {}}', r"golden\.jsonl:1"),
    ],
)
def test_golden_answers_that_cannot_be_read_refuse_the_artifact(golden: bytes, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        loaded(parrot_files(golden=golden))


def test_a_model_that_answers_otherwise_is_never_ready(caplog: pytest.LogCaptureFixture) -> None:
    app = parrot_app(parrot_artifact(parrot_files(table=OTHER)))

    async def converse() -> list[int]:
        async with running(app, ready=False) as client:
            await until(lambda: caplog.records)
            statuses = [(await client.get(path)).status_code for path in ("/health/ready", "/health/live")]
            replies = [await client.post(PATH + query, json={"word": "the"}) for query in ("", "?stream=1")]
            return statuses + [reply.status_code for reply in replies]

    assert asyncio.run(converse()) == [503, 200, 503, 503]
    assert "golden.jsonl:1" in caplog.text


def test_files_that_the_model_does_not_know_are_bad_input() -> None:
    with pytest.raises(InputError, match="not a table of words"):
        loaded(parrot_files() | {bigrams.TABLE: b"["})


def with_answer(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    changed = replace(load_detector("parrot"), answer=answer)
    monkeypatch.setattr("tocsin.serve.service.load_detector", lambda _name: changed)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, "detector 'parrot' has no language model: its `answer` names none"),
        (
            "tocsin.nowhere:load",
            "the language model of 'parrot' cannot be imported here: No module named 'tocsin.nowhere'",
        ),
    ],
)
def test_a_model_that_is_not_there_is_refused_in_one_line(
    answer: str | None, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_answer(monkeypatch, answer)
    with pytest.raises(InputError) as caught:
        loaded()
    assert str(caught.value) == fault


# Beside verdicts


def test_texts_and_verdicts_stand_side_by_side(tmp_path: Any) -> None:
    log = tmp_path / "requests.jsonl"
    offers = [
        Offer(parrot_artifact(), "champion"),
        Offer(parrot_artifact(parrot_files(OTHER, golden_answers({"fox": ""}))), "challenger"),
        Offer(toy_artifact()),
    ]
    app = create_app(offers, Settings(request_log=log))

    async def converse(client: httpx.AsyncClient) -> tuple[list[Any], str]:
        paths = [PATH, "/v1/parrot@challenger/answer", "/v1/toy/predict"]
        replies = [
            (await client.post(path, json={"word": "the"} if "parrot" in path else {})).json()
            for path in paths
        ]
        replies += [(await client.get(path)).json() for path in ("/v1/parrot", "/v1/models")]
        return replies, (await client.get("/metrics")).text

    (champion, challenger, verdict, card, models), metrics = ask(converse, app)
    assert champion["answers"] == [FOX]
    assert challenger["answers"][0]["text"] == " quick brown dog"
    assert champion["artifact"] != challenger["artifact"]
    assert len(verdict["verdicts"]) == 1
    assert (card["runtime"], card["decoding"], card["fields"]) == ("chat", "greedy", ["word"])
    assert "threshold" not in card
    assert [model["runtime"] for model in models["models"]] == ["chat", "chat", "onnx"]
    for alias in ("champion", "challenger"):
        assert f'tocsin_llm_tokens_total{{alias="{alias}",detector="parrot",kind="answer"}} 3' in metrics
    first = json.loads(log.read_text().splitlines()[0])
    assert {key: first[key] for key in ("detector", "alias", "artifact", "tokens", "stopped")} == {
        "detector": "parrot", "alias": "champion", "artifact": DIGEST, "tokens": 3, "stopped": ["end"],
    }  # fmt: skip
    assert TABLE["the"] not in log.read_text()
