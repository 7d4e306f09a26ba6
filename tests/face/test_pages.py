"""Every block of the pages about Python runs, and prints what the page shows."""

import subprocess
from pathlib import Path

import pytest

from face.pages import DOCS, Page


def test_the_how_to_runs_to_its_end(page: Page) -> None:
    page.run()
    assert page.done == len(page.blocks)


def test_the_tutorial_runs_from_data_to_verdict(tmp_path: Path) -> None:
    tutorial = Page(DOCS / "tutorial" / "data-to-verdict.md", tmp_path)
    tutorial.run()
    assert tutorial.scope["verdict"].evidence
    assert (tmp_path / "calibration.png").stat().st_size > 0


def write(folder: Path, text: str) -> Page:
    (folder / "page.md").write_text(text)
    return Page(folder / "page.md", folder)


def test_numbers_may_differ_and_words_may_not(tmp_path: Path) -> None:
    write(tmp_path, "```python\nprint('recall', 0.5)\n```\n\n```text\nrecall 0.71\n```\n").run()
    write(tmp_path, "```python\nprint('f1')\n```\n\n```text varies\nrecall\n```\n").run()
    for wrong in (
        "```python\nprint('recall', 0.5)\n```\n\n```text\nprecision 0.5\n```\n",
        "```python\nprint('recall')\n```\n",
        "```python\nprint('a')\n```\n\n```text varies\na\nb\n```\n",
    ):
        with pytest.raises(AssertionError, match="and the page shows"):
            write(tmp_path, wrong).run()


def test_a_block_that_fails_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, "```python\n1 / 0\n```\n").run()
    with pytest.raises(subprocess.CalledProcessError):
        write(tmp_path, "```bash\ntocsin verify nothing-here\necho later\n```\n").run()
    with pytest.raises(AssertionError, match="a block of 'toml' does not run"):
        write(tmp_path, "```toml\na = 1\n```\n").run()
