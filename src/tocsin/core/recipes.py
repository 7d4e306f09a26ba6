"""Load recipes: layers are merged, checked and frozen, and every value knows where it came from.

Precedence: the detector's default recipe < the user's file < the hardware overlay < `--set key=value`.
So an overlay beats a `compute` key of the user's file, and `--set` (or an overlay of one's own) beats it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from tocsin.core.detector import Detector
from tocsin.core.durable import json_bytes, jsonable
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.plugins import load_detector
from tocsin.core.recipe import Recipe
from tocsin.core.recipe_baselines import check_baselines
from tocsin.core.recipe_docs import annotate, json_schema
from tocsin.core.recipe_keys import Origin, Tree, flatten, holds, merge, nest, validate
from tocsin.core.yaml_text import parse_mapping, parse_value

__all__ = [
    "Resolved",
    "annotated",
    "describe",
    "dump_recipe",
    "json_schema",
    "load_default",
    "load_recipe",
    "parse_recipe",
    "recipe_sha256",
    "with_overrides",
]

HARDWARE = Path(__file__).parent / "hardware"
MAPPING = "recipe"
"""What errors call a recipe that is no file."""
OVERLAID = ("compute",)
"""Sections that a hardware overlay may set."""
SHARED = ("detector", "name", "seeds", "hardware", "output", "data", "split", "variants")
"""Keys that a variant shares with the model that it is compared to."""


@dataclass(frozen=True)
class Resolved:
    """A recipe and where each of its values came from."""

    recipe: Recipe[Any]
    sources: Mapping[str, str]
    """Dotted key -> `default`, `my.yaml:12`, `recipe` (a mapping), `hardware cpu (auto)` or `--set`."""


def load_recipe(
    written: Path | Mapping[str, Any], sets: Sequence[str] = (), detect: Callable[[], str] = lambda: "cpu"
) -> Resolved:
    """Load a recipe, which needs only `detector` and the keys that differ from that detector's default.

    `written` is a YAML file, or what such a file holds. `sets` are `key=value`, a dotted key and a YAML value;
    `detect` names the overlay of `hardware: auto`. InputError has one line for each key that is wrong and names
    the file and the line (or `recipe`, where there is no file) and the nearest key.
    """
    name = written.name if isinstance(written, Path) else MAPPING
    user, origin = _parse(_read(written), name) if isinstance(written, Path) else _plain(written)
    detector = _find_detector(user, origin, name)
    layers = _Layers(name)
    default = _add_default(layers, detector)
    layers.add(user, origin)
    settings: Tree = {}
    for text in sets:
        settings = merge(settings, _parse_set(text))
    wanted = (default | user | settings).get("hardware", "auto")
    overlay_name, how = (str(detect()), "(auto)") if wanted == "auto" else (str(wanted), "")
    overlay, place = _read_overlay(overlay_name, how)
    layers.add(overlay, place)
    layers.add(settings, lambda _: "--set")
    if wanted == "auto":
        layers.add({"hardware": overlay_name}, place)
    return _resolve(detector, layers)


def load_default(detector: Detector) -> Recipe[Any]:
    """Load the detector's default recipe alone, without a hardware overlay."""
    layers = _Layers("default.yaml")
    _add_default(layers, detector)
    return _resolve(detector, layers).recipe


def annotated(detector: Detector) -> str:
    """Return the detector's default recipe as YAML with each key's meaning and range beside it."""
    return annotate(load_default(detector), json_schema(detector))


def parse_recipe(text: str, name: str) -> Recipe[Any]:
    """Read back what `dump_recipe` wrote, exactly: nothing is laid under or over it. `name` is for errors."""
    tree, origin = _parse(text, name)
    detector = _find_detector(tree, origin, name)
    layers = _Layers(name)
    layers.add(tree, origin)
    return _resolve(detector, layers).recipe


def dump_recipe(recipe: Recipe[Any]) -> str:
    """Return the whole recipe as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def recipe_sha256(recipe: Recipe[Any]) -> str:
    """Return the sha256 over all of a recipe's values."""
    return sha256(json_bytes(recipe)).hexdigest()


def describe(resolved: Resolved) -> list[tuple[str, Any, str]]:
    """Return (dotted key, value, origin) for every value of a recipe."""
    values = flatten(resolved.recipe.model_dump(mode="json"))
    return [(dotted, value, resolved.sources[dotted]) for dotted, value in values]


def with_overrides(
    recipe: Recipe[Any], overrides: Mapping[str, Any], origin: str = "override"
) -> Recipe[Any]:
    """Return the recipe with values changed at dotted keys; InputError for a key that it does not have."""
    tree = recipe.model_dump(mode="json")
    known = [dotted for dotted, _ in flatten(tree)]
    for dotted, value in overrides.items():
        if not holds(tree, dotted):
            raise InputError(f"{origin}: {dotted}: there is no such key{did_you_mean(dotted, known)}")
        tree = merge(tree, nest(dotted, value))
    changed = validate(type(recipe), tree, lambda _: origin)
    check_baselines(changed, lambda _: origin)
    return changed


