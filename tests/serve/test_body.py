import json
import time
from contextlib import nullcontext

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from serve.toys import ATTACK
from tocsin.core.plugins import load_detector
from tocsin.core.types import Sample
from tocsin.serve.body import ENUMERATED, MOST_ERRORS, Reader
from tocsin.serve.problems import Problem

Toy = load_detector("toy").schemas["toy"].sample
READER = Reader(Toy, max_batch=100)
NESTED = b"[" * 100_000
LIMIT = 1_048_576
"""The default of Settings.max_body_bytes."""


def refusal(body: bytes, reader: Reader = READER) -> Problem:
    with pytest.raises(Problem) as caught:
        reader.read(body)
    return caught.value


def test_reads_one_sample_or_a_list() -> None:
    assert READER.read(json.dumps(ATTACK).encode()) == [Toy(**ATTACK)]
    assert READER.read(b' \n\t[{"a": 1}, {}]') == [Toy(a=1), Toy()]


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["note", "protocol"]), st.text(max_size=20)), min_size=1, max_size=5
    )
)
def test_any_text_is_read_back_whole(samples: list[dict[str, str]]) -> None:
    """Colons, quotes and braces in texts are no keys."""
    assert READER.read(json.dumps(samples).encode()) == [Toy(**sample) for sample in samples]
    assert READER.read(json.dumps(samples[0], ensure_ascii=False).encode()) == [Toy(**samples[0])]


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"a":1} x', b'{"a":1}{"a":1}', b'{"a":1,}', b"[{}", b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32"), b'{"note":"\xff"}', b'{"note":"\xc0\xaf"}',
        b'{"note":"a\x00b"}', rb'{"note":"\ud800"}', b'{"a":01}', b'{"a":.5}', b"{'a':1}", b'{"a":1}\x00',
        NESTED, b'{"a":' * 100_000, b'{"a":' + NESTED, b'[{"note":' + b"[" * 500,
    ],
)  # fmt: skip
def test_what_is_not_one_json_text_is_malformed(body: bytes) -> None:
    assert refusal(body).kind.name == "malformed-json"


@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1" + b"0" * 400]
)
def test_a_number_is_finite(number: bytes) -> None:
    problem = refusal(b'{"a":' + number + b"}")
    assert problem.kind.status in (400, 422)
    assert list(problem.errors) in ([], [("/a", "finite_number")])


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ({"a": "1"}, [("/a", "float_type")]),
        ({"a": True}, [("/a", "float_type")]),
        ({"a": [1]}, [("/a", "float_type")]),
        ({"protocol": None}, [("/protocol", "string_type")]),
        ({"b": 1e9}, [("/b", "less_than_equal")]),
        ([{}, {"a": "x"}], [("/1/a", "float_type")]),
        ({"secret": 1}, [("", "unknown_field")]),
        ([{}, {"secret": 1, "more": 2}], [("/1", "unknown_field")]),
        ([], [("", "too_short")]),
        ([{}] * 101, [("", "too_long")]),
        (3, [("", "model_type")]),
        (None, [("", "model_type")]),
        ([3], [("/0", "model_type")]),
    ],
)
def test_a_fault_has_a_pointer_and_a_code(value: object, places: list[tuple[str, str]]) -> None:
    problem = refusal(json.dumps(value).encode())
    assert problem.kind.name == "invalid-sample"
    assert list(problem.errors) == places


def test_a_required_field_that_is_missing_is_pointed_to_in_escaped_form() -> None:
    class Inner(BaseModel):
        x: int

    class Odd(Sample):
        inner: Inner
        odd: int = Field(alias="a/b~c")

    reader = Reader(Odd, 10)
    assert list(refusal(b'{"inner":{"secret":1}}', reader).errors) == [
        ("/inner/x", "missing"),
        ("/a~1b~0c", "missing"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'[{},{"note":"x","note":"y"}]',
        rb'{"a":1,"\u0061":2}',
        b'{"a" :1, "note":":", "a":2}',
    ],
)
def test_a_key_is_there_once(body: bytes) -> None:
    assert refusal(body).kind.name == "duplicate-key"


