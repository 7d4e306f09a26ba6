"""Recipes for people and for editors: commented YAML and a JSON Schema, made from the recipe's classes."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tocsin.core.detector import Detector
from tocsin.core.plugins import baseline_names
from tocsin.core.recipe import AVERAGE, MODEL, Recipe
from tocsin.core.recipe_baselines import shippable

COMMENTS_AT = 40
"""Column at which comments start, where the value leaves room."""


def json_schema(detector: Detector) -> dict[str, Any]:
    """Return the JSON Schema of a user's recipe file, which needs no key but `detector`."""
    schema = Recipe[detector.config].model_json_schema()  # type: ignore[name-defined]
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("required", None)
    stages = schema["properties"]["stages"]
    schema["properties"]["stages"] = stages | {"propertyNames": {"enum": list(detector.stages)}}
    schema["properties"]["detector"] |= {"const": detector.name}
    _list_baselines(schema["$defs"], detector.name)
    return schema | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"recipe of {detector.name}",
        "required": ["detector"],
    }


def _list_baselines(sections: dict[str, Any], detector: str) -> None:
    """Put in the names that a recipe of the detector may hold."""
    sections["EvaluationSection"]["properties"]["baselines"]["items"]["enum"] = baseline_names(detector)
    export, known = sections["ExportSection"]["properties"], shippable(detector)
    export["ship"]["enum"] = [MODEL, AVERAGE, *known]
    export["weights"]["anyOf"][0]["propertyNames"] = {"enum": [MODEL, *known]}


def annotate(recipe: Recipe[Any], schema: Mapping[str, Any]) -> str:
    """Return a recipe as YAML with what each key means, and which values it takes, beside it."""
    lines = [
        f"# A complete recipe: {recipe.detector}. Keys that are left out keep the value that they have here."
    ]
    for key, value in recipe.model_dump(mode="json").items():
        lines += ["", *_lines(key, value, schema["properties"][key], schema)]
    return "\n".join(lines) + "\n"


def _lines(key: str, value: Any, prop: Any, schema: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    prop = prop if isinstance(prop, Mapping) else {}
    within = _follow(prop, schema)
    meaning, values = prop.get("description", ""), _range(within)
    comment = "; ".join(filter(None, (meaning, values if values not in meaning else "")))
    if not isinstance(value, dict) or not value:
        yield _comment(f"{indent}{_inline(key)}: {_inline(value)}", comment)
        return
    yield _comment(f"{indent}{_inline(key)}:", comment)
    for name, inner in value.items():
        below = within.get("properties", {}).get(name, within.get("additionalProperties"))
        yield from _lines(name, inner, below, schema, f"{indent}  ")


def _follow(prop: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section that a property refers to, itself or in one of its alternatives, or the property."""
    for part in (prop, *prop.get("anyOf", ())):
        if "$ref" in part:
            found: Mapping[str, Any] = schema["$defs"][part["$ref"].rpartition("/")[2]]
            return found
    return prop


def _comment(line: str, comment: str) -> str:
    return f"{line:<{COMMENTS_AT}}# {comment}" if comment else line


def _inline(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _range(prop: Mapping[str, Any]) -> str:
    """Return the values that a key takes, in words: an interval or a choice."""
    parts = prop.get("anyOf", [prop])
    found = (" | ".join(map(str, part.get("enum", ()))) or _interval(part) for part in parts)
    return " or ".join(filter(None, found))


def _interval(prop: Mapping[str, Any]) -> str:
    low, high = prop.get("minimum"), prop.get("maximum")
    above, below = prop.get("exclusiveMinimum"), prop.get("exclusiveMaximum")
    left = f"[{low}" if low is not None else f"({above}" if above is not None else ""
    right = f"{high}]" if high is not None else f"{below})" if below is not None else ""
    if left and right:
        return f"in {left}, {right}"
    return f"at least {low}" if low is not None else f"above {above}" if above is not None else ""
