"""The examples in the docstrings of the face are what they say, and every public name has one."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import tocsin

MODULES = ["estimator", "judging", "model", "rows", "training"]
NEEDLESS = {"Verdict", "InputError", "CheckFailed", "TocsinError"}
"""Values and errors of core: each is shown where it is answered."""


def examples(name: str) -> list[doctest.DocTest]:
    return [
        found
        for found in doctest.DocTestFinder().find(import_module(f"tocsin.face.{name}"))
        if found.examples
    ]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str, here: Path) -> None:
    for example in examples(name):
        told: list[str] = []
        failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append).failed
        assert not failed, "".join(told)


def test_a_wrong_example_is_noticed() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner().run(wrong, out=lambda _: None).failed == 1


def public_parts(name: str) -> list[str]:
    """The full names of what a public name offers: itself, and the methods and properties of a class."""
    found = getattr(tocsin, name)
    own = f"{found.__module__}.{found.__name__}"
    methods = [part for part in vars(found) if not part.startswith("_")] if isinstance(found, type) else []
    methods = [part for part in methods if not part.endswith("_request")]  # scikit-learn's own
    return [own, *(f"{own}.{part}" for part in methods if (getattr(found, part).__doc__ or ""))]


@pytest.mark.parametrize("name", sorted(set(tocsin.__all__) - NEEDLESS))
def test_every_public_name_has_an_example(name: str) -> None:
    shown = {example.name for module in MODULES for example in examples(module)}
    assert set(public_parts(name)) - shown == set()
