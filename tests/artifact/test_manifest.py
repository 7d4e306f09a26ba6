"""The manifest's own form: it comes back as it was written, and nothing else is read."""

import json
import random
import resource
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact.examples import digest, manifest
from tocsin.artifact.manifest import Manifest, dump_manifest, parse_manifest
from tocsin.artifact.names import check_names
from tocsin.artifact.refusal import ArtifactError
from tocsin.core.durable import json_bytes

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXT, JSON, max_size=4), st.dictionaries(TEXT, st.floats(0, 1), max_size=4))
def test_it_comes_back_as_it_was_written(data: dict[str, Any], parity: dict[str, float]):
    written = manifest(data=data, parity=parity)
    raw = dump_manifest(written, {"model.onnx": "0" * 64})
    read = parse_manifest(raw)
    assert read.model_copy(update={"files": {}, "seal": ""}) == written
    assert dump_manifest(read, read.files) == raw


@given(JSON)
def test_any_json_is_refused(value: object):
    with pytest.raises(ArtifactError):
        parse_manifest(json_bytes(value))


@given(st.dictionaries(st.sampled_from([*Manifest.model_fields, "other"]), JSON))
def test_any_sealed_json_is_refused_or_valid(changes: dict[str, Any]):
    """Behind the hash: what a holder of the key may write is still checked field by field."""
    value = json.loads(dump_manifest(manifest(), {}))
    del value["seal"]
    assert outcome(sealed(value)) == "accepted", "without a change it is valid"
    assert outcome(sealed(value | changes)) in (
        "accepted",
        "schema-version",
        "manifest-invalid",
        "manifest-changed",
    )


def sealed(value: dict[str, Any]) -> bytes:
    return json_bytes(value | {"seal": digest(value)})


def outcome(raw: bytes) -> str:
    try:
        parse_manifest(raw)
    except ArtifactError as error:
        return error.code
    return "accepted"


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(raw: bytes):
    with pytest.raises(ArtifactError):
        parse_manifest(raw)


@given(st.lists(st.text(max_size=12), max_size=4))
def test_names_that_pass_are_plain(names: list[str]):
    try:
        check_names(names)
    except ArtifactError:
        return
    assert all(name.isascii() and ".." not in name.split("/") and name[0] not in "/.\\" for name in names)
    assert len({name.lower() for name in names}) == len(set(names))


def mutate(rng: random.Random, raw: bytes) -> bytes:
    """Flip, drop, double or insert; pieces of JSON among what is inserted."""
    pieces = (
        b'"',
        b"{",
        b"}",
        b"[",
        b"\\u0000",
        b"1e999",
        b"NaN",
        b"-",
        b"\xff",
        b'"seal": ',
        b",",
        b"9" * 5000,
    )
    changed = bytearray(raw)
    for _ in range(rng.randrange(1, 4)):
        at, to = sorted(rng.randrange(len(changed) + 1) for _ in range(2))
        match rng.randrange(4):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:to]
            case 2:
                changed[at:at] = changed[at:to]
            case _:
                changed[at:at] = rng.choice(pieces)
    return bytes(changed)


def fuzz(count: int) -> float:
    """Parse mutated manifests; return the longest time that one took, in seconds."""
    raw, rng, slowest = dump_manifest(manifest(), {"model.onnx": "0" * 64}), random.Random(9), 0.0
    for _ in range(count):
        changed = mutate(rng, raw)
        start = time.perf_counter()
        try:
            parse_manifest(changed)
            assert changed == raw
        except ArtifactError:
            pass
        slowest = max(slowest, time.perf_counter() - start)
    return slowest


def test_mutated_manifests_are_refused():
    assert fuzz(5000) < 1


@pytest.mark.release
@pytest.mark.timeout(7200)
def test_ten_million_mutated_manifests_are_refused():
    fuzz(1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fuzz(10_000_000) < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "kilobytes"


@pytest.mark.parametrize("raw", [
    b"[" * (1 << 20),
    b'{"a":' * (1 << 17),
    b'{"' + b"a" * (1 << 20) + b'": 1}\n',
    b"{" + b",".join(b'"%d":1' % i for i in range(90_000)) + b',"0":1}',
    b"9" * (1 << 20),
    b'"' + b"\\u0041" * (1 << 17) + b'"',
], ids=["brackets", "braces", "long key", "many keys", "long number", "escapes"])  # fmt: skip
def test_bombs_are_refused_in_time(raw: bytes):
    start = time.perf_counter()
    with pytest.raises(ArtifactError):
        parse_manifest(raw)
    assert time.perf_counter() - start < 2
