"""The reference pages are what the code says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pages_are_what_the_code_says() -> None:
    pages = runpy.run_path(str(ROOT / "tools" / "reference.py"))["pages"]()
    folder = ROOT / "docs" / "reference"
    assert {path.name: path.read_text() for path in folder.glob("*.md")} == pages, "run `make docs`"
