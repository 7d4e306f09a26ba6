import os
import subprocess
from pathlib import Path

import pytest

from tocsin.core.provenance import environment, git_state, package_versions


def git(folder: Path, *arguments: str) -> str:
    command = [
        "git",
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@localhost",
        "-c",
        "commit.gpgsign=false",
        *arguments,
    ]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.txt").write_text("a")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "--quiet", "-m", "a")
    return tmp_path


def test_the_commit_and_whether_files_differ(repository: Path):
    head = git(repository, "rev-parse", "HEAD")
    assert git_state(repository) == (head, False)
    (repository / "a.txt").write_text("b")
    assert git_state(repository) == (head, True)
    git(repository, "checkout", "--quiet", "a.txt")
    (repository / "new.txt").write_text("untracked")
    assert git_state(repository) == (head, True)


def test_the_working_directory_is_meant_by_default(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(repository)
    assert git_state() == git_state(repository)


def test_outside_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == (None, None)
    git(tmp_path, "init", "--quiet")
    assert git_state(tmp_path) == (None, None), "no commit yet"


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert git_state(repository) == (None, None)


def test_a_hanging_git_is_given_up(repository: Path, monkeypatch: pytest.MonkeyPatch):
    def hang(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert git_state(repository) == (None, None)


def test_a_repository_cannot_start_programs(repository: Path):
    trap = repository / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(trap))
    git_state(repository)
    assert not (repository / "sprung").exists()
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, check=False)
    assert (repository / "sprung").exists(), "the trap works"


def test_versions_of_what_is_installed():
    found = package_versions(["numpy", "no-such-package", "pydantic"])
    assert list(found) == ["numpy", "pydantic"]
    assert found["numpy"] == __import__("numpy").__version__


def test_facts_about_the_machine_are_plain_and_name_nobody():
    facts = environment()
    assert all(isinstance(value, str) and value for value in facts.values())
    assert os.uname().nodename not in " ".join(facts.values())
