"""What a number was made with: the commit of the code, the versions of the packages, the machine."""

import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Origin(BaseModel):
    """What made the numbers of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(description="path of the run's folder as it was then")
    seed: int
    recipe_sha256: str
    data_fingerprint: str = Field(description="sha256 over ids, labels, schema and split")
    git_commit: str | None
    git_dirty: bool | None
    created_at: str = Field(description="UTC, ISO 8601")


class Scoring(BaseModel):
    """What made the numbers of a sealed model on rows that it was given afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: str = Field(description="path or name as it was given")
    digest: str
    trained: Origin = Field(description="what made the model")
    data_fingerprint: str = Field(
        description="sha256 over labels and contents of the scored rows, in their order"
    )
    git_commit: str | None = Field(description="of the code that scored")
    git_dirty: bool | None
    created_at: str = Field(description="UTC, ISO 8601")


def git_state(folder: Path | None = None) -> tuple[str | None, bool | None]:
    """Return the commit and whether files differ from it, of a folder or the working directory.

    (None, None) outside a repository, before its first commit, and without git.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, None
    changes = _git(folder, "status", "--porcelain")
    return commit, None if changes is None else bool(changes)


def git_reviewers(commit: str, folder: Path | None = None) -> list[str]:
    """Return the names on the `Reviewed-by:` lines of a commit; none where the commit is not here."""
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):  # else git could read it as an option
        return []
    message = _git(folder, "show", "-s", "--format=%(trailers:key=Reviewed-by,valueonly)", commit) or ""
    return [line.partition("<")[0].strip() for line in message.splitlines() if line.strip()]


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return package -> installed version; packages that are not installed are left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """Return what is known about the machine without touching its devices."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "machine": platform.machine(),
    }


def _git(folder: Path | None, *arguments: str) -> str | None:
    """Run git read-only; a repository's own settings must not start programs (core.fsmonitor could)."""
    command = ["git", "-c", "core.fsmonitor=false", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
