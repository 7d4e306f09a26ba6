"""Services by detector and alias: who answers where, and that nobody answers or is counted for another."""

import asyncio
import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from serve.parrots import parrot_artifact
from serve.toys import (
    ATTACK,
    CALM,
    ask,
    golden_lines,
    quiet,
    running,
    toy_artifact,
    toy_files,
    toy_model,
    until,
)
from tocsin.core.detector import RuntimeName
from tocsin.core.errors import InputError
from tocsin.core.plugins import resolve
from tocsin.serve.app import create_app
from tocsin.serve.service import RUNTIMES, Offer, service_of, services_of

WEIGHT = 2.5


def challenger(**changes: Any):
    """A toy of another weight; its golden answers are its own."""
    lines = [json.loads(line) for line in golden_lines().splitlines()]
    for line in lines:
        first = line["outputs"]["category"][0]  # tanh(a), or 0
        line["outputs"]["logit"] += (WEIGHT - 2.0) * first
    golden = "\n".join(map(json.dumps, lines)).encode()
    return toy_artifact(toy_files(toy_model(WEIGHT), golden), name="others", version="7", **changes)


def both(*aliases: str) -> list[Offer]:
    made = {"champion": toy_artifact(), "challenger": challenger()}
    return [Offer(made[alias], alias) for alias in aliases or made]


