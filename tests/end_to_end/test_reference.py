"""The reference pages are what the code says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pages_are_what_the_code_says(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "reference.py", tmp_path], check=True, timeout=120)
    made, kept = (
        {path.name: path.read_text() for path in folder.glob("*.md")}
        for folder in (tmp_path, ROOT / "docs" / "reference")
    )
    assert made
    assert made == kept, "run `make docs`"
