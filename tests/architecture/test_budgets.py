"""DESIGN section 8: sizes and names."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from architecture.sources import PACKAGE, sources

Function = ast.FunctionDef | ast.AsyncFunctionDef

MOST_LINES_OF_FUNCTION, MOST_LINES_OF_CLASS, MOST_PARAMETERS = 60, 200, 6
VAGUE_CLASS = re.compile(r"^_*Base([A-Z]|$)|(Manager|Helper)$")
VAGUE_MODULES = {"utils", "util", "common", "misc", "helpers", "helper"}


def nodes(tree: ast.AST, *kinds: type) -> Iterator:
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def length(node: ast.AST) -> int:
    """Lines from `def` or `class` to the end, the docstring left out: explaining costs nothing."""
    first = node.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
    return node.end_lineno - node.lineno + 1 - docstring


def parameters(function: Function) -> int:
    names = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return len([name for name in names if name.arg not in ("self", "cls")])


def is_command(function: Function, path: Path) -> bool:
    """Whether typer makes the parameters of this function into options."""
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    return path.parts[0] == "cli" and any(re.search(r"\.(command|callback)\(", text) for text in decorators)


def keeps_its_keywords(function: Function) -> bool:
    """Whether `**kwargs` is taken and used for anything but passing it on whole."""
    if function.args.kwarg is None:
        return False
    name = function.args.kwarg.arg
    uses = [node for node in nodes(function, ast.Name) if node.id == name]
    passed_on = [
        keyword.value
        for call in nodes(function, ast.Call)
        for keyword in call.keywords
        if keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == name
    ]
    return not passed_on or len(uses) > len(passed_on)


def faults(tree: ast.Module, path: Path) -> list[str]:
    found = []
    if {part.removesuffix(".py") for part in path.parts} & VAGUE_MODULES:
        found.append(f"{path}: a name that says nothing")
    for kind in nodes(tree, ast.ClassDef):
        if VAGUE_CLASS.search(kind.name):
            found.append(f"{path}:{kind.lineno} {kind.name}: a name that says nothing")
        if length(kind) > MOST_LINES_OF_CLASS:
            found.append(f"{path}:{kind.lineno} {kind.name}: {length(kind)} lines")
    for function in nodes(tree, ast.FunctionDef, ast.AsyncFunctionDef):
        where = f"{path}:{function.lineno} {function.name}"
        if length(function) > MOST_LINES_OF_FUNCTION:
            found.append(f"{where}: {length(function)} lines")
        if parameters(function) > MOST_PARAMETERS and not is_command(function, path):
            found.append(f"{where}: {parameters(function)} parameters; make them a frozen dataclass")
        if keeps_its_keywords(function):
            found.append(f"{where}: **{function.args.kwarg.arg} may only be forwarded")
    return found


def p90(values: list[int]) -> float:
    return sorted(values)[int(0.9 * (len(values) - 1))]


def spread_faults(functions: list[int], files: list[int]) -> list[str]:
    measured = {
        "median function": (statistics.median(functions), 10),
        "p90 function": (p90(functions), 30),
        "p90 file": (p90(files), 300),
    }
    return [f"{name}: {value} lines, over {most}" for name, (value, most) in measured.items() if value > most]


def test_no_fault():
    found = [fault for path, tree in sources().items() for fault in faults(tree, path)]
    assert not found, "\n".join(found)


def test_sizes_in_all():
    trees = sources().values()
    functions = [
        length(node) for tree in trees for node in nodes(tree, ast.FunctionDef, ast.AsyncFunctionDef)
    ]
    files = [len((PACKAGE / path).read_text("utf-8").splitlines()) for path in sources()]
    assert not spread_faults(functions, files)


@pytest.mark.parametrize(
    ("text", "path", "fault"),
    [
        ("def f():\n" + "    x = 1\n" * 60, "a.py", "61 lines"),
        ("class C:\n" + "    x = 1\n" * 200, "a.py", "201 lines"),
        ("async def f(a, b, c, d, *, e, f, g): ...", "a.py", "7 parameters"),
        ("@dataclass\ndef f(a, b, c, d, e, f, g): ...", "cli/a.py", "7 parameters"),
        ("class BaseModel: ...", "a.py", "says nothing"),
        ("class RunManager: ...", "a.py", "says nothing"),
        ("", "serve/utils.py", "says nothing"),
        ("", "helpers/text.py", "says nothing"),
        ("def f(**kwargs): return kwargs['a']", "a.py", "forwarded"),
        ("def f(**options): g(**options); return options.get('a')", "a.py", "forwarded"),
    ],
)
def test_a_fault_is_found(text: str, path: str, fault: str):
    (found,) = faults(ast.parse(text), Path(path))
    assert fault in found


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('def f():\n    """' + "long\n" * 100 + '"""\n    return 1', "a.py"),
        ("class C:\n    def f(self, a, b, c, d, e, f): ...", "a.py"),
        ("@app.command()\ndef train(a, b, c, d, e, f, g): ...", "cli/a.py"),
        ("class Baseline: ...", "common_words.py"),
        ("def f(**options): return g(1, **options)", "a.py"),
    ],
)
def test_what_is_fine_is_left_alone(text: str, path: str):
    assert not faults(ast.parse(text), Path(path))


def test_wide_sizes_are_found():
    assert len(spread_faults([11] * 5 + [31] * 5, [301] * 10)) == 3
    assert not spread_faults([10] * 9 + [60], [300] * 9 + [900])
