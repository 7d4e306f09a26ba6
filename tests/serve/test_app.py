"""What the application answers, over ASGI without a socket."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from serve.toys import (
    ATTACK,
    CALM,
    SAMPLES,
    ask,
    golden_lines,
    post,
    quiet,
    running,
    toy_app,
    toy_artifact,
    toy_files,
    toy_module,
    until,
)
from tocsin.core.errors import InputError
from tocsin.serve.app import create_app
from tocsin.serve.predictor import Predictor
from tocsin.serve.service import Offer
from tocsin.serve.settings import Settings

TOKEN = "correct-horse-battery"
ROUTES = [
    "/v1/models",
    "/v1/toy",
    "/health/live",
    "/health/ready",
    "/health",
    "/metrics",
    "/docs",
    "/openapi.json",
]
POSTS = ["/v1/toy/predict", "/predict", "/v1/predict"]
JSON = {"content-type": "application/json"}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Inference stands still until the event is set."""
    event = threading.Event()

    def hold(_columns: object) -> None:
        if threading.current_thread().name.startswith("inference"):
            event.wait(10)

    monkeypatch.setattr(toy_module().ToyEncoder, "before", staticmethod(hold))
    return event


def get(path: str, app: Starlette | None = None, **headers: str) -> httpx.Response:
    return ask(lambda client: client.get(path, headers=headers), app)


def metric(text: str, line: str) -> float:
    found = [row for row in text.splitlines() if row.startswith(line)]
    return sum(float(row.rpartition(" ")[2]) for row in found)


def test_verdicts_over_http_are_those_of_the_predictor() -> None:
    predictor = Predictor.load(toy_artifact())
    expected = [v.model_dump(mode="json") for v in predictor.predict(predictor.golden_samples(), explain=2)]

    async def converse(client: httpx.AsyncClient) -> tuple[dict, list[dict]]:
        together = await client.post("/v1/toy/predict", json=SAMPLES, params={"explain": 2})
        alone = [await client.post("/v1/toy/predict?explain=2", json=sample) for sample in SAMPLES]
        return together.json(), [reply.json()["verdicts"][0] for reply in alone]

    together, alone = ask(converse)
    assert together == {"verdicts": expected, "artifact": predictor.artifact.digest}
    for mine, other in zip(alone, expected, strict=True):
        assert mine | {"probability": 0, "evidence": 0} == other | {"probability": 0, "evidence": 0}
        assert mine["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_a_batch_of_many_jobs_keeps_its_order() -> None:
    samples = [{"a": i / 100} for i in range(-150, 150)]
    for threads in (1, 3):
        reply = post(samples, app=toy_app(quiet(threads=threads))).json()
        found = [v["probability"] for v in reply["verdicts"]]
        assert len(found) == 300
        assert found == sorted(found)
        assert found[0] < found[-1]


@pytest.mark.parametrize("path", ["/predict", "/v1/predict"])
def test_older_clients_get_their_words(path: str) -> None:
    listed = post({"features": [3.0, 2.0, "udp", None]}, path).json()
    named = post(ATTACK, path).json()
    calm = post(CALM, path).json()
    assert listed == named
    assert listed["prediction"] == "bad"
    assert listed["confidence"] == listed["score"] == pytest.approx(0.914466, abs=1e-5)
    assert (calm["prediction"], calm["confidence"]) == ("good", pytest.approx(1 - calm["score"]))


def test_describes_what_is_served() -> None:
    card, models = get("/v1/toy").json(), get("/v1/models").json()
    assert models["models"] == [
        {
            "detector": "toy", "alias": "default", "path": "/v1/toy", "runtime": "onnx", "name": "toys",
            "version": "7", "digest": toy_artifact().digest, "ready": True,
        }
    ]  # fmt: skip
    assert card["schema"]["additionalProperties"] is False
    assert card["fields"] == ["a", "b", "protocol", "note"]
    assert (card["threshold"], card["abstain_below"], card["positive"]) == (0.6, 0.4, "bad")
    assert card["metrics"]["roc_auc"]["low"] == 0.8


def test_documents_need_nothing_from_elsewhere() -> None:
    page, spec = get("/docs"), get("/openapi.json").json()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert (
        "//" not in page.text.replace("http://www.w3.org", "").replace("https://", "//")
        or "src=" not in page.text
    )
    assert set(spec["paths"]) == {*POSTS, *ROUTES} - {"/docs", "/openapi.json"}
    assert spec["components"]["schemas"]["toy.Toy"]["additionalProperties"] is False


def test_aliases_are_there_for_a_single_artifact_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str):
        return toy_module().DETECTOR

    for module in ("predictor", "service"):
        monkeypatch.setattr(f"tocsin.serve.{module}.load_detector", load)
    two = create_app([Offer(toy_artifact()), Offer(toy_artifact(detector="other"))], quiet())

    async def converse(client: httpx.AsyncClient) -> list[int]:
        replies = [await client.post(path, json=ATTACK) for path in (*POSTS, "/v1/other/predict")]
        return [reply.status_code for reply in replies] + [(await client.get("/health")).status_code]

    assert ask(converse, two) == [200, 404, 404, 200, 404]


