"""The commands of the how-to pages work as they stand, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from tocsin.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
LINKED = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_script(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    assert blocks, "a how-to page without a command"
    done = run_script("\n".join(blocks), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failing_command_would_be_noticed(tmp_path: Path) -> None:
    assert run_script("tocsin verify nothing-here\necho later", tmp_path).returncode == 2


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in t]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *PAGES], ids=lambda page: page.stem
)
def test_named_files_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:core|features|data|metrics|artifact|nn|engine|audit|serve|workflows|tests)/[\w/]+\.py)`",
        page.read_text(),
    )
    missing = [n for n in named if not ((ROOT / "src" / "tocsin" / n).exists() or (ROOT / n).exists())]
    assert missing == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_every_command_and_option_that_is_named_exists(page: Path) -> None:
    commands = re.findall(
        r"(?:^ *(?:\.venv/bin/)?|`)tocsin ([a-z]+)([^\n`|#]*)", page.read_text(), re.MULTILINE
    )
    assert commands
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    for verb, rest in commands:
        assert verb in verbs
        command = verbs[verb]
        if hasattr(command, "commands"):  # a group, such as `data`: its own verb follows
            assert rest.split()[0] in command.commands
            command = command.commands[rest.split()[0]]
        options = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= options
