"""Where artifacts come from: a folder, or an alias in a store."""

from dataclasses import dataclass
from pathlib import Path

from tocsin.artifact.keys import make_keys
from tocsin.artifact.open import Artifact
from tocsin.artifact.store import NAME, Store, alias_of
from tocsin.core.errors import InputError
from tocsin.core.plugins import detector_names, load_detector
from tocsin.serve.predictor import Predictor
from tocsin.serve.service import CHAMPION, UNNAMED, Offer


@dataclass(frozen=True)
class Source:
    """What the user named, and what must hold before it is used."""

    name: str
    """An artifact folder, or `detector@alias` or `detector:version` in the store."""
    store: Path
    key: Path | None = None
    require_signature: bool = False

    def shelf(self) -> Store:
        """Return the store, under the same conditions."""
        return Store(self.store, self.key, self.require_signature or self.key is not None)

    def path(self) -> Path:
        """Return the artifact's folder."""
        return self.shelf().resolve(self.name)

    def open(self) -> Artifact:
        """Open and check the artifact; refuses whatever its seal does not cover."""
        return self.shelf().open(self.name)

    def alias(self) -> str:
        """Return what tells it from others of its detector: its alias in the store, or its folder's name.

        A version has its number. A folder whose name could not be an alias is `default`.
        """
        folder = self.path().resolve().name
        return alias_of(self.name) or (folder if NAME.fullmatch(folder) else UNNAMED)

    def offer(self) -> Offer:
        """Open the artifact, to be served under its alias."""
        return Offer(self.open(), self.alias())

    def predictor(self) -> Predictor:
        """Open the artifact, load its model and replay its golden samples."""
        return Predictor.load(self.open())


def find_scanner(store: Path) -> str:
    """Return the champion in a store that reads raw files: `phishing@champion`.

    Errors: InputError where there is none, or more than one; it names them.
    """
    shelf, known = Store(store), detector_names()
    found = []
    for line in shelf.lines():
        champion = next((v for v in shelf.versions(line) if CHAMPION in v.aliases), None)
        name = champion.manifest.detector if champion and champion.manifest else None
        if name in known and load_detector(name).scan is not None:
            found.append(f"{line}@{CHAMPION}")
    if len(found) == 1:
        return found[0]
    which = (
        f"has {len(found)} champions that scan ({', '.join(found)})"
        if found
        else "has no champion that scans"
    )
    raise InputError(f"the store {store} {which}: name one with --artifact")


def make_key_files(folder: Path) -> tuple[Path, Path]:
    """Make `signing.pem` (private, mode 0600) and `signing.pub.pem` in a folder."""
    private, public = folder / "signing.pem", folder / "signing.pub.pem"
    make_keys(private, public)
    return private, public


def rollback_alias(detector: str, alias: str, store: Path) -> str:
    """Point an alias back at the version before; return a line for the user."""
    move = Store(store).rollback(detector, alias)
    return f"{detector}@{alias} is back at version {move.version}"
