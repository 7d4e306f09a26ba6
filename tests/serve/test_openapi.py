"""The OpenAPI document is the truth: requests are made up from it, and every answer is held against it."""

import html
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks
from schemathesis.generation import GenerationMode

from serve.processes import Server, serving
from serve.toys import toy_app
from tocsin.serve import openapi

EXAMPLES = 30
RELEASE_EXAMPLES = 1700
"""Valid and invalid ones of every operation with a body; three operations make 10,000."""

load_all_checks()

Operation = Any


@pytest.fixture(scope="module")
def server(sealed: Path) -> Iterator[Server]:
    # OpenAPI cannot say that the most samples depend on `explain`.
    with serving(sealed, settings={"max_explained": 512}) as server:
        yield server


@pytest.fixture(scope="module")
def parrot(sealed_parrot: Path) -> Iterator[Server]:
    with serving(sealed_parrot) as server:
        yield server


@pytest.fixture(scope="module")
def operations(server: Server) -> list[Operation]:
    return operations_of(server)


def operations_of(server: Server) -> list[Operation]:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
    schema.config.generation.update(database="none")
    return [found.ok() for found in schema.get_all_operations()]


def fuzz(operations: list[Operation], examples: int) -> Counter[int]:
    """Send made-up requests, all checks on; return how often each status came."""
    seen: Counter[int] = Counter()
    with requests.Session() as session:
        for operation in operations:
            # Without parameters and body there is nothing that could be invalid.
            for mode in GenerationMode if operation.method == "post" else [GenerationMode.POSITIVE]:
                seen += _fuzz(operation, mode, examples, lambda case: case.call_and_validate(session=session))
    return seen


def _fuzz(
    operation: Operation, mode: GenerationMode, examples: int, send: Callable[[Any], Any]
) -> Counter[int]:
    seen: Counter[int] = Counter()

    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        seen[send(case).status_code] += 1

    run()
    return seen


def check(seen: Counter[int]) -> None:
    assert not [status for status in seen if status >= 500]
    assert min(seen[200], seen[422]) > 10


def test_every_answer_is_as_documented(operations: list[Operation]) -> None:
    check(fuzz(operations, EXAMPLES))


def test_every_text_is_as_documented(parrot: Server) -> None:
    """By events too: both media types are in the document."""
    check(fuzz(operations_of(parrot), EXAMPLES))


@pytest.mark.release
@pytest.mark.timeout(3600)
def test_every_answer_is_as_documented_at_full_size(operations: list[Operation]) -> None:
    seen = fuzz(operations, RELEASE_EXAMPLES)
    check(seen)
    assert sum(seen.values()) >= 10_000


def test_an_undocumented_answer_would_be_found(server: Server) -> None:
    """Negative control: the same requests against a document that leaves 422 out, and one that allows any body."""
    document = requests.get(f"http://127.0.0.1:{server.port}/openapi.json", timeout=10).json()
    operation = document["paths"]["/v1/toy/predict"]["post"]
    del operation["responses"]["422"]
    broken = schemathesis.openapi.from_dict(document)
    broken.config.update(base_url=f"http://127.0.0.1:{server.port}")
    with pytest.raises(BaseException, match=r"(?i)undocumented"):
        fuzz([broken["/v1/toy/predict"]["POST"]], 30)


def test_all_problems_are_on_the_page() -> None:
    app = toy_app()
    page = openapi.page(openapi.document(app.state.tocsin, []))
    for kind in openapi.CATALOGUE.values():
        assert f"<code>{kind.name}</code>" in page
        assert html.escape(kind.detail) in page


def test_text_from_a_detector_is_escaped() -> None:
    operation = {"summary": "<script>alert(1)</script>"}
    page = openapi.page({
        "info": {"version": "1"}, "components": {"schemas": {"<b>": 1}}, "paths": {"/<i>": {"post": operation}}
    })  # fmt: skip
    assert not [tag for tag in ("<script>", "<b>", "<i>") if tag in page]
