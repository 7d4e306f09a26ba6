"""Pages of documentation as programs: blocks that run in their order, and what they print."""

import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```(text varies|\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXTS = ("text", "text varies")
"""What the block before prints. Where words vary from machine to machine, only the number of lines is held."""
NUMBER = re.compile(r"\b[0-9a-f]{12}\b|-?\d[\d,]*(\.\d+)?(e-?\d+)?")
"""A digest, or a number."""


@dataclass
class Page:
    """A page whose blocks share one folder and one set of names, as the cells of a notebook do."""

    path: Path
    folder: Path
    scope: dict[str, Any] = field(default_factory=dict)
    done: int = 0

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """(language, text) of every block."""
        return FENCE.findall(self.path.read_text("utf-8"))

    def run(self, until: str | None = None) -> None:
        """Run the blocks that did not run yet, up to and with the first that holds a text."""
        while self.done < len(self.blocks):
            kind, text = self.blocks[self.done]
            self.done += 1
            if kind in TEXTS:
                continue
            printed = self._run_one(kind, text)
            self._check(printed, *next(iter(self.blocks[self.done : self.done + 1]), ("", "")))
            if until is not None and until in text:
                return

    def _check(self, printed: str, kind: str, text: str) -> None:
        shown = text if kind in TEXTS else ""
        same = (
            len(printed.splitlines()) == len(shown.splitlines())
            if kind == TEXTS[1]
            else mask(printed) == mask(shown)
        )
        assert same, f"{self.path.name}: a block prints\n{printed}\nand the page shows\n{shown}"

    def _run_one(self, kind: str, text: str) -> str:
        assert kind in ("bash", "python"), f"{self.path.name}: a block of {kind!r} does not run"
        if kind == "bash":
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            command = ["bash", "-e", "-c", text]
            environment = os.environ | {"PATH": path}
            subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, check=True, timeout=120
            )
            return ""
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed):
            exec(compile(text, f"{self.path.name}, block {self.done}", "exec"), self.scope)
        return printed.getvalue()


def mask(text: str) -> list[str]:
    """Numbers differ from machine to machine, and so does the width of a table; the words around them do not."""
    return NUMBER.sub("#", text).split()