def series(text: str, name: str) -> dict[str, float]:
    """Alias -> sum over all series of a metric."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith(f"{name}{{"):
            alias = line.partition('alias="')[2].partition('"')[0]
            found[alias] = found.get(alias, 0) + float(line.rpartition(" ")[2])
    return found


# Runtimes


def test_every_runtime_that_a_manifest_may_name_is_here() -> None:
    assert set(RUNTIMES) == set(get_args(RuntimeName))
    for reference in RUNTIMES.values():
        assert resolve(reference)


def test_another_runtime_is_refused_in_one_line() -> None:
    """Whatever got it past the manifest: what a file says is looked up, never imported."""
    artifact = toy_artifact()
    object.__setattr__(artifact, "manifest", artifact.manifest.model_copy(update={"runtime": "os:system"}))
    with pytest.raises(InputError) as caught:
        create_app([Offer(artifact)], quiet())
    assert str(caught.value) == "artifact 'toys' needs the runtime 'os:system', which is not here"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"detector": "toi"}, r"no detector 'toi'; did you mean 'toy'\?"),
        ({"sample": "tory"}, r"no sample 'tory'; did you mean 'toy'\?"),
        ({"runtime": "chat"}, "detector 'toy' has no language model"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(changes: dict, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        service_of(Offer(toy_artifact(**changes))).load()


def test_a_server_loads_only_the_runtimes_that_it_needs() -> None:
    """Negative control: the same program with the other artifact does need it."""
    program = (
        "import sys\n"
        "for name in ('torch', 'onnxruntime'): sys.modules[name] = None\n"
        "sys.path.insert(0, 'tests')\n"
        "from serve import parrots, toys\n"
        "from tocsin.serve.app import create_app\n"
        "from tocsin.serve.service import Offer\n"
        "artifact = parrots.parrot_artifact() if sys.argv[1] == 'parrot' else toys.toy_artifact()\n"
        "app = create_app([Offer(artifact)], toys.quiet())\n"
        "(service,) = app.state.tocsin.services.values()\n"
        "service.load()\n"
        "print(service.is_ready, service.golden)\n"
    )

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, name]
        root = Path(__file__).parents[2]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, timeout=60)

    assert run("parrot").stdout == "True 3\n", run("parrot").stderr
    assert "onnxruntime" in run("toy").stderr


# Names


@pytest.mark.parametrize("aliases", list(permutations(["champion", "challenger", "3"])))
def test_the_champion_answers_for_its_detector_wherever_it_stands(aliases: tuple[str, ...]) -> None:
    services = services_of([Offer(toy_artifact(), alias) for alias in aliases])
    addresses = {alias: services["toy", alias].offer.address for alias in aliases}
    assert addresses == {"champion": "toy", "challenger": "toy@challenger", "3": "toy@3"}


def test_without_a_champion_the_first_answers() -> None:
    services = services_of([Offer(toy_artifact(), alias) for alias in ("b", "a")])
    assert [service.offer.address for service in services.values()] == ["toy", "toy@a"]


def test_each_detector_has_its_own() -> None:
    offers = [Offer(toy_artifact(), "x"), Offer(parrot_artifact(), "x"), Offer(parrot_artifact(), "champion")]
    found = [service.offer.address for service in services_of(offers).values()]
    assert found == ["toy", "parrot@x", "parrot"]


def test_two_of_one_name_are_refused_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        create_app([Offer(toy_artifact(), "champion"), Offer(challenger(), "champion")], quiet())
    assert str(caught.value) == (
        "two artifacts would answer as toy@champion; promote one to another alias and serve that"
    )
    create_app([Offer(toy_artifact(), "champion"), Offer(parrot_artifact(), "champion")], quiet())


@pytest.mark.parametrize("alias", ["", "a/b", "{x}", "A", "a b", "a@b", "x" * 65])
def test_an_alias_must_stand_in_an_address(alias: str) -> None:
    with pytest.raises(InputError, match="is no alias"):
        create_app([Offer(toy_artifact(), alias)], quiet())


# Champion and challenger


def test_a_challenger_answers_for_itself_and_is_counted_apart() -> None:
    """Negative control: at the champion's address the same sample has the champion's answer."""

    async def converse(client: httpx.AsyncClient) -> tuple[list[Any], str]:
        paths = (
            ["/v1/toy/predict"] * 2 + ["/v1/toy@challenger/predict"] * 3 + ["/v1/toy%40challenger/predict"]
        )
        replies = [(await client.post(path, json={"a": 0.5})).json() for path in paths]
        await client.post("/v1/toy@challenger/predict", json={"x": 1})
        return replies, (await client.get("/metrics")).text

    replies, metrics = ask(converse, create_app(both(), quiet()))
    digests = [reply["artifact"] for reply in replies]
    assert digests == [toy_artifact().digest] * 2 + [challenger().digest] * 4
    found = [reply["verdicts"][0]["probability"] for reply in replies]
    assert len(set(found)) == 2
    assert found[-1] - found[0] > 0.01
    assert series(metrics, "tocsin_predictions_total") == {"champion": 2, "challenger": 4}
    assert series(metrics, "tocsin_prediction_score_ratio_count") == {"champion": 2, "challenger": 4}
    assert series(metrics, "tocsin_inputs_rejected_total") == {"challenger": 1}
    assert series(metrics, "tocsin_model_info") == {"champion": 1, "challenger": 1}
    asked = 'tocsin_http_requests_total{code="200",method="POST",route="/v1/toy@challenger/predict"} 4.0'
    assert asked in metrics.splitlines()


def test_requests_that_wait_are_not_answered_by_another() -> None:
    """Each service gathers its own: what waits together is of one artifact."""

    async def converse(client: httpx.AsyncClient) -> list[tuple[str, str]]:
        async def send(path: str) -> tuple[str, str]:
            return path, (await client.post(f"/v1/{path}/predict", json=ATTACK)).json()["artifact"]

        return list(await asyncio.gather(*(send(path) for path in ["toy", "toy@challenger"] * 20)))

    found = ask(converse, create_app(both(), quiet()))
    assert set(found) == {("toy", toy_artifact().digest), ("toy@challenger", challenger().digest)}


def test_both_are_described() -> None:
    async def converse(client: httpx.AsyncClient) -> list[Any]:
        return [(await client.get(path)).json() for path in ("/v1/models", "/v1/toy", "/v1/toy@challenger")]

    models, champion, other = ask(converse, create_app(both("challenger", "champion"), quiet()))
    assert [(m["alias"], m["path"], m["name"]) for m in models["models"]] == [
        ("challenger", "/v1/toy@challenger", "others"),
        ("champion", "/v1/toy", "toys"),
    ]
    assert (champion["digest"], other["digest"]) == (toy_artifact().digest, challenger().digest)


def test_one_address_each_and_no_short_ones() -> None:
    async def converse(client: httpx.AsyncClient) -> list[int]:
        posts = ["/predict", "/v1/predict", "/v1/toy@champion/predict", "/v1/toy@other/predict"]
        replies = [await client.post(path, json=CALM) for path in posts]
        return [reply.status_code for reply in [*replies, await client.get("/health")]]

    assert ask(converse, create_app(both(), quiet())) == [404] * 5


def test_a_challenger_that_is_refused_keeps_the_server_from_being_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A rollout stops where one is not proved; the champion answers who asks it all the same."""
    changed = challenger().files["golden.jsonl"].replace(b'"logit": ', b'"logit": 1', 1)
    offers = [
        Offer(toy_artifact(toy_files(toy_model(WEIGHT), changed)), "challenger"),
        Offer(toy_artifact(), "champion"),
    ]
    app = create_app(offers, quiet())

    async def converse() -> list[int]:
        async with running(app, ready=False) as client:
            await until(lambda: app.state.tocsin.services["toy", "champion"].is_ready)
            paths = ["/v1/toy/predict", "/v1/toy@challenger/predict"]
            posted = [(await client.post(path, json=CALM)).status_code for path in paths]
            return [*posted, (await client.get("/health/ready")).status_code]

    assert asyncio.run(converse()) == [200, 503, 503]
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (record.detector, record.alias) == ("toy", "challenger")
    assert "golden.jsonl:1" in record.message


def test_the_document_holds_every_service_and_every_schema_that_it_names() -> None:
    offers = [*both(), Offer(parrot_artifact(), "champion")]

    async def converse(client: httpx.AsyncClient) -> dict[str, Any]:
        return (await client.get("/openapi.json")).json()

    spec = ask(converse, create_app(offers, quiet()))
    assert {path for path in spec["paths"] if path.startswith("/v1/") and path != "/v1/models"} == {
        "/v1/toy", "/v1/toy/predict", "/v1/toy@challenger", "/v1/toy@challenger/predict",
        "/v1/parrot", "/v1/parrot/answer",
    }  # fmt: skip
    named = {part.partition('"')[0] for part in json.dumps(spec).split('"#/components/schemas/')[1:]}
    assert named <= set(spec["components"]["schemas"])
    assert {"Answer", "Replies", "Reply", "toy.Toy", "parrot.Question"} <= named
