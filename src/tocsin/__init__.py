"""tocsin trains, proves, ships and watches security models.

    import tocsin

    model = tocsin.open("phishing@champion")
    verdict = model.predict({"text": "Verify your account now: https://example.com"}, explain=3)
    print(verdict.label, verdict.probability)

A public name is imported when it is used: to open a model and to predict takes no torch, scikit-learn or pandas.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "CheckFailed": "core.errors",
    "InputError": "core.errors",
    "Model": "face.model",
    "SealedClassifier": "face.estimator",
    "TocsinError": "core.errors",
    "Verdict": "core.types",
    "audit_data": "face.training",
    "compare": "face.judging",
    "evaluate": "face.judging",
    "make_data": "face.training",
    "open": "face.model",
    "train": "face.training",
}
"""Public name -> its module. `__init__.pyi` says the same to type checkers and editors; a test compares the two."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Import what a public name stands for, the first time that it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
