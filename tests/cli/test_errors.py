"""What goes wrong outside the program is one line and an exit code, never a stack."""

import errno
import os
import sys
from pathlib import Path

import pytest

from tocsin import cli
from tocsin.core import durable


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["tocsin", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_a_full_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable.os, "fsync", full)
    assert run(monkeypatch, "new", "intrusion", tmp_path / "mine.yaml") == 2
    assert capsys.readouterr().err == f"tocsin: {tmp_path / 'mine.yaml'}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(monkeypatch, "demo", "--only-data", "--output", tmp_path / "file" / "in") == 2
    assert capsys.readouterr().err.startswith(f"tocsin: {tmp_path / 'file'}")


def test_a_bug_is_not_taken_for_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tocsin.workflows.training.made.make_data", broken)
    monkeypatch.setattr(sys, "argv", ["tocsin", "demo", "--only-data"])
    with pytest.raises(ZeroDivisionError):
        cli.main()