def test_a_duplicate_key_in_an_object_in_a_sample_is_found() -> None:
    class Holder(Sample):
        inner: dict[str, int]

    reader = Reader(Holder, 10)
    assert reader.read(b'{"inner":{"a":1,"b":2}}')
    assert refusal(b'{"inner":{"a":1,"a":2}}', reader).kind.name == "duplicate-key"


def test_the_list_of_faults_is_bounded() -> None:
    some = refusal(json.dumps([{"a": "x"}] * 100).encode())
    assert len(some.errors) == MOST_ERRORS
    many = refusal(json.dumps({f"key{i}": 0 for i in range(ENUMERATED + 1)}).encode())
    assert list(many.errors) == [("", "too_many_errors")]


def bombs() -> dict[str, bytes]:
    """Bodies within the default limit that cost as much as they can."""
    keys = b",".join(b'"%d":0' % i for i in range(200_000))
    return {
        "keys": b"{" + keys[: LIMIT - 20].rpartition(b",")[0] + b"}",
        "same key": b"{" + b'"":0,' * (LIMIT // 5 - 2) + b'"":0}',
        "objects": b"[" + b"{}," * (LIMIT // 3 - 2) + b"{}]",
        "numbers": b"[" + b"1," * (LIMIT // 2 - 2) + b"1]",
        "depth": b"[" * LIMIT,
        "digits": b'{"a":' + b"9" * (LIMIT - 10) + b"}",
        "colons": json.dumps({"note": ":" * (LIMIT - 20)}).encode(),
        "escapes": b'{"note":"' + rb"\u0041" * (LIMIT // 6 - 5) + b'"}',
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_a_bomb_costs_little(name: str) -> None:
    body = bombs()[name]
    assert len(body) <= LIMIT
    seconds, process = [], psutil.Process()
    before = process.memory_info().rss
    for _ in range(5):
        start = time.perf_counter()
        is_valid = name in ("colons", "escapes")
        with nullcontext() if is_valid else pytest.raises(Problem, match=r"malformed|invalid"):
            READER.read(body)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.25  # 0.1 on a machine of its own
    assert process.memory_info().rss - before < 40e6


@pytest.mark.parametrize(
    ("features", "expected"),
    [([3.0, 2.0, "udp", None], Toy(a=3, b=2, protocol="udp")), ([None, None, "tcp", "n"], Toy(note="n"))],
)
def test_features_come_in_the_order_of_the_fields(features: list, expected: Sample) -> None:
    assert READER.fields == ["a", "b", "protocol", "note"]
    assert READER.read_one(json.dumps({"features": features}).encode()) == expected
    assert READER.read_one(json.dumps(ATTACK).encode()) == Toy(**ATTACK)


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"features": [1.0]}, "/features"),
        ({"features": [1.0, 2.0, "udp", None, None]}, "/features"),
        ({"features": [1.0, "2", "udp", None]}, "/features/1"),
        ({"features": [1.0, True, "udp", None]}, "/features/1"),
        ({"features": [1.0, 2.0, [], None]}, "/features/2"),
        ({"features": "x"}, "/features"),
        ({"features": [1.0, 1e9, "udp", None]}, "/features/1"),
        ({"a": "x"}, "/a"),
        ([{}], ""),
    ],
)
def test_features_that_do_not_fit_are_pointed_to(value: object, pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        READER.read_one(json.dumps(value).encode())
    assert caught.value.kind.name == "invalid-sample"
    assert {place for place, _ in caught.value.errors} == {pointer}


@pytest.mark.parametrize("body", [b'{"features":[1],"features":[1]}', b'{"a":1,"a":1}'])
def test_features_are_there_once(body: bytes) -> None:
    with pytest.raises(Problem, match="duplicate-key"):
        READER.read_one(body)


def test_the_limit_here_is_the_default() -> None:
    from tocsin.serve.settings import Settings

    assert Settings.model_fields["max_body_bytes"].default == LIMIT
