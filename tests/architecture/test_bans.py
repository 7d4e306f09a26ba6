"""Nothing on a load path may unpickle, run text, extract an archive or fetch; nothing prints but the CLI."""

import ast
from pathlib import Path

import pytest

from architecture.sources import sources

BANNED_MODULES = {
    "pickle": "unpickles", "cPickle": "unpickles", "_pickle": "unpickles", "dill": "unpickles",
    "cloudpickle": "unpickles", "joblib": "unpickles", "shelve": "unpickles", "marshal": "unmarshals",
}  # fmt: skip
ARCHIVE_MODULES = {"tarfile", "zipfile"}
ARCHIVE_FREE = {"artifact", "serve"}
BANNED_CALLS = {
    "eval": "runs text", "exec": "runs text", "compile": "runs text",
    "yaml.load": "builds objects: yaml.safe_load", "yaml.load_all": "builds objects",
    "yaml.unsafe_load": "builds objects", "yaml.full_load": "builds objects",
    "pandas.read_pickle": "unpickles", "torch.hub.load": "fetches code",
    "shutil.unpack_archive": "extracts an archive", "hashlib.new": "name the hash: hashlib.sha256",
}  # fmt: skip
# A call that is fine only with this keyword at this value.
NEEDED_KEYWORDS = {
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
    "hashlib.md5": ("usedforsecurity", False),
    "hashlib.sha1": ("usedforsecurity", False),
    "torch.onnx.export": ("dynamo", True),
}


def aliases(tree: ast.Module) -> dict[str, str]:
    """The name in this module -> the full name of what it stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.partition(".")[0]: alias.name
                if alias.asname
                else alias.name.partition(".")[0]
                for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported(tree: ast.Module) -> list[tuple[int, str]]:
    """The line and the top-level name of each import, spelled as a statement or as a call."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.lineno, node.module.partition(".")[0]))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found += [(node.lineno, name.value) for name in node.args if isinstance(name, ast.Constant)]
    return found


def full_name(function: ast.expr, names: dict[str, str]) -> str:
    head, dot, tail = ast.unparse(function).partition(".")
    return names.get(head, head) + dot + tail


def call_fault(call: ast.Call, name: str, folder: str) -> str | None:
    keywords = {
        keyword.arg: keyword.value.value
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    if name in BANNED_CALLS:
        return BANNED_CALLS[name]
    if name in NEEDED_KEYWORDS:
        keyword, value = NEEDED_KEYWORDS[name]
        return None if keywords.get(keyword) is value else f"needs {keyword}={value}"
    if name in ("print", "rich.print") and folder != "cli":
        return "prints: log it, or return it to the CLI"
    if keywords.get("trust_remote_code"):
        return "runs fetched code"
    return None


def faults(tree: ast.Module, path: Path) -> list[str]:
    folder, names, found = path.parts[0], aliases(tree), []
    for line, module in imported(tree):
        if module in BANNED_MODULES:
            found.append(f"{path}:{line} {module}: {BANNED_MODULES[module]}")
        if module in ARCHIVE_MODULES and folder in ARCHIVE_FREE:
            found.append(f"{path}:{line} {module}: no archives in {folder}")
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = full_name(call.func, names)
        if fault := call_fault(call, name, folder):
            found.append(f"{path}:{call.lineno} {name}: {fault}")
    return found


def backward_calls(tree: ast.Module) -> int:
    return sum(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "backward"
        for node in ast.walk(tree)
    )


def test_no_fault():
    found = [fault for path, tree in sources().items() for fault in faults(tree, path)]
    assert not found, "\n".join(found)


def test_one_backward():
    """DESIGN section 4: one engine, so one call of backward() in the code base."""
    calls = {str(path): count for path, tree in sources().items() if (count := backward_calls(tree))}
    assert len(calls) == 1, calls
    assert list(calls.values()) == [1]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("import pickle", "data/a.py"),
        ("from joblib import load", "data/a.py"),
        ("import importlib; importlib.import_module('dill')", "data/a.py"),
        ("__import__('marshal')", "data/a.py"),
        ("import tarfile", "artifact/a.py"),
        ("def f():\n    from zipfile import ZipFile", "serve/a.py"),
        ("import torch; torch.load(f)", "nn/a.py"),
        ("import torch; torch.load(f, weights_only=False)", "nn/a.py"),
        ("from torch import load as read; read(f, weights_only=flag)", "nn/a.py"),
        ("import numpy as np; np.load(f)", "data/a.py"),
        ("import numpy as np; np.load(f, allow_pickle=True)", "data/a.py"),
        ("from numpy import load; load(f)", "data/a.py"),
        ("eval(text)", "data/a.py"),
        ("exec(text)", "data/a.py"),
        ("compile(text, '', 'exec')", "data/a.py"),
        ("import yaml; yaml.load(text, yaml.SafeLoader)", "core/a.py"),
        ("from yaml import unsafe_load; unsafe_load(text)", "core/a.py"),
        ("import hashlib; hashlib.md5(b'')", "core/a.py"),
        ("from hashlib import sha1; sha1(b'', usedforsecurity=True)", "core/a.py"),
        ("import torch.onnx; torch.onnx.export(m)", "nn/a.py"),
        ("AutoModel.from_pretrained(n, trust_remote_code=True)", "nn/a.py"),
        ("print(1)", "core/cli.py"),
        ("from rich import print; print(1)", "core/a.py"),
    ],
)
def test_a_fault_is_found(text: str, path: str):
    assert len(faults(ast.parse(text), Path(path))) == 1


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("import torch; torch.load(f, weights_only=True)", "nn/a.py"),
        ("import numpy as np; np.load(f, allow_pickle=False)", "data/a.py"),
        ("import yaml; yaml.safe_load(text)", "core/a.py"),
        ("import re, torch; re.compile('a'); torch.compile(m); model.eval()", "nn/a.py"),
        ("import hashlib; hashlib.sha256(b''); hashlib.md5(b'', usedforsecurity=False)", "core/a.py"),
        ("import zipfile", "data/a.py"),
        ("print(1)", "cli/a.py"),
    ],
)
def test_what_is_fine_is_left_alone(text: str, path: str):
    assert not faults(ast.parse(text), Path(path))


def test_a_second_backward_is_counted():
    assert backward_calls(ast.parse("loss.backward(); fabric.backward(loss); backward; model.backward")) == 2
