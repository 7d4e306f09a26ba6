"""The server as a process: sockets, signals, several workers."""

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from serve.processes import Server, eventually, metric, serving
from serve.toys import ATTACK, SAMPLES
from tocsin.core.errors import InputError
from tocsin.serve.server import _listen
from tocsin.serve.settings import Settings

IN_FLIGHT = 40
TOKEN = "correct-horse-battery"
MALFORMED = 300


def exchange(server: Server, sent: bytes) -> bytes:
    """Send raw bytes, then read until the server closes or has nothing more to say."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(sent)
        link.shutdown(socket.SHUT_WR)
        answer = b""
        while part := link.recv(65536):
            answer += part
        return answer


def test_a_whole_conversation_without_torch_and_without_a_side_effect(sealed: Path, tmp_path: Path) -> None:
    """After the start nothing is imported, compiled, unpickled, opened or reached: an audit hook looks on."""
    report, begun, log = tmp_path / "report", tmp_path / "begun", tmp_path / "log"
    with serving(sealed, log, watch=[str(report), str(begun)]) as server:
        begun.touch()
        statuses = [
            server.request("POST", "/v1/toy/predict?explain=2", SAMPLES)[0],
            server.request("POST", "/predict", {"features": [1.0, 2.0, "udp", None]})[0],
            server.request("POST", "/v1/toy/predict", {"x": 1})[0],
            server.request("POST", "/v1/toy/predict", {"note": "not finite"})[0],
            *(server.request("GET", path)[0] for path in ("/v1/models", "/v1/toy", "/docs", "/openapi.json")),
            *(
                server.request("GET", path)[0]
                for path in ("/health", "/health/live", "/metrics", "/../etc/passwd")
            ),
        ]
        begun.unlink()
        assert server.end() == 0
    assert statuses == [200, 200, 422, 500, 200, 200, 200, 200, 200, 200, 200, 404]
    events = [json.loads(line) for line in report.read_text().splitlines()]
    assert [event for event in events if not (event[0] == "open" and event[1].startswith("('/proc/"))] == []
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) >= len(statuses)
    assert [line["event"] for line in server.log if line["event"] in ("listening", "artifact ready")]


def test_the_audit_hook_sees_what_is_forbidden(sealed: Path, tmp_path: Path) -> None:
    """Negative control: the same report is not empty while the server starts."""
    report, begun = tmp_path / "report", tmp_path / "begun"
    begun.touch()
    with serving(sealed, watch=[str(report), str(begun)]) as server:
        server.end()
    assert {"open", "import"} <= {json.loads(line)[0] for line in report.read_text().splitlines()}


@pytest.mark.parametrize("redacts", [True, False])
def test_secrets_are_taken_out_of_the_log(sealed: Path, redacts: bool) -> None:
    """Without the patterns, the control, the same log holds them; the text of an error it never holds."""
    text = "token=swordfish for jane@mail.example"
    with serving(sealed, mutter=text, redacts=redacts) as server:
        assert server.end() == 0
    said = [line for line in server.log if line["event"].startswith("a library")]
    assert [line["event"].partition(" says ")[0] for line in said] == ["a library", "a library failed"]
    for secret in ("swordfish", "jane"):
        assert (secret in json.dumps(said[0])) is not redacts
        assert secret not in json.dumps(said[1])
    assert said[1]["error"] == "ValueError"
    assert any(line.get("own_address", "").startswith("http://127.0.0.1:") for line in server.log)


def test_importing_the_package_costs_nothing() -> None:
    program = (
        "import sys; sys.modules['torch'] = None; import tocsin.serve, tocsin.serve.settings\n"
        "assert not {'starlette', 'onnxruntime', 'uvicorn', 'prometheus_client'} & set(sys.modules)\n"
        "import tocsin.serve.server"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# Signals


def send(server: Server, sent: threading.Barrier) -> int:
    with closing(server.connect()) as connection:
        connection.connect()
        sent.wait(20)
        connection.request(
            "POST", "/v1/toy/predict", json.dumps(ATTACK), {"content-type": "application/json"}
        )
        reply = connection.getresponse()
        assert len(json.loads(reply.read())["verdicts"]) == 1
        return reply.status


def test_nothing_accepted_is_lost_when_it_is_told_to_end(sealed: Path) -> None:
    settings = {"queue": 64, "drain_delay": 0.1}
    with serving(sealed, slow=0.05, settings=settings) as server, closing(server.connect()) as probe:
        probe.request("GET", "/health/ready")
        probe.getresponse().read()
        sent = threading.Barrier(IN_FLIGHT + 1)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            asked = [pool.submit(send, server, sent) for _ in range(IN_FLIGHT)]
            sent.wait(20)
            eventually(lambda: metric(server, "tocsin_inference_in_flight_requests") > IN_FLIGHT / 2)
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
            probe.request("GET", "/health/ready")
            not_ready = probe.getresponse()
            seconds = time.monotonic() - told
            statuses = [future.result(30) for future in asked]
        assert server.process.wait(30) == 0
        assert time.monotonic() - told < 30
    assert (not_ready.status, not_ready.headers["connection"], seconds < 0.5) == (503, "close", True)
    assert statuses == [200] * IN_FLIGHT


def hammer(server: Server, lost: list[str]) -> int:
    """Ask until no connection is taken any more; an answer missing on a connection that was in use is lost."""
    answered = 0
    while True:
        connection = server.connect()
        try:
            connection.connect()
            in_use = False
            while True:
                connection.request("POST", "/v1/toy/predict", "{}", {"content-type": "application/json"})
                reply = connection.getresponse()
                reply.read()
                answered, in_use = answered + 1, True
                if reply.status != 200:
                    lost.append(str(reply.status))
                if reply.headers["connection"] == "close":
                    break
        except ConnectionRefusedError:
            return answered
        except (ConnectionError, http.client.HTTPException) as error:
            # A fresh connection may have waited for its turn to be accepted when the door was closed.
            if in_use:
                lost.append(repr(error))
        finally:
            connection.close()


def test_busy_connections_end_in_order(sealed: Path) -> None:
    lost: list[str] = []
    with serving(sealed) as server, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(hammer, server, lost) for _ in range(4)]
        time.sleep(0.5)
        assert server.end() == 0
        answered = sum(future.result(20) for future in asked)
    assert lost == []
    assert answered > 20


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_it_now(sealed: Path, workers: int) -> None:
    with serving(sealed, slow=5, ready=False, settings={"workers": workers, "drain_delay": 20}) as server:
        eventually(lambda: server.port)
        eventually(lambda: _live(server))
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.process.poll() is None
        start = time.monotonic()
        assert server.end() == 128 + signal.SIGTERM
        assert time.monotonic() - start < 3


def _live(server: Server) -> bool:
    try:
        return server.request("GET", "/health/live")[0] == 200
    except OSError:
        return False


def test_an_interrupt_ends_it_in_order_too(sealed: Path) -> None:
    with serving(sealed) as server:
        assert server.end(signal.SIGINT) == 0


# Several processes


def test_numbers_are_exact_over_several_processes_and_their_deaths(sealed: Path) -> None:
    with serving(sealed, settings={"workers": 2}) as server:
        parent = psutil.Process(server.process.pid)

        def post(_: int) -> int:
            return server.request("POST", "/v1/toy/predict", [ATTACK] * 3)[0]

        started = time.monotonic()  # not the processes' own times: these drift where a machine was suspended
        answers: list[int] = []
        with ThreadPoolExecutor(8) as pool:  # until both processes are ready, some are turned away
            eventually(lambda: answers.extend(pool.map(post, range(40))) or set(answers[-40:]) == {200})
        counted = metric(server, "tocsin_predictions_total")
        for victim in parent.children():
            time.sleep(max(0.0, started + 5.5 - time.monotonic()))  # none may die young
            victim.kill()
            eventually(lambda old=victim.pid: len(crew(parent) - {old}) == 2)
        eventually(lambda: _live(server))
        again: list[int] = []
        with ThreadPoolExecutor(8) as pool:  # live is not ready yet: until then they are turned away
            eventually(lambda: again.extend(pool.map(post, range(40))) or 200 in again)
        total = metric(server, "tocsin_predictions_total")
        eventually(
            lambda: abs(metric(server, "tocsin_engine_heartbeat_timestamp_seconds") - time.time()) < 10
        )
        assert server.end() == 0
    assert counted == 3 * answers.count(200)
    assert total == counted + 3 * again.count(200)


def crew(parent: psutil.Process) -> set[int]:
    """The processes that are alive."""
    return {child.pid for child in parent.children() if _is_alive(child)}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("ready", [True, False])
def test_processes_that_lose_their_leader_answer_and_leave(sealed: Path, ready: bool) -> None:
    """Also where it dies before they have started to serve."""
    with serving(sealed, ready=ready, settings={"workers": 2}) as server:
        leader = psutil.Process(server.process.pid)
        eventually(lambda: len(leader.children()) == 2)
        children = leader.children()
        server.process.kill()
        eventually(lambda: not [child for child in children if child.is_running() and _is_alive(child)])


def test_a_process_that_dies_young_ends_the_server(sealed: Path) -> None:
    with serving(sealed, settings={"workers": 2}) as server:
        psutil.Process(server.process.pid).children()[0].kill()
        server.process.wait(20)
    assert "server process ended" in {line["event"] for line in server.log}


# Sockets


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"
        ):
            _listen(Settings(port=port))


def test_the_listener_names_its_protocol() -> None:
    """Or asyncio leaves Nagle's algorithm on, and an answer in two writes takes 40 ms."""
    with _listen(Settings(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_answers_do_not_wait_for_an_acknowledgement(sealed: Path) -> None:
    seconds = []
    with serving(sealed) as server, closing(server.connect()) as connection:
        for _ in range(30):
            start = time.perf_counter()
            connection.request("POST", "/v1/toy/predict", "{}", {"content-type": "application/json"})
            connection.getresponse().read()
            seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_can_read_that_its_body_is_too_large(sealed: Path, chunked: bool) -> None:
    with serving(sealed, settings={"max_body_bytes": 100_000}) as server:
        for size, status in ((100_000, 400), (100_001, 413), (700_000, 413)):
            connection = server.connect()
            pieces = (b" " * min(5000, size - i) for i in range(0, size, 5000))
            connection.request(
                "POST",
                "/v1/toy/predict",
                pieces if chunked else b" " * size,
                {"content-type": "application/json"},
                encode_chunked=chunked,
            )
            assert connection.getresponse().status == status
            connection.close()


def test_without_a_token_a_body_is_not_waited_for(sealed: Path) -> None:
    """The control is the second half: with the token the server waits for what was announced."""
    settings = {"tokens": TOKEN, "body_timeout": 1.0}
    with serving(sealed, ready=False, settings=settings) as server:
        eventually(lambda: server.port)
        for token, status in (("", b"401"), (TOKEN, b"408")):
            for length in (b"Content-Length: 500000", b"Transfer-Encoding: chunked"):
                head = b"POST /v1/toy/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                head += f"Authorization: Bearer {token}\r\n".encode() + length + b"\r\n\r\n"
                with socket.create_connection(("127.0.0.1", server.port), timeout=20) as link:
                    start = time.monotonic()
                    link.sendall(head)
                    assert link.recv(65536).split()[1] == status
                    assert (time.monotonic() - start < 0.9) is (status == b"401")


@pytest.mark.parametrize("size", [10, 500_000, 5_000_000])
def test_a_client_can_read_that_its_token_is_wrong(sealed: Path, size: int) -> None:
    with serving(sealed, ready=False, settings={"tokens": TOKEN}) as server:
        eventually(lambda: server.port)
        connection = server.connect()
        connection.request("POST", "/v1/toy/predict", b" " * size, {"content-type": "application/json"})
        assert connection.getresponse().status == 401
        connection.close()


def malformed(rng: random.Random) -> bytes:
    """A request with something wrong in method, URL, version, headers, chunk sizes or framing."""
    good = [b"POST", b"/v1/toy/predict", b"HTTP/1.1", b"Host: x\r\nContent-Type: application/json", b"{}"]
    junk = bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
    method, url, version, headers, body = good
    match rng.randrange(10):
        case 0:
            return junk
        case 1:
            method = junk
        case 2:
            url = b"/" + junk
        case 3:
            version = rng.choice([b"HTTP/9.9", b"HTTP/0.9", b"", junk])
        case 4:
            headers += b"\r\nContent-Length: " + rng.choice(
                [b"-1", b"1e3", b"9" * 40, junk, b"2\r\nContent-Length: 3"]
            )
        case 5:
            headers += b"\r\nTransfer-Encoding: chunked"
            body = rng.choice([b"zz\r\n{}", b"-1\r\n", b"f" * 30 + b"\r\n", b"1\r\n{", junk])
        case 6:
            headers += b"\r\n" + junk + b": " + junk
        case 7:
            headers += b"\r\nX: " + b"a" * rng.choice([10, 70_000])
        case 8:
            url = b"/" + rng.choice(
                [b"../" * 20, b"%2e%2e%2f" * 9, b"%00", b"a" * 70_000, b"\\\\host\\share", b"%c0%ae"]
            )
        case 9:
            headers += b"\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"
            headers += b"\r\nUpgrade: websocket\r\nConnection: upgrade"
    return b" ".join([method, url, version]) + b"\r\n" + headers + b"\r\n\r\n" + body


def check_malformed(sealed: Path, count: int) -> None:
    rng, answers = random.Random(20261120), []
    with serving(sealed) as server:
        process = psutil.Process(server.process.pid)
        for i in range(count):
            if i == count // 10:
                before = process.memory_info().rss
            try:
                answers.append(exchange(server, malformed(rng))[9:12])
            except ConnectionError:
                answers.append(b"")
        grown = process.memory_info().rss - before
        assert server.request("POST", "/v1/toy/predict", ATTACK)[0] == 200
        assert server.end() == 0
    assert not {answer for answer in answers if answer.startswith(b"5")}
    assert b"400" in answers
    assert grown < 20e6


def test_malformed_requests_do_no_harm(sealed: Path) -> None:
    check_malformed(sealed, MALFORMED)


@pytest.mark.release
@pytest.mark.timeout(3600)
def test_malformed_requests_do_no_harm_at_full_size(sealed: Path) -> None:
    check_malformed(sealed, 100_000)


def test_connections_that_say_little_are_closed_and_harm_nobody(sealed: Path) -> None:
    with serving(sealed, settings={"body_timeout": 0.5}) as server:
        links = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(200)]
        for i, link in enumerate(links):
            link.sendall(
                [
                    b"",
                    b"P",
                    b"POST /predict HTTP/1.1\r\nHost: x\r\nX-",
                    b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
                ][i % 4]
            )
        assert server.request("POST", "/v1/toy/predict", ATTACK)[0] == 200
        start = time.monotonic()
        for link in links:
            while link.recv(65536):
                pass
            link.close()
        assert time.monotonic() - start < 8


@pytest.mark.release
@pytest.mark.timeout(3600)
def test_a_long_run_does_not_grow(sealed: Path) -> None:
    """R19 at a hundred thousand requests: memory, descriptors and threads stay as they were."""
    with serving(sealed) as server:
        process = psutil.Process(server.process.pid)

        def ask(count: int) -> None:
            with closing(server.connect()) as connection:
                for i in range(count):
                    body = "{}" if i % 10 else '{"x":1}'
                    connection.request("POST", "/v1/toy/predict", body, {"content-type": "application/json"})
                    connection.getresponse().read()

        ask(10_000)
        before = process.memory_info().rss, process.num_fds(), process.num_threads()
        ask(100_000)
        after = process.memory_info().rss, process.num_fds(), process.num_threads()
    assert after[0] < before[0] * 1.05
    assert after[1:] == before[1:]
