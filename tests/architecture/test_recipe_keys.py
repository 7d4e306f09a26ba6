"""Gate F5: every key that a recipe may declare is read by some code; a key without a reader is a broken promise."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

import tocsin
from tocsin.core.plugins import detector_names, load_detector
from tocsin.core.recipe import Recipe

SOURCE = Path(tocsin.__file__).parent


def sections(kind: object) -> Iterator[type[BaseModel]]:
    """Yield the section classes inside a type: itself, or what a container of it holds."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from sections(inner)


def keys_of(section: type[BaseModel]) -> Iterator[str]:
    """Yield every key of a section and of the sections in it."""
    for name, field in section.model_fields.items():
        yield name
        for inner in sections(field.annotation):
            yield from keys_of(inner)


@cache
def names_read() -> frozenset[str]:
    """Return every attribute and constant key that the package reads, outside the recipe's own definition."""
    files = [path for path in SOURCE.rglob("*.py") if path != SOURCE / "core" / "recipe.py"]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return frozenset(name for node in nodes for name in read_by(node))


def read_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute(attr=name, ctx=ast.Load()):
            yield name
        case ast.Subscript(slice=ast.Constant(value=str(name)), ctx=ast.Load()):
            yield name
        case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str(name)), *_]):
            yield name


@pytest.mark.parametrize("name", detector_names())
def test_every_declared_key_is_read(name: str) -> None:
    declared = {*keys_of(Recipe), *keys_of(load_detector(name).config)}
    assert {"int8_loss", "learning_rate", "near_duplicates", "focal_gamma"} <= declared
    assert declared - names_read() == set()


def test_a_key_that_nobody_reads_is_noticed() -> None:
    class Section(BaseModel):
        zeal: int = 1

    assert set(keys_of(Section)) - names_read() == {"zeal"}
