"""YAML as recipes use it: plain data with the line of every key, and nothing that surprises.

Refused: keys that are there twice or are not text, aliases (a small file could unfold without end) and tags.
`1e-4` is a number, as in YAML 1.2, and not text, as in YAML 1.1.
"""

import re
from typing import Any

import yaml

from tocsin.core.errors import InputError


class _Loader(yaml.SafeLoader):
    """The safe loader with the refusals above."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node; aliases are refused."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "an alias (*name) is not read here", self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a dictionary; keys must be text, each there once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                shown = key.value if isinstance(key, yaml.ScalarNode) else "..."
                raise yaml.MarkedYAMLError(
                    None, None, f"key {shown} is not text: put it in quotes", key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def parse_mapping(text: str, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Read YAML whose top is a mapping: its data, and dotted key -> line. InputError names file and line."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node else {}
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{name}{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{name}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InputError(f"{name}: {type(data).__name__} where keys and values should be")
    lines: dict[str, int] = {}
    _note_lines(node, "", lines)
    return data, lines


def parse_value(text: str, name: str) -> Any:
    """Read one value, as in `--set key=value`; InputError names it."""
    data, _ = parse_mapping(f"value: {text}", name)
    return data["value"]


def _note_lines(node: yaml.Node | None, prefix: str, lines: dict[str, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            dotted = f"{prefix}{key.value}"
            lines[dotted] = key.start_mark.line + 1
            _note_lines(value, f"{dotted}.", lines)
