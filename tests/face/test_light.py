"""What a process imports: to open and to predict takes no torch, and `import tocsin` takes next to nothing."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tocsin
from architecture.sources import PACKAGE, sources

HEAVY = ("torch", "sklearn", "pandas", "polars", "scipy", "matplotlib", "lightgbm")
REPORT = f"import sys; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"


def imported(program: str, folder: Path) -> list[str]:
    """Run a program in a process of its own; return which of the heavy libraries it has at its end."""
    done = run(f"{program}\n{REPORT}", folder)
    return done.splitlines()[-1].split()


def run(program: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ASK = """
import tocsin
model = tocsin.open("runs/tiny/seed_1/artifact")
verdict, = model.predict(model.examples[:1], explain=2)
assert verdict.evidence and model.card and model.calibration and repr(model)
"""


def test_to_open_and_to_predict_takes_no_torch(here: Path) -> None:
    assert imported(ASK, here) == []


def test_what_brings_a_heavy_library_is_noticed(here: Path) -> None:
    assert {"sklearn", "pandas", "torch"} <= set(imported(f"{ASK}\nmodel.estimator(); import torch", here))


def test_a_polars_frame_brings_no_pandas(here: Path) -> None:
    assert imported(f"import polars\n{ASK}\nmodel.predict(polars.DataFrame(model.examples))", here) == [
        "polars"
    ]


def test_import_tocsin_and_its_help_leave_the_face_alone(tmp_path: Path) -> None:
    for program in (
        "import tocsin",
        "import tocsin.cli.app",
        "import tocsin; dir(tocsin); tocsin.__version__",
    ):
        listing = f"{program}\nimport sys; print([m for m in sys.modules if m.startswith('tocsin.face')])"
        assert run(listing, tmp_path) == "[]\n", program


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'tocsin' has no attribute 'opne'"):
        tocsin.opne  # noqa: B018
    assert set(tocsin.__all__) <= set(dir(tocsin))


def stub_homes(text: str) -> dict[str, str]:
    """Public name -> module, as a stub file says it."""
    imports = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or "": (node.module or "").removeprefix("tocsin.")
        for node in imports
        for alias in node.names
        if alias.name == alias.asname
    }


def test_the_stub_and_the_package_name_the_same() -> None:
    homes = stub_homes((PACKAGE / "__init__.pyi").read_text())
    assert homes == tocsin._HOMES
    for name, module in homes.items():
        assert getattr(tocsin, name).__module__ == f"tocsin.{module}"


def test_a_name_that_a_stub_lacks_is_noticed() -> None:
    assert stub_homes(
        "from tocsin.core.types import Verdict as Verdict\nfrom tocsin.core.types import Sample"
    ) == {"Verdict": "core.types"}


def faces(tree: ast.Module) -> list[str]:
    """Names of the face that a module takes from the top of the package, where no import contract sees them."""
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "tocsin"]
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    names = [alias.name for node in taken for alias in node.names if alias.name in tocsin.__all__]
    return names + [alias.name for node in whole for alias in node.names if alias.name == "tocsin"]


def test_the_package_itself_does_not_go_through_its_face() -> None:
    assert {str(path): found for path, tree in sources().items() if (found := faces(tree))} == {}


@pytest.mark.parametrize(
    "text", ["from tocsin import open", "import tocsin", "def f():\n    from tocsin import Model"]
)
def test_a_way_through_the_face_is_noticed(text: str) -> None:
    assert len(faces(ast.parse(text))) == 1