def test_nothing_cannot_be_served() -> None:
    with pytest.raises(InputError, match="no artifact to serve"):
        create_app([], quiet())


# Bodies and their limits


async def chunks(size: int, piece: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, size, piece):
        yield b" " * min(piece, size - start)


@pytest.mark.parametrize("path", [*POSTS, *ROUTES, "/nowhere"])
@pytest.mark.parametrize("announced", [True, False])
def test_no_route_takes_a_body_over_the_limit(path: str, announced: bool) -> None:
    method = "POST" if path in POSTS else "GET"

    async def converse(client: httpx.AsyncClient) -> tuple[int, int]:
        statuses = []
        for size in (2048, 2049):
            content = b" " * size if announced else chunks(size)
            reply = await client.request(method, path, content=content, headers=JSON)
            statuses.append(reply.status_code)
        return statuses[0], statuses[1]

    within, over = ask(converse, toy_app(quiet(max_body_bytes=2048)))
    assert within == {"/nowhere": 404}.get(path, 400 if method == "POST" else 200)
    assert over == 413


def test_a_body_that_never_ends_is_cut_off() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1000
            yield b" " * 1000

    async def converse(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/toy/predict", content=endless(), headers=JSON)

    reply = ask(converse, toy_app(quiet(max_body_bytes=2048)))
    assert (reply.status_code, reply.headers["connection"]) == (413, "close")
    assert taken < 20_000


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)

    async def converse(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/toy/predict", content=slow(), headers=JSON)

    start = time.monotonic()
    reply = ask(converse, toy_app(quiet(body_timeout=0.05)))
    assert (reply.status_code, reply.headers["connection"]) == (408, "close")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/jsonx"},
        {"content-encoding": "gzip"},
    ],
)
@pytest.mark.parametrize("path", POSTS)
def test_only_plain_json_is_taken(headers: dict[str, str], path: str) -> None:
    assert post(ATTACK, path, headers=headers).status_code == 415


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
def test_json_may_say_that_it_is_utf_8(content_type: str) -> None:
    assert post(ATTACK, headers={"content-type": content_type}).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "explain=x",
        "explain=-1",
        "explain=33",
        "explain=",
        "explain=1&explain=1",
        "explian=1",
        "x",
        "explain=١",
    ],
)
def test_a_query_that_is_not_understood_is_refused(query: str) -> None:
    assert post(ATTACK, f"/v1/toy/predict?{query}").status_code == 422


def test_evidence_and_rows_are_limited() -> None:
    app = toy_app(quiet(max_explained=2, max_batch=3))

    async def converse(client: httpx.AsyncClient) -> list[int]:
        asked = [([{}] * 2, 1), ([{}] * 3, 1), ([{}] * 3, 0), ([{}] * 4, 0)]
        return [
            (await client.post(f"/v1/toy/predict?explain={k}", json=body)).status_code for body, k in asked
        ]

    assert ask(converse, app) == [200, 422, 200, 422]


# Tokens


CREDENTIALS = {
    f"Bearer {TOKEN}": True,
    f"bearer  {TOKEN}": True,
    "Bearer another-token-of-length": True,
    "": False,
    "Bearer": False,
    f"Basic {TOKEN}": False,
    f"Bearer {TOKEN}x": False,
    f"Bearer {TOKEN[:-1]}": False,
    "Bearer \xff": False,
}