class _Layers:
    """Trees on top of one another, and where each value that shows was written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layers: list[tuple[Tree, Origin]] = []

    def add(self, layer: Tree, origin: Origin) -> None:
        """Put a layer over the others."""
        self.layers.append((layer, origin))

    def tree(self) -> Tree:
        """Return what shows."""
        return reduce(merge, (layer for layer, _ in self.layers), {})

    def source(self, dotted: str) -> str:
        """Return where a value was written; what nobody wrote is the default of the key."""
        found = (origin(dotted) for layer, origin in reversed(self.layers) if holds(layer, dotted))
        return next(found, "default")

    def origin(self, dotted: str) -> str:
        """Return where a key was written, or else the section that it should be in: for errors."""
        while dotted:
            for layer, origin in reversed(self.layers):
                if holds(layer, dotted):
                    return origin(dotted)
            dotted = dotted.rpartition(".")[0]
        return self.name


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _parse(text: str, name: str) -> tuple[Tree, Origin]:
    tree, lines = parse_mapping(text, name)
    return tree, lambda dotted: f"{name}:{lines[dotted]}"


def _plain(written: Mapping[str, Any]) -> tuple[Tree, Origin]:
    """Return a mapping as a file would hold it: paths are text, tuples are lists."""
    try:
        tree: Tree = jsonable(written, MAPPING)
    except TypeError as error:
        raise InputError(str(error)) from None
    return tree, lambda _: MAPPING


def _find_detector(tree: Tree, origin: Origin, where: str) -> Detector:
    name = tree.get("detector")
    if not isinstance(name, str):
        raise InputError(f"{where}: detector: {'is missing' if name is None else f'{name!r} is not a name'}")
    try:
        return load_detector(name)
    except InputError as error:
        raise InputError(f"{origin('detector')}: {error}") from error


def _add_default(layers: _Layers, detector: Detector) -> Tree:
    path = detector.folder / "recipes" / "default.yaml"
    tree, _ = parse_mapping(_read(path), str(path))
    layers.add(tree, lambda _: "default")
    return tree


def _parse_set(text: str) -> Tree:
    dotted, equals, value = text.partition("=")
    if not equals or not dotted.strip():
        raise InputError(f"--set {text}: write key=value, such as model.width=64")
    if dotted.strip() == "detector":
        raise InputError("--set detector: the detector is chosen in the recipe's file")
    return nest(dotted.strip(), parse_value(value, f"--set {dotted.strip()}"))


def _read_overlay(name: str, how: str) -> tuple[Tree, Origin]:
    """Return the values of a hardware overlay, named or a file of the user's own, and their origin."""
    known = sorted(path.stem for path in HARDWARE.glob("*.yaml"))
    path = HARDWARE / f"{name}.yaml" if name in known else Path(name)
    if name not in known and path.suffix not in (".yaml", ".yml"):
        raise InputError(
            f"hardware: no overlay {name!r}{did_you_mean(name, known)} (there are: {', '.join(known)})"
        )
    tree, lines = parse_mapping(_read(path), str(path))
    foreign = sorted(set(tree) - set(OVERLAID))
    if foreign:
        raise InputError(
            f"{path}:{lines[foreign[0]]}: {foreign[0]}: an overlay sets only {', '.join(OVERLAID)}"
        )
    return tree, lambda _: f"hardware {name} {how}".strip()


def _resolve(detector: Detector, layers: _Layers) -> Resolved:
    tree = layers.tree()
    for name in tree.get("stages") or {}:
        if name not in detector.stages:
            hint = did_you_mean(name, list(detector.stages))
            where = layers.origin(f"stages.{name}")
            raise InputError(f"{where}: stages.{name}: {detector.name} has no such stage{hint}")
    recipe = validate(Recipe[detector.config], tree, layers.origin)  # type: ignore[name-defined]
    check_baselines(recipe, layers.origin)
    for name, overrides in recipe.variants.items():
        _check_variant(recipe, overrides, f"{layers.origin(f'variants.{name}')}: variants.{name}")
    values = flatten(recipe.model_dump(mode="json"))
    return Resolved(recipe, {dotted: layers.source(dotted) for dotted, _ in values})


def _check_variant(recipe: Recipe[Any], overrides: Mapping[str, Any], origin: str) -> None:
    for dotted in overrides:
        if dotted.partition(".")[0] in SHARED:
            raise InputError(
                f"{origin}: {dotted}: a variant shares this with the model that it is compared to"
            )
    with_overrides(recipe, overrides, origin)
