"""Find detectors by the name of their folder, or by entry point, without importing the others."""

from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from tocsin.core.detector import Detector
from tocsin.core.errors import InputError, did_you_mean

GROUP = "tocsin.detectors"


def detector_names() -> list[str]:
    """Return the names of all detectors, sorted; nothing but the package of folders is imported."""
    return sorted(_modules())


def load_detector(name: str) -> Detector:
    """Import one detector by name; InputError names the nearest one when there is none."""
    modules = _modules()
    if name not in modules:
        known = sorted(modules)
        raise InputError(f"no detector {name!r}{did_you_mean(name, known)} (there are: {', '.join(known)})")
    found = getattr(import_module(modules[name]), "DETECTOR", None)
    if not isinstance(found, Detector) or found.name != name:
        raise InputError(f"{modules[name]} must define DETECTOR = Detector(name={name!r}, ...)")
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


def resolve(reference: str) -> object:
    """Import what a `module:name` reference names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def _modules() -> dict[str, str]:
    package = import_module(GROUP)
    found = {m.name: f"{GROUP}.{m.name}" for m in iter_modules(package.__path__) if m.ispkg}
    for entry in entry_points(group=GROUP):
        module = entry.value.partition(":")[0]
        if found.get(entry.name, module) != module:
            raise InputError(f"two detectors are called {entry.name!r}: {found[entry.name]} and {module}")
        found[entry.name] = module
    return found
