"""DESIGN section 3: the direction of imports. The contracts are pyproject.toml's, under tool.importlinter."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from architecture.sources import ROOT, module_name, sources

FOLDERS = [
    "cli", "face", "workflows", "detectors", "engine", "serve", "monitor", "audit", "nn", "artifact", "baselines",
    "metrics", "features", "data", "core",
]  # fmt: skip
WINGS = ["training", "readiness", "pages", "judging", "using"]
DETECTOR_FILES = [
    "__init__", "sample", "encode", "decode", "demo", "model", "training", "baselines/__init__", "baselines/rules",
    "features/__init__", "features/cues",
]  # fmt: skip
# What imports torch as it is imported. The rest of the package, the command line included, does not.
TORCH_FOLDERS = {"nn", "engine", "workflows"}
TORCH_FILES = {"augmentation", "model", "training"}


def part_of(folder: str) -> str:
    """Return a module of a folder; in `workflows` all but one lie in a wing."""
    return f"{folder}/{'demo' if folder == 'workflows' else 'part'}"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    command = [program, "--no-logo", "--no-cache", "--config", ROOT / "pyproject.toml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_hold():
    result = lint(ROOT / "src")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def lookalike(tmp_path: Path) -> Path:
    """An empty package with tocsin's folders and two detectors."""
    files = [Path(folder, "__init__.py") for folder in FOLDERS]
    files += [Path(f"{part_of(folder)}.py") for folder in FOLDERS]
    files += [Path("detectors", name, f"{file}.py") for name in ("alpha", "beta") for file in DETECTOR_FILES]
    files += [Path("workflows", wing, file) for wing in WINGS for file in ("__init__.py", "part.py")]
    for file in (Path("__init__.py"), *files):
        path = tmp_path / "tocsin" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_the_contracts_accept_an_empty_package(lookalike: Path):
    result = lint(lookalike)
    assert result.returncode == 0, result.stdout


LAYERS, WING, PLAIN, INDEPENDENT = (
    "a folder imports only what stands to its right",
    "the wings of workflows: a wing imports only those to its right",
    "the plain side never reaches torch",
    "detectors do not know each other",
)


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        *(
            (part_of(right), f"tocsin.{part_of(left).replace('/', '.')}", LAYERS)
            for left, right in itertools.pairwise(FOLDERS)
        ),
        *(
            (f"workflows/{right}/part", f"tocsin.workflows.{left}.part", WING)
            for left, right in itertools.pairwise(WINGS)
        ),
        ("core/part", "tocsin.cli.part", LAYERS),
        ("artifact/part", "tocsin.nn.part", LAYERS),
        ("serve/part", "torch", PLAIN),
        ("serve/part", "lightning_fabric", PLAIN),
        ("monitor/__init__", "torch.nn", PLAIN),
        ("detectors/alpha/__init__", "tocsin.detectors.alpha.training", PLAIN),
        ("detectors/alpha/encode", "tocsin.detectors.alpha.model", PLAIN),
        ("detectors/alpha/baselines/rules", "tocsin.detectors.alpha.model", PLAIN),
        ("detectors/alpha/features/cues", "tocsin.detectors.alpha.model", PLAIN),
        ("baselines/part", "torch", PLAIN),
        ("detectors/alpha/sample", "tocsin.detectors.beta.sample", INDEPENDENT),
    ],
)
def test_a_broken_contract_is_found(lookalike: Path, module: str, imported: str, contract: str):
    for file in ("model", "training"):
        (lookalike / "tocsin/detectors/alpha" / f"{file}.py").write_text("import torch\n")
    (lookalike / "tocsin" / f"{module}.py").write_text(f"def late():\n    import {imported}\n")
    result = lint(lookalike)
    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout


def test_a_folder_without_a_place_is_found(lookalike: Path):
    (lookalike / "tocsin/extra.py").touch()
    assert f"{LAYERS} BROKEN" in lint(lookalike).stdout


def is_plain(path: Path) -> bool:
    if path.stem == "__main__":  # runs as it is imported
        return False
    return path.parts[0] not in TORCH_FOLDERS and not (
        path.parts[0] == "detectors" and path.stem in TORCH_FILES
    )


def import_without_torch(modules: list[str]) -> subprocess.CompletedProcess[str]:
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    reached = {'torch', 'lightning_fabric'} & set(sys.modules)\n"
        "    if reached: sys.exit(f'{name} brings {reached}')\n"
    )
    command = [sys.executable, "-c", program, *modules]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_plain_side_imports_without_torch():
    """What no graph shows: a library that brings torch, a parent package, a name put together at run time."""
    result = import_without_torch([module_name(path) for path in sources() if is_plain(path)])
    assert result.returncode == 0, result.stderr


def test_torch_brought_by_a_library_is_found():
    result = import_without_torch(["json", "rtdl_revisiting_models"])
    assert result.returncode == 1
    assert "rtdl_revisiting_models brings" in result.stderr
