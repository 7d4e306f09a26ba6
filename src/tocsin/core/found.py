"""Parts that are found by the names of their files, so that no list has to name them."""

from importlib import import_module
from pkgutil import iter_modules


def files_of(package: str) -> dict[str, str]:
    """Return name -> module for the files of a package: the name is the file's, with hyphens. None is imported."""
    found = iter_modules(import_module(package).__path__)
    return {part.name.replace("_", "-"): f"{package}.{part.name}" for part in found if not part.ispkg}
