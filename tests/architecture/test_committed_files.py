"""No file names a path of the machine it was written on, or a registry's host; none is what a tool left behind."""

import re
import subprocess
from collections.abc import Iterable

import pytest

from architecture.sources import ROOT

# Each has a class in brackets, so that this file does not match itself.
FOREIGN = re.compile(
    r"/wor[k]/(main|shared|\.library)|/op[t]/(wheels|pypi)|/roo[t]/\.(pyenv|cache)|/tm[p]/bash_jobs"
    r"|pypi\.or[g]|pythonhosted\.or[g]|npmjs\.(or[g]|com)|yarnpkg\.co[m]|download\.pytorch\.or[g]"
    r"|deb(ian)?\.debian\.or[g]|anaconda\.(or[g]|com)|crates\.i[o]\b|repo\.maven\.apache\.or[g]"
)

LEFT_BEHIND = re.compile(
    r"(^|/)(lightning_logs|\.pt_tmp|mlruns|wandb|catboost_info|__pycache__|[^/]+\.egg-info|\.ipynb_checkpoints"
    r"|\.(pytest|mypy|ruff|import_linter)_cache|\.hypothesis|htmlcov)/"
    r"|\.py[co]$|(^|/)(mlflow\.db|\.coverage|\.DS_Store|Thumbs\.db|events\.out\.tfevents)[^/]*$|[^/](~|\.(orig|rej|swp))$"
)


def listed(*options: str) -> list[str]:
    """Return the paths of the files that Git has; with `--others`, also of those that it does not ignore."""
    listing = ["git", "ls-files", "--cached", *options, "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def litter(names: Iterable[str]) -> list[str]:
    """Return the names that a tool made and nobody wrote."""
    return [name for name in names if LEFT_BEHIND.search(name)]


def faults(text: str, name: str) -> list[str]:
    return [
        f"{name}:{number} {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        if (match := FOREIGN.search(line))
    ]


def test_no_fault():
    names = listed("--others")
    assert len(names) > 10
    found = [
        fault for name in names for fault in faults((ROOT / name).read_text("utf-8", errors="replace"), name)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "parts",
    [
        ("/work", "/main/src"),
        ("/opt", "/wheels"),
        ("https://py", "pi.org/simple"),
        ("registry.np", "mjs.org"),
    ],
)
def test_a_fault_is_found(parts: tuple[str, str]):
    assert len(faults("fine\n" + "".join(parts), "a.md")) == 1


def test_what_is_fine_is_left_alone():
    assert not faults("WORKDIR /app\npip install tocsin\n../shared/data\nhomework/main", "a.md")


def test_no_tool_left_a_file_behind():
    names = listed()
    assert len(names) > 10
    assert litter(names) == []


@pytest.mark.parametrize(
    "name",
    [
        "benchmarks/lightning_logs/version_0/metrics.csv",
        "benchmarks/.pt_tmp/exp_version_manager.yml",
        "mlruns/0/meta.yaml",
        "mlflow.db-journal",
        "src/tocsin/core/__pycache__/types.cpython-311.pyc",
        "src/tocsin/core/types.pyc",
        "src/tocsin.egg-info/PKG-INFO",
        "docs/.DS_Store",
        "runs/events.out.tfevents.1790000000.host",
        "README.md.orig",
        "README.md~",
    ],
)
def test_a_left_file_is_found(name: str):
    assert litter(["README.md", name]) == [name]


def test_a_file_that_somebody_wrote_is_no_litter():
    assert not litter(
        [
            "src/tocsin/workflows/training/trackers.py",
            "docs/mlruns.md",
            "tests/lightning_logs.py",
            ".gitignore",
            "original.py",
        ]
    )
