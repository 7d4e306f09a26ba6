"""The body of a request, read as samples of one class: strictly, once, and without repeating what it says."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tocsin.core.types import Sample, field_names
from tocsin.serve.problems import Problem

MOST_ERRORS = 32
"""Faults that are listed."""

ENUMERATED = 1000
"""Above so many faults none is listed: a body of faults must not cost more than one of samples."""

_CODES = {"extra_forbidden": "unknown_field"}
_IN_PARENT = {"extra_forbidden"}  # the name of an unknown field is the client's text: point to what holds it


class Features(BaseModel):
    """The values of a sample in the order of its fields."""

    model_config = ConfigDict(extra="forbid", strict=True)

    features: list[float | str | bool | None]


class Reader:
    """Reads bodies as samples of one class."""

    def __init__(self, sample: type[Sample], max_batch: int) -> None:
        self.fields = field_names(sample)
        self.schema = sample.model_json_schema()
        self._one: TypeAdapter[Sample] = TypeAdapter(sample)
        self._many: TypeAdapter[list[Sample]] = TypeAdapter(
            Annotated[list[sample], Field(min_length=1, max_length=max_batch)]  # type: ignore[arg-type, valid-type]
        )

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(_property_names(self.schema)) | {"features"}

    def read(self, body: bytes) -> list[Sample]:
        """Return one sample, or the samples of a list; Problem where the body is neither."""
        if body.lstrip(b" \t\r\n")[:1] == b"[":
            samples: list[Sample] = self._validate(self._many, body)
            refuse_duplicate_keys(body, sum(len(sample.model_fields_set) for sample in samples))
            return samples
        return [self.read_fields(body)]

    def read_one(self, body: bytes) -> Sample:
        """Return one sample, from its fields or `{"features": [...]}`; Problem where the body is neither."""
        try:
            features = Features.model_validate_json(body).features
        except ValidationError as error:
            loc, code = self._places(error)[0]
            if loc[:1] == ["features"] and code != "missing" and "features" not in self.fields:
                raise self._problem(error) from None
            return self.read_fields(body)
        refuse_duplicate_keys(body, 1)
        if len(features) != len(self.fields):
            raise Problem("invalid-sample", [("/features", "wrong_length")])
        try:
            named = orjson.dumps(dict(zip(self.fields, features, strict=True)))
            return self._one.validate_json(named, strict=True)
        except ValidationError as error:
            places = [
                ("/features" + _pointer(map(self._index, loc[:1])), code) for loc, code in self._places(error)
            ]
            raise Problem("invalid-sample", places) from None

    def read_fields(self, body: bytes) -> Sample:
        """Return one sample from its fields."""
        sample: Sample = self._validate(self._one, body)
        refuse_duplicate_keys(body, len(sample.model_fields_set))
        return sample

    def _index(self, name: str | int) -> int:
        return self.fields.index(str(name))

    def _validate(self, adapter: TypeAdapter[Any], body: bytes) -> Any:
        try:
            return adapter.validate_json(body, strict=True)
        except ValidationError as error:
            raise self._problem(error) from None

    def _problem(self, error: ValidationError) -> Problem:
        if error.error_count() > ENUMERATED:
            return Problem("invalid-sample", [("", "too_many_errors")])
        places = self._places(error)
        if places[0][1] == "json_invalid":
            return Problem("malformed-json")
        return Problem("invalid-sample", [(_pointer(loc), code) for loc, code in places])

    def _places(self, error: ValidationError) -> list[tuple[list[str | int], str]]:
        """Return where the first faults are and what they are; never a name that only the client uses."""
        faults = error.errors(include_url=False, include_context=False, include_input=False)[:MOST_ERRORS]
        found = [(self._known(f["loc"], f["type"]), _CODES.get(f["type"], f["type"])) for f in faults]
        return [place for i, place in enumerate(found) if place not in found[:i]]

    def _known(self, loc: Sequence[str | int], code: str) -> list[str | int]:
        known: list[str | int] = []
        for part in loc[:-1] if code in _IN_PARENT else loc:
            if isinstance(part, str) and part not in self._names:
                break
            known.append(part)
        return known


def refuse_duplicate_keys(body: bytes, keys: int) -> None:
    """Raise Problem `duplicate-key` when an object of a valid JSON text has a key twice.

    Each key is followed by a colon. So when there are as many colons as keys were read, none was there twice;
    only otherwise (colons in texts, objects in objects, or a key twice) are the objects looked at one by one.
    """
    if body.count(b":") != keys:
        json.loads(body, object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise Problem("duplicate-key")


def _pointer(loc: Iterable[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in loc)


def _property_names(schema: Any) -> Iterable[str]:
    """Yield the names of all properties that a JSON schema knows, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        for value in schema.values():
            yield from _property_names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _property_names(value)