@pytest.mark.parametrize("path", ROUTES)
def test_a_token_opens_every_route_but_health(path: str) -> None:
    async def converse(client: httpx.AsyncClient) -> list[httpx.Response]:
        sent = [[(b"authorization", text.encode("latin-1"))] for text in CREDENTIALS]
        return [await client.get(path, headers=headers) for headers in sent]

    replies = ask(converse, toy_app(quiet(tokens=(TOKEN, "another-token-of-length"))))
    for reply, fits in zip(replies, CREDENTIALS.values(), strict=True):
        assert reply.status_code == (200 if fits or path.startswith("/health") else 401)
        if reply.status_code == 401:
            assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [*POSTS, "/nowhere"])
def test_without_a_token_nothing_is_answered(path: str) -> None:
    assert post(ATTACK, path, toy_app(quiet(tokens=(TOKEN,)))).status_code == 401


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), (TOKEN, 413)])
def test_the_token_is_looked_at_before_the_body(token: str, status: int) -> None:
    """The control: with the right token the same body is read until it is too long."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1000
            yield b" " * 1000

    async def converse(client: httpx.AsyncClient) -> httpx.Response:
        headers = JSON | {"authorization": f"Bearer {token}"}
        return await client.post("/v1/toy/predict", content=endless(), headers=headers)

    reply = ask(converse, toy_app(quiet(max_body_bytes=2048, tokens=(TOKEN,))))
    assert (reply.status_code, reply.headers["connection"]) == (status, "close")
    assert (taken == 0) is (status == 401)


# Health


def test_a_model_that_answers_otherwise_is_never_ready(caplog: pytest.LogCaptureFixture) -> None:
    golden = golden_lines().replace(b'"logit": ', b'"logit": 1', 1)

    async def converse() -> list[httpx.Response]:
        app = toy_app(artifact=toy_artifact(toy_files(golden=golden)))
        async with running(app, ready=False) as client:
            await until(lambda: caplog.records)
            paths = ["/health/ready", "/health", "/health/live", "/v1/models"]
            return [await client.get(path) for path in paths] + [
                await client.post("/v1/toy/predict", json={})
            ]

    ready, health, live, models, predicted = asyncio.run(converse())
    assert [r.status_code for r in (ready, health, live, predicted)] == [503, 503, 200, 503]
    assert models.json()["models"][0]["ready"] is False
    assert predicted.headers["retry-after"] == "1"
    assert "golden.jsonl:1" in caplog.text


def test_is_not_ready_while_it_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    loading, app = threading.Event(), toy_app()
    monkeypatch.setattr(toy_module().ToyEncoder, "before", staticmethod(lambda _columns: loading.wait(10)))

    async def converse() -> tuple[int, int, int]:
        async with running(app, ready=False) as client:
            before = (await client.get("/health/ready")).status_code
            live = (await client.get("/health/live")).status_code
            loading.set()
            await until(lambda: app.state.tocsin.is_ready)
            return before, live, (await client.get("/health/ready")).status_code

    assert asyncio.run(converse()) == (503, 200, 200)


def test_is_not_ready_but_answers_while_it_drains() -> None:
    app = toy_app()

    async def converse(client: httpx.AsyncClient) -> tuple[int, int, str]:
        app.state.tocsin.draining = True
        reply = await client.post("/v1/toy/predict", json=ATTACK)
        return (await client.get("/health/ready")).status_code, reply.status_code, reply.headers["connection"]

    assert ask(converse, app) == (503, 200, "close")


@pytest.mark.parametrize("frozen", [True, False])
def test_liveness_fails_when_and_only_when_inference_stands_still(
    held: threading.Event, frozen: bool
) -> None:
    """The heartbeat grows old too. The negative control is the same server whose inference goes on."""
    app = toy_app(quiet(heartbeat_timeout=0.3, inference_timeout=20))

    async def converse(client: httpx.AsyncClient) -> tuple[int, float, int, int]:
        if not frozen:
            held.set()
        asked = asyncio.create_task(client.post("/v1/toy/predict", json=ATTACK))
        await asyncio.sleep(0.5)
        live = (await client.get("/health/live")).status_code
        age = time.time() - metric((await client.get("/metrics")).text, "tocsin_engine_heartbeat")
        held.set()
        answered = (await asked).status_code
        return live, age, answered, (await client.get("/health/live")).status_code

    live, age, answered, later = ask(converse, app)
    assert (live, age > 0.15) == ((503, True) if frozen else (200, False))
    assert (answered, later) == (200, 200)


def test_jobs_that_are_never_started_fail_liveness() -> None:
    app = toy_app(quiet(heartbeat_timeout=0.1, inference_timeout=0.5))

    class Dead(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return Future()

    async def converse(client: httpx.AsyncClient) -> tuple[int, int]:
        app.state.tocsin.lane._pool = Dead()
        asked = asyncio.create_task(client.post("/v1/toy/predict", json=ATTACK))
        await asyncio.sleep(0.3)
        return (await client.get("/health/live")).status_code, (await asked).status_code

    assert ask(converse, app) == (503, 504)


# Load


def test_too_many_waiting_requests_are_refused_at_once(held: threading.Event) -> None:
    app = toy_app(quiet(queue=3))

    async def converse(client: httpx.AsyncClient) -> tuple[list[int], httpx.Response, float, str]:
        accepted = [asyncio.create_task(client.post("/v1/toy/predict", json=ATTACK)) for _ in range(3)]
        await asyncio.sleep(0.1)
        start = time.perf_counter()
        refused = await client.post("/v1/toy/predict", json=ATTACK)
        seconds = time.perf_counter() - start
        held.set()
        statuses = [(await task).status_code for task in accepted]
        again = await client.post("/v1/toy/predict", json=ATTACK)
        return [*statuses, again.status_code], refused, seconds, (await client.get("/metrics")).text

    statuses, refused, seconds, metrics = ask(converse, app)
    assert statuses == [200] * 4
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert seconds < 0.1
    assert metric(metrics, 'tocsin_requests_shed_total{reason="overloaded"}') == 1


def test_an_answer_that_takes_too_long_is_given_up(held: threading.Event) -> None:
    app = toy_app(quiet(inference_timeout=0.1))

    async def converse(client: httpx.AsyncClient) -> list[int]:
        late = await client.post("/v1/toy/predict", json=ATTACK)
        held.set()
        return [late.status_code, (await client.post("/v1/toy/predict", json=ATTACK)).status_code]

    assert ask(converse, app) == [504, 200]


def test_a_single_comes_in_between_the_jobs_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy_module().ToyEncoder, "before", staticmethod(lambda _columns: time.sleep(0.02)))
    app = toy_app(quiet(max_batch=1000))

    async def converse(client: httpx.AsyncClient) -> list[str]:
        done = []

        async def send(name: str, body: object) -> None:
            assert (await client.post("/v1/toy/predict", json=body)).status_code == 200
            done.append(name)

        batch = asyncio.create_task(send("batch", [{}] * 640))
        await asyncio.sleep(0.05)
        await send("single", {})
        await batch
        return done

    assert ask(converse, app) == ["single", "batch"]


# Counts and log


def test_every_request_is_counted_exactly(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    app = toy_app(Settings(request_log=log))

    async def converse(client: httpx.AsyncClient) -> str:
        for _ in range(5):
            await client.post("/v1/toy/predict", json=[ATTACK, CALM, {"a": 0.1, "b": 0.0}])
        await client.post("/v1/toy/predict", json={"x": 1})
        await client.post("/v1/toy/predict", json={"note": "not finite"})
        await client.request("BREW", "/pot")
        await client.post("/predict", json=ATTACK)
        return (await client.get("/metrics")).text

    text = ask(converse, app)
    assert metric(text, 'tocsin_http_requests_total{code="200",method="POST",route="/v1/toy/predict"}') == 5
    assert metric(text, 'tocsin_http_requests_total{code="404",method="other",route="unmatched"}') == 1
    assert metric(text, "tocsin_http_requests_total") == 9
    toy = 'alias="default",decision="{}",detector="toy",model_version="7"'
    assert metric(text, f"tocsin_predictions_total{{{toy.format('bad')}}}") == 6
    assert metric(text, f"tocsin_predictions_total{{{toy.format('good')}}}") == 5
    assert metric(text, 'tocsin_abstentions_total{alias="default",detector="toy"}') == 5
    assert (
        metric(text, 'tocsin_inputs_rejected_total{alias="default",detector="toy",reason="invalid-sample"}')
        == 1
    )
    assert metric(text, 'tocsin_nonfinite_outputs_total{alias="default",detector="toy"}') == 1
    assert metric(text, "tocsin_prediction_score_ratio_count") == 16
    assert metric(text, "tocsin_inference_batch_size_sum") == 16
    assert (
        metric(
            text,
            'tocsin_inference_stage_duration_seconds_count{alias="default",detector="toy",stage="infer"}',
        )
        >= 6
    )
    assert metric(text, "tocsin_model_trained_timestamp_seconds") == 1795168800
    assert metric(text, "tocsin_model_info") == 1
    assert "process_resident_memory_bytes" in text
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 10
    assert lines[0]["decisions"] == {"bad": 1, "good": 1, "abstain": 1}
    assert lines[0] | {"timestamp": 0, "request_id": 0, "latency_s": 0, "decisions": 0} == {
        "timestamp": 0, "request_id": 0, "method": "POST", "route": "/v1/toy/predict", "status": 200,
        "input_bytes": 91, "latency_s": 0, "detector": "toy", "alias": "default", "rows": 3, "decisions": 0,
        "artifact": toy_artifact().digest,
    }  # fmt: skip
    assert lines[7]["route"] == "unmatched"
    assert lines[7]["method"] == "other"


def test_applications_do_not_share_their_numbers() -> None:
    texts = []
    for _ in range(2):

        async def converse(client: httpx.AsyncClient) -> str:
            await client.post("/v1/toy/predict", json=ATTACK)
            return (await client.get("/metrics")).text

        texts.append(ask(converse))
    assert [metric(text, "tocsin_predictions_total") for text in texts] == [1, 1]


def test_the_request_has_one_name_everywhere(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    reply = post({"x": 1}, app=toy_app(Settings(request_log=log)), headers={"x-request-id": "chosen-by-me"})
    name = reply.headers["x-request-id"]
    assert reply.json()["instance"] == f"urn:request:{name}"
    assert json.loads(log.read_text())["request_id"] == name
    assert name != "chosen-by-me"


def test_an_unexpected_error_tells_nothing_and_is_logged_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(columns: dict) -> None:
        if threading.current_thread().name.startswith("inference"):
            raise RuntimeError(f"secret {columns['note']}")

    monkeypatch.setattr(toy_module().ToyEncoder, "before", staticmethod(fail))
    reply = post({"note": "swordfish"})
    assert reply.status_code == 500
    assert reply.json()["type"] == "urn:tocsin:problem:internal-error"
    (record,) = [r for r in caplog.records if r.name == "tocsin.serve.middleware"]
    assert record.error == "RuntimeError"
    assert record.where.endswith(f"{Path(__file__).name}:{fail.__code__.co_firstlineno + 2}")
    for text in (reply.text, caplog.text):
        assert "swordfish" not in text
        assert "secret" not in text


def test_an_unknown_path_and_method_are_problems() -> None:
    missing = post(ATTACK, "/v1/secret-path/predict")
    wrong = get("/v1/toy/predict")
    assert (missing.status_code, wrong.status_code, wrong.headers["allow"]) == (404, 405, "POST")
    assert "secret" not in missing.text


def test_slashes_do_not_redirect_to_where_the_client_says() -> None:
    assert get("/v1/models/", host="evil.example").status_code == 404


def test_no_origin_is_allowed_in_and_no_software_is_named() -> None:
    async def converse(client: httpx.AsyncClient) -> list[httpx.Response]:
        headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        return [
            await client.options("/v1/toy/predict", headers=headers),
            await client.post("/v1/toy/predict", json=ATTACK, headers=headers),
        ]

    preflight, reply = ask(converse)
    assert (preflight.status_code, reply.status_code) == (405, 200)
    for headers in (preflight.headers, reply.headers):
        assert not [name for name in headers if name.startswith("access-control")]
        assert "server" not in headers


def test_a_number_too_large_for_the_model_is_the_clients_fault() -> None:
    reply = post(b'{"a":1' + b"0" * 400 + b"}")
    assert reply.status_code == 422
