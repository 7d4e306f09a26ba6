"""Find detectors by their folders or by entry point, and baselines by their files, without importing the others."""

from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from tocsin.core.baseline import Baseline, Rung
from tocsin.core.detector import Detector
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.found import files_of

GROUP = "tocsin.detectors"
BASELINES = "baselines"
"""Name of the package of baselines, in tocsin and in a detector's folder."""


def detector_names() -> list[str]:
    """Return the names of all detectors, sorted; nothing but the package of folders is imported."""
    return sorted(_modules())


def load_detector(name: str) -> Detector:
    """Import one detector by name; InputError names the nearest one when there is none."""
    module = _module_of(name)
    found = getattr(import_module(module), "DETECTOR", None)
    if not isinstance(found, Detector) or found.name != name:
        raise InputError(f"{module} must define DETECTOR = Detector(name={name!r}, ...)")
    return found


def verb_modules() -> dict[str, str]:
    """Return detector -> its module of verbs, for those that have a `verbs.py`; no detector is imported."""
    found = {}
    for name, module in _modules().items():
        spec = find_spec(module)
        folders = (spec.submodule_search_locations if spec else None) or ()
        if any(Path(folder, "verbs.py").is_file() for folder in folders):
            found[name] = f"{module}.verbs"
    return found


def baseline_names(detector: str) -> list[str]:
    """Return the names of a detector's baselines: its own, then those of all detectors, each sorted.

    Nothing but the packages is imported. InputError where one of its own has the name of another.
    """
    return list(_baselines(detector))


def load_baseline(detector: str, name: str) -> Baseline[Any]:
    """Import one baseline by name; InputError names the nearest one when there is none."""
    modules = _baselines(detector)
    if name not in modules:
        known = list(modules)
        raise InputError(
            f"no baseline {name!r}{did_you_mean(name, known)} ({detector} has: {', '.join(known)})"
        )
    found = getattr(import_module(modules[name]), "BASELINE", None)
    if not isinstance(found, Baseline):
        raise InputError(f"{modules[name]} must define BASELINE = Baseline(...)")
    return found


def rungs(detector: str) -> dict[Rung, list[str]]:
    """Return the rungs of a detector's ladder, the simplest first, with the baselines that stand on each."""
    loaded = {name: load_baseline(detector, name) for name in sorted(baseline_names(detector))}
    return {
        rung: names for rung in Rung if (names := [n for n, found in loaded.items() if found.rung is rung])
    }


def resolve(reference: str) -> object:
    """Import what a `module:name` reference names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def _baselines(detector: str) -> dict[str, str]:
    folder = _module_of(detector)
    inside = iter_modules(getattr(import_module(folder), "__path__", ()))
    own = files_of(f"{folder}.{BASELINES}") if any(part.name == BASELINES for part in inside) else {}
    everyones = files_of(f"tocsin.{BASELINES}")
    twice = sorted(own.keys() & everyones.keys())
    if twice:
        raise InputError(f"two baselines are called {twice[0]!r}: {own[twice[0]]} and {everyones[twice[0]]}")
    return own | everyones


def _module_of(detector: str) -> str:
    modules = _modules()
    if detector not in modules:
        known = sorted(modules)
        raise InputError(
            f"no detector {detector!r}{did_you_mean(detector, known)} (there are: {', '.join(known)})"
        )
    return modules[detector]


def _modules() -> dict[str, str]:
    package = import_module(GROUP)
    found = {m.name: f"{GROUP}.{m.name}" for m in iter_modules(package.__path__) if m.ispkg}
    for entry in entry_points(group=GROUP):
        module = entry.value.partition(":")[0]
        if found.get(entry.name, module) != module:
            raise InputError(f"two detectors are called {entry.name!r}: {found[entry.name]} and {module}")
        found[entry.name] = module
    return found
