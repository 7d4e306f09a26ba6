"""One operation of the server, with what the OpenAPI document says about it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.serve.service import Offer

JSON = "application/json"
EVENTS = "text/event-stream"
OBJECT: Mapping[str, Any] = {"type": "object"}

ANYWHERE = ("bad-request", "unauthorized", "request-timeout", "body-too-large", "internal-error")
"""Problems that the middleware answers any request with."""

FROM_SAMPLES = (
    *("malformed-json", "duplicate-key", "unsupported-media-type", "invalid-sample", "invalid-query"),
    *("not-ready", "overloaded", "inference-timeout"),
)
"""Problems of every route that takes samples."""

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    answer: Mapping[str, Any]
    """JSON schema of a 200."""
    media_type: str = JSON
    event: Mapping[str, Any] | None = None
    """JSON schema of a server-sent event, where a 200 may also be a stream of them."""
    body: Mapping[str, Any] | None = None
    """JSON schema of the request, or None where there is none."""
    parameters: Sequence[Mapping[str, Any]] = ()
    problems: tuple[str, ...] = ()
    needs_token: bool = True


def reference(name: str) -> dict[str, str]:
    """Return a JSON reference to a schema among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def sample_reference(offer: Offer) -> dict[str, str]:
    """Return a JSON reference to the sample of a service; services of one detector share it."""
    return reference(f"{offer.key.detector}.{offer.schema.sample.__name__}")


def samples_body(offer: Offer, most: int) -> dict[str, Any]:
    """Return the JSON schema of a body that is one sample, or a list of at most so many."""
    one = sample_reference(offer)
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": most}]}
