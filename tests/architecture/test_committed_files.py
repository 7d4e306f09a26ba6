"""No file names a path of the machine it was written on, or a registry's host."""

import re
import subprocess

import pytest

from architecture.sources import ROOT

# Each has a class in brackets, so that this file does not match itself.
FOREIGN = re.compile(
    r"/wor[k]/(main|shared|\.library)|/op[t]/(wheels|pypi)|/roo[t]/\.(pyenv|cache)|/tm[p]/bash_jobs"
    r"|pypi\.or[g]|pythonhosted\.or[g]|npmjs\.(or[g]|com)|yarnpkg\.co[m]|download\.pytorch\.or[g]"
    r"|deb(ian)?\.debian\.or[g]|anaconda\.(or[g]|com)|crates\.i[o]\b|repo\.maven\.apache\.or[g]"
)


def faults(text: str, name: str) -> list[str]:
    return [
        f"{name}:{number} {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        if (match := FOREIGN.search(line))
    ]


def test_no_fault():
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [(ROOT / name, name) for name in names if name and (ROOT / name).is_file()]
    assert len(files) > 10
    found = [
        fault for path, name in files for fault in faults(path.read_text("utf-8", errors="replace"), name)
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
