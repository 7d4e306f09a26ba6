"""The OpenAPI document, and a page that shows it without fetching anything from elsewhere."""

import html
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tocsin import __version__
from tocsin.serve.problems import CATALOGUE, MEDIA_TYPE, Kind, ProblemBody
from tocsin.serve.route import ANYWHERE, EVENTS, Route, reference, sample_reference
from tocsin.serve.state import ServerState

TEMPLATE = "#/components/schemas/{model}"


def document(state: ServerState, routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an application."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    secured = bool(state.settings.tokens)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route, secured and route.needs_token)
    components: dict[str, Any] = {"schemas": _schemas(state)}
    if secured:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    info = {"title": "tocsin", "version": __version__, "description": "Security models that were proved."}
    return {"openapi": "3.1.0", "info": info, "paths": dict(paths), "components": components}


def _operation(route: Route, secured: bool) -> dict[str, Any]:
    answer = _response("OK", route.media_type, route.answer)
    if route.event is not None:
        answer["content"][EVENTS] = {"schema": route.event}
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()} {route.path}",
        "responses": {"200": answer, **_refusals(route, secured)},
    }
    if route.parameters:
        found["parameters"] = list(route.parameters)
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": route.body}}}
    if secured:
        found["security"] = [{"token": []}]
    return found


def _refusals(route: Route, secured: bool) -> dict[str, Any]:
    kinds: dict[int, list[Kind]] = defaultdict(list)
    for name in (*ANYWHERE, *route.problems):
        if name != "unauthorized" or secured:
            kinds[CATALOGUE[name].status].append(CATALOGUE[name])
    return {str(status): _refusal(kinds[status]) for status in sorted(kinds)}


def _refusal(kinds: Sequence[Kind]) -> dict[str, Any]:
    text = " ".join(f"`{kind.name}`: {kind.detail}" for kind in kinds)
    return _response(text or HTTPStatus(kinds[0].status).phrase, MEDIA_TYPE, reference("ProblemBody"))


def _response(text: str, media_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": schema}}}


def _schemas(state: ServerState) -> dict[str, Any]:
    services = state.services.values()
    # All at once: pydantic tells two models of one name apart only among those that it is given together.
    models: list[type[BaseModel]] = [ProblemBody]
    models += [model for service in services for model in service.answers if model not in models]
    _, found = models_json_schema([(model, "serialization") for model in models], ref_template=TEMPLATE)
    schemas: dict[str, Any] = found["$defs"]
    for offer in (service.offer for service in services):
        name = sample_reference(offer)["$ref"].rpartition("/")[2]
        prefix = offer.key.detector
        schema = offer.schema.sample.model_json_schema(
            ref_template=f"#/components/schemas/{prefix}.{{model}}"
        )
        schemas |= {f"{prefix}.{key}": value for key, value in schema.pop("$defs", {}).items()}
        schemas[name] = schema
    return schemas


def page(spec: Mapping[str, Any]) -> str:
    """Return the document as one plain HTML page."""
    parts = [_section(path, method, op) for path, ops in spec["paths"].items() for method, op in ops.items()]
    problems = "".join(
        f"<tr><td>{kind.status}<td><code>{kind.name}</code><td>{html.escape(kind.detail)}"
        for kind in CATALOGUE.values()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>tocsin</title>"
        "<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "pre{background:#8881;padding:1rem;overflow:auto}td{padding:.2rem .6rem;vertical-align:top}</style>"
        f"<h1>tocsin {html.escape(spec['info']['version'])}</h1>"
        "<p>The machine-readable form of this page is <a href=openapi.json>openapi.json</a>.</p>"
        f"{''.join(parts)}<h2>Problems</h2><table>{problems}</table>"
        f"<h2>Schemas</h2>{_code(spec['components']['schemas'])}</html>"
    )


def _section(path: str, method: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    asked = f"<p>Body:</p>{_code(body)}" if body else ""
    return f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(operation['summary'])}</p>{asked}"


def _code(value: object) -> str:
    return f"<pre>{html.escape(json.dumps(value, indent=2))}</pre>"
