"""A detector adds verbs by a file beside it; nobody else's file changes, and no detector is imported for it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tocsin.detectors
from tocsin.cli.app import app
from tocsin.core.errors import InputError

VERBS = """
import typer
verbs = typer.Typer()

@verbs.command()
def {name}(what: str) -> None:
    "Ring a bell."
    typer.echo(f"rung {{what}}")

@verbs.command()
def {name}_twice() -> None:
    "Ring it twice."
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tocsin.detectors, "__path__", [*tocsin.detectors.__path__, str(tmp_path)])
    return tmp_path


@contextmanager
def detector(folder: Path, name: str, verb: str) -> Iterator[None]:
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    (folder / name / "verbs.py").write_text(VERBS.format(name=verb))
    yield
    for module in [m for m in sys.modules if m.startswith(f"tocsin.detectors.{name}")]:
        del sys.modules[module]


def test_a_verb_of_a_detector_is_found_told_and_run(folder: Path) -> None:
    with detector(folder, "bells", "ring"):
        assert "Ring a bell." in CliRunner().invoke(app, ["--help"]).stdout
        assert CliRunner().invoke(app, ["ring", "loud"]).stdout == "rung loud\n"
    assert CliRunner().invoke(app, ["sing"]).exit_code == 2


def test_a_verb_that_tocsin_has_is_refused(folder: Path) -> None:
    with detector(folder, "greedy", "train"):
        with pytest.raises(InputError, match=r"two verbs are called 'train': that of tocsin and of greedy"):
            CliRunner().invoke(app, ["--help"], catch_exceptions=False)
        assert CliRunner().invoke(app, ["train", "--help"]).exit_code == 0, "tocsin's own verb still works"


def test_help_imports_no_detector() -> None:
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom tocsin.cli.app import app\n"
        "CliRunner().invoke(app, ['--help'])\n"
        "print(sorted(m for m in sys.modules if m.startswith('tocsin.detectors.')))\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
