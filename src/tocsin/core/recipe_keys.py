"""The keys of a recipe: which exist, where a value came from, and what is wrong with it, one line each."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tocsin.core.errors import InputError, did_you_mean

Tree = dict[str, Any]
Origin = Callable[[str], str]
"""Dotted key -> where its value was written, such as `my.yaml:12`."""

Model = TypeVar("Model", bound=BaseModel)

KINDS = MappingProxyType(
    {
        "float_parsing": "a number",
        "float_type": "a number",
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "bool_parsing": "true or false",
        "bool_type": "true or false",
        "string_type": "text",
    }
)
BOUNDS = MappingProxyType({"le": "is above", "ge": "is below", "lt": "is not below", "gt": "is not above"})


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every value that is not a mapping with keys of its own."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def merge(base: Tree, layer: Mapping[str, Any]) -> Tree:
    """Return base with a layer over it: mappings merge key by key, anything else (lists too) replaces."""
    merged = dict(base)
    for key, value in layer.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def nest(dotted: str, value: Any) -> Tree:
    """Return the tree that has one value, at a dotted key."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    found: Tree = value
    return found


def holds(tree: Any, dotted: str) -> bool:
    """Tell whether a tree has a dotted key; keys may hold dots themselves, as globs over parameters do."""
    if not isinstance(tree, dict):
        return False
    below = (key for key in tree if dotted.startswith(f"{key}."))
    return dotted in tree or any(holds(tree[key], dotted[len(key) + 1 :]) for key in below)


def refuse_unknown(model: type[BaseModel], tree: Tree, origin: Origin) -> None:
    """Raise InputError for keys that the model does not have, one line each, with the nearest that it has."""
    lines = [
        f"{origin(dotted)}: {dotted}: there is no such key{did_you_mean(dotted.rpartition('.')[2], known)}"
        for dotted, known in _unknown(model, tree, "")
    ]
    if lines:
        raise InputError("\n".join(lines))


def _unknown(annotation: Any, value: Any, prefix: str) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(value, dict):
        return
    section, within = _section(annotation), _values(annotation)
    for key, inner in value.items():
        if section and key not in section.model_fields:
            yield f"{prefix}{key}", list(section.model_fields)
        else:
            below = section.model_fields[key].annotation if section else within
            yield from _unknown(below, inner, f"{prefix}{key}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation is, or has among its alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is dict:
        return None
    return next((found for part in get_args(annotation) if (found := _section(part))), None)


def _values(annotation: Any) -> Any:
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def validate(model: type[Model], tree: Tree, origin: Origin) -> Model:
    """Validate a tree; InputError has one line for each wrong key: where, which, its value, what is wrong."""
    refuse_unknown(model, tree, origin)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems: dict[str, list[tuple[bool, str]]] = {}
        for entry in error.errors(include_url=False):
            problems.setdefault(_locate(entry, tree), []).append((_is_bound(entry), _explain(entry)))
        lines = [f"{origin(dotted)}: {dotted}: {_choose(found)}" for dotted, found in problems.items()]
        raise InputError("\n".join(lines)) from None


def _locate(entry: Mapping[str, Any], tree: Any) -> str:
    """Return the dotted key of an error; pydantic also names the alternative of a union, which is no key."""
    path = []
    for part in entry["loc"]:
        inside = part in tree if isinstance(tree, dict) else isinstance(tree, list) and isinstance(part, int)
        if not inside:
            break
        path.append(str(part))
        tree = tree[part]
    if entry["type"] == "missing":
        path.append(str(entry["loc"][-1]))
    return ".".join(path)


def _is_bound(entry: Mapping[str, Any]) -> bool:
    return bool(BOUNDS.keys() & entry.get("ctx", {}).keys())


def _choose(found: list[tuple[bool, str]]) -> str:
    """Return the message of a value that fits none of several alternatives: the bound that it nearly met."""
    bounds = [message for is_bound, message in found if is_bound]
    return bounds[0] if bounds else ", and ".join(dict.fromkeys(message for _, message in found))


def _explain(entry: Mapping[str, Any]) -> str:
    kind, value, context = entry["type"], entry["input"], entry.get("ctx", {})
    for bound, words in BOUNDS.items():
        if bound in context:
            return f"{value!r} {words} {context[bound]:g}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        known = [part.strip(" '") for part in context["expected"].replace(" or ", ",").split(",")]
        return f"{value!r} is not {context['expected']}{did_you_mean(str(value), known)}"
    if kind in KINDS:
        return f"{value!r} is not {KINDS[kind]}"
    if kind in ("tuple_type", "list_type"):
        return f"{value!r} is not a list: write [{value}]"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{value!r} where keys and values should be"
    return f"{value!r}: {entry['msg'][0].lower()}{entry['msg'][1:]}"
