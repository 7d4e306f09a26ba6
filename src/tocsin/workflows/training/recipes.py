"""Write a recipe to start from."""

from pathlib import Path

from tocsin.core.durable import write_json, write_text
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_detector
from tocsin.core.recipe_docs import json_schema
from tocsin.core.recipes import annotated


def write_recipe(detector: str, path: Path, *, schema: bool) -> list[Path]:
    """Write the detector's complete, commented recipe, and its JSON Schema if asked; return the files."""
    if path.exists():
        raise InputError(f"{path} exists; choose another name")
    found = load_detector(detector)
    write_text(path, annotated(found))
    if not schema:
        return [path]
    beside = path.with_suffix(".schema.json")
    write_json(beside, json_schema(found))
    return [path, beside]
