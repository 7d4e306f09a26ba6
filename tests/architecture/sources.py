"""The source files of the package, parsed."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tocsin"


@cache
def sources() -> dict[Path, ast.Module]:
    """Every module of tocsin, its path relative to the package -> its syntax tree."""
    found = {
        path.relative_to(PACKAGE): ast.parse(path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert found, f"no sources in {PACKAGE}"
    return found


def module_name(path: Path) -> str:
    """`serve/app.py` -> `tocsin.serve.app`."""
    return ".".join(part for part in ("tocsin", *path.with_suffix("").parts) if part != "__init__")
