"""The locks: hashed, without addresses, above the security floors: what pip-audit cannot say offline."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from architecture.sources import ROOT

# torch by the Makefile; an extra of ours is its parts.
PINNED_ELSEWHERE = ("torch==", "tocsin[")
LOCKS = sorted(ROOT.glob("requirements/*.lock"))
PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?P<marker> ;[^\\]*)?( \\)?$")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?$")

# What a lock may pin, where an advisory says so. Absence here is no evidence of safety.
ALLOWED = {
    "gradio": ">=6.7",  # CVE-2026-28416, CVE-2026-28414: gr.load reaches inside the network
    "lightning": "!=2.6.2,!=2.6.3",  # GHSA-w37p-236h-pfx3: malware
    "mlflow": ">=3.11",  # CVE-2026-2652, CVE-2026-0545: authentication bypass
    "mlflow-skinny": ">=3.11",
    "onnx": ">=1.21",  # CVE-2026-27489, -34446, -34447: external data leaves its folder
    "pytorch-lightning": "!=2.6.2,!=2.6.3",
    "ray": ">=2.54",  # CVE-2026-27482: requests that delete
    "torch": ">=2.13",
    "transformers": ">=5.3",  # CVE-2026-4372, CVE-2026-1839: runs fetched code
}
SERVING_FREE_OF = {"torch", "lightning-fabric", "mlflow", "scikit-learn", "lightgbm", "onnx", "pytest"}


def pins(text: str) -> dict[str, set[str]]:
    """Each package of a lock and its versions: more than one where they depend on the Python version."""
    found: dict[str, set[str]] = {}
    for match in filter(None, map(PIN.match, text.splitlines())):
        found.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return found


def faults(text: str) -> list[str]:
    lines = text.splitlines()
    found = [f"not a pin nor a hash: {line}" for line in lines if not (PIN.match(line) or HASH.match(line))]
    found += [
        f"no hash: {line}"
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if PIN.match(line) and not HASH.match(following)
    ]
    found += [
        f"{name} {version} is not {ALLOWED[name]}"
        for name, versions in pins(text).items()
        for version in versions
        if name in ALLOWED and version not in SpecifierSet(ALLOWED[name])
    ]
    return found


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def unmet(requirements: list[str], lock: dict[str, set[str]]) -> list[str]:
    wanted = [Requirement(text) for text in requirements]
    return [
        str(requirement)
        for requirement in wanted
        if not any(map(requirement.specifier.contains, lock.get(canonicalize_name(requirement.name), ())))
    ]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_no_fault(path: Path):
    assert not faults(path.read_text("utf-8"))


def test_the_locks_answer_pyproject():
    extras = project()["optional-dependencies"]
    dev = [text for extra in ("serve", "data", "train", "track", "dev") for text in extras[extra]]
    everything = [text for text in project()["dependencies"] + dev if not text.startswith(PINNED_ELSEWHERE)]
    lock = {name: pins((ROOT / f"requirements/{name}.lock").read_text("utf-8")) for name in ("dev", "serve")}
    assert not unmet(everything, lock["dev"])
    assert not unmet(project()["dependencies"] + extras["serve"], lock["serve"])
    assert lock["serve"].items() <= lock["dev"].items(), "what is served is not what is tested"


def test_serving_is_free_of_training():
    assert not SERVING_FREE_OF & pins((ROOT / "requirements/serve.lock").read_text("utf-8")).keys()


def test_torch_is_pinned_once():
    """The lock leaves torch out: which build fits depends on the machine. The Makefile names the version."""
    version = next(text for text in project()["optional-dependencies"]["train"] if text.startswith("torch=="))
    assert f"PINNED := {version}" in (ROOT / "Makefile").read_text("utf-8").splitlines()


DIGEST = "    --hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("numpy==2.4.6", "no hash"),
        ("numpy==2.4.6 \\\nscipy==1.17.1 \\\n" + DIGEST, "no hash"),
        (f"numpy>=2 \\\n{DIGEST}", "not a pin"),
        (f"numpy @ https://example.com/numpy.whl \\\n{DIGEST}", "not a pin"),
        (f"--index-url https://example.com\nnumpy==2.4.6 \\\n{DIGEST}", "not a pin"),
        (f"lightning==2.6.3 \\\n{DIGEST}", "is not"),
        (f"mlflow==2.9.0 \\\n{DIGEST}", "is not"),
        (f"onnx==1.20.1 ; python_full_version < '3.12' \\\n{DIGEST}", "is not"),
    ],
)
def test_a_fault_is_found(text: str, fault: str):
    (found,) = faults(text)
    assert fault in found


def test_a_lock_behind_pyproject_is_found():
    assert unmet(["numpy>=2.4", "scipy", "rich>=14"], {"numpy": {"2.3"}, "rich": {"15.0"}}) == [
        "numpy>=2.4",
        "scipy",
    ]
