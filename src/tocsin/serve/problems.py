"""What a refused request is told: RFC 9457 problem details from a fixed catalogue.

The texts are constants. Nothing of the request, no path, class name or stack can get into them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:tocsin:problem:"


@dataclass(frozen=True)
class Kind:
    """One entry of the catalogue."""

    name: str
    status: int
    title: str
    detail: str


_ALL = (
    Kind("bad-request", 400, "Bad request", "The request cannot be understood."),
    Kind(
        "malformed-json",
        400,
        "Malformed JSON",
        "The body must be one JSON text in UTF-8, without NaN or infinity.",
    ),
    Kind("duplicate-key", 400, "Duplicate key", "An object in the body has the same key twice."),
    Kind("unauthorized", 401, "Token needed", "Send a valid bearer token in the Authorization header."),
    Kind("forbidden", 403, "Forbidden", "This is not allowed."),
    Kind("not-found", 404, "Not found", "There is nothing here. GET /v1/models lists what is served."),
    Kind("method-not-allowed", 405, "Method not allowed", "The Allow header lists the methods that are."),
    Kind("request-timeout", 408, "Request too slow", "The body did not arrive in time."),
    Kind(
        "body-too-large",
        413,
        "Body too large",
        "The body is larger than this server accepts. Send fewer samples.",
    ),
    Kind(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "Send application/json in UTF-8, not compressed.",
    ),
    Kind(
        "invalid-sample",
        422,
        "Invalid sample",
        "The body is not a sample, or a list of samples, of this detector.",
    ),
    Kind("invalid-query", 422, "Invalid query", "A query parameter is out of range, repeated or unknown."),
    Kind(
        "too-many-samples", 422, "Too many samples", "Ask for the evidence of fewer samples in one request."
    ),
    Kind(
        "internal-error",
        500,
        "Internal error",
        "The server failed. Its log tells why, under this request's id.",
    ),
    Kind(
        "non-finite-output",
        500,
        "No answer",
        "The model did not answer with a number, so there is no verdict.",
    ),
    Kind(
        "not-live",
        503,
        "Not live",
        "The model has been busy with one request for too long. Restart this process.",
    ),
    Kind(
        "not-ready",
        503,
        "Not ready",
        "The model is being loaded, was refused, or the server is shutting down.",
    ),
    Kind(
        "overloaded",
        503,
        "Overloaded",
        "Too many requests are waiting. Try again after the time in Retry-After.",
    ),
    Kind("inference-timeout", 504, "Answer too slow", "The model did not answer in time."),
)
CATALOGUE: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


class Place(BaseModel):
    """One fault in the body."""

    pointer: str = Field(
        description="JSON Pointer (RFC 6901) to the faulty value, or to the object that it is in"
    )
    code: str = Field(description="what is wrong there")


class ProblemBody(BaseModel):
    """Problem details (RFC 9457), with `error` for clients of the Open Inference Protocol."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="urn:request:<id>, as in the header X-Request-ID and the log")
    error: str
    errors: list[Place]


class Problem(Exception):
    """A request is refused; the middleware answers with the catalogue's entry of this name."""

    def __init__(
        self, name: str, errors: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name)
        self.kind = CATALOGUE[name]
        self.errors = errors
        self._headers = {**_HEADERS.get(name, {}), **(headers or {})}

    def response(self, request: str) -> Response:
        """Return the answer to the request with this id."""
        return Response(self.body(request), self.kind.status, self._headers, MEDIA_TYPE)

    def body(self, request: str) -> bytes:
        """Return the problem details as JSON."""
        kind = self.kind
        return orjson.dumps(
            {
                "type": PREFIX + kind.name,
                "title": kind.title,
                "status": kind.status,
                "detail": kind.detail,
                "instance": f"urn:request:{request}",
                "error": kind.detail,
                "errors": [{"pointer": pointer, "code": code} for pointer, code in self.errors],
            }
        )


_HEADERS = {
    "unauthorized": {"www-authenticate": "Bearer"},
    "request-timeout": {"connection": "close"},
    "body-too-large": {"connection": "close"},
    "not-ready": {"retry-after": "1"},
    "overloaded": {"retry-after": "1"},
}
_BY_STATUS = {kind.status: kind.name for kind in reversed(_ALL)}


def problem_of(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """Return the problem for a status and headers that the framework chose."""
    return Problem(_BY_STATUS.get(status, "bad-request" if status < 500 else "internal-error"), (), headers)
