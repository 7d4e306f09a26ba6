"""The store: a folder of sealed versions, with aliases that move and never break.

    <root>/<line>/versions/<number>/         an artifact
    <root>/<line>/aliases/<alias>/<n>.json   one move of the alias; the last one holds

Nothing in it is ever overwritten, so nothing is locked: versions appear by a rename and moves by a hard link,
both of which happen whole or not at all, and fail where another process took the number first.
"""

import os
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tocsin.artifact.manifest import MANIFEST, Manifest, parse_manifest
from tocsin.artifact.open import Artifact, open_artifact
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.seal import place, staged
from tocsin.core.durable import json_bytes, sync_folder, write_bytes
from tocsin.core.errors import InputError, did_you_mean

Action = Literal["promote", "rollback"]
_Target = tuple[Action, int, str]
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a line of versions or an alias may be called."""
_NUMBER = re.compile(r"[1-9]\d{0,8}")


class Move(BaseModel):
    """One move of an alias: `promote` sets a new target, `rollback` returns to the one before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alias: str
    action: Action
    version: int
    digest: str
    at: str


@dataclass(frozen=True)
class Version:
    """A version in the store. Its manifest was read, not verified; `open` verifies."""

    line: str
    number: int
    path: Path
    manifest: Manifest | None
    """None where it cannot be read."""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Store:
    """Versions and aliases under one folder; a public key makes signatures by it a condition everywhere."""

    root: Path
    public_key: Path | None = None
    require_signature: bool = False
    revoked: Collection[str] = field(default=frozenset())

    def add(self, folder: Path, line: str | None = None) -> int:
        """Verify an artifact and copy it in; return its version number: the old one if it is in already.

        The line that it continues is its detector's name, unless another is given.
        """
        artifact = self._verify(folder)
        line = _checked(line or artifact.manifest.detector, "line")
        for version in self.versions(line):
            if version.manifest == artifact.manifest and self._is_whole(version.path):
                return version.number
        parent = _make(self.root / line / "versions")
        with staged(parent, artifact.files) as temporary:
            number = max(_numbers(parent), default=0) + 1
            while not place(temporary, parent / str(number)):
                number += 1
        return number

    def open(self, reference: str) -> Artifact:
        """Verify and read `intrusion@champion`, `intrusion:3` or a path."""
        folder, digest = self._find(reference)
        artifact = self._verify(folder)
        if digest not in (None, artifact.digest):
            raise ArtifactError(f"{reference} is not the version that it was set to", "alias-changed")
        return artifact

    def resolve(self, reference: str) -> Path:
        """Return the folder that `intrusion@champion`, `intrusion:3` or a path stands for."""
        return self._find(reference)[0]

    def promote(self, reference: str, alias: str) -> Move:
        """Point an alias at a version of its own line; the version is verified first."""
        line, mark, _ = _split(reference)
        if not mark:
            raise InputError(f"{reference!r} is not in the store; add it, then promote it by its number")
        number = int(self.resolve(reference).name)
        digest = self.open(f"{line}:{number}").digest
        return self._move(line, alias, lambda _: ("promote", number, digest))

    def rollback(self, line: str, alias: str) -> Move:
        """Point an alias at its previous target, which is verified first; again, at the one before that."""
        return self._move(line, alias, lambda moves: self._previous(line, alias, moves))

    def history(self, line: str, alias: str) -> list[Move]:
        """Return all moves of an alias, the oldest first; InputError if there are none."""
        moves = list(self._moves(line, alias).values())
        if not moves:
            known = [f"{line}@{name}" for name in self.aliases(line)]
            hint = did_you_mean(f"{line}@{alias}", known)
            raise InputError(f"the store {self.root} has no {line}@{alias}{hint}")
        return moves

    def lines(self) -> list[str]:
        """Return the lines of versions, sorted."""
        return _names(self.root)

    def aliases(self, line: str) -> dict[str, int]:
        """Return alias -> version number of a line."""
        moves = {alias: list(self._moves(line, alias).values()) for alias in _names(self._aliases(line))}
        return {alias: found[-1].version for alias, found in moves.items() if found}

    def versions(self, line: str) -> list[Version]:
        """Return the versions of a line with their manifests, the oldest first."""
        folder = self.root / _checked(line, "line") / "versions"
        targets = self.aliases(line)
        found = []
        for number in _numbers(folder):
            path = folder / str(number)
            aliases = tuple(alias for alias, target in targets.items() if target == number)
            found.append(Version(line, number, path, _manifest(path), aliases))
        return found

    def _verify(self, folder: Path) -> Artifact:
        return open_artifact(
            folder, public_key=self.public_key, require_signature=self.require_signature, revoked=self.revoked
        )

    def _is_whole(self, folder: Path) -> bool:
        with suppress(ArtifactError):
            return bool(self._verify(folder))
        return False

    def _find(self, reference: str) -> tuple[Path, str | None]:
        """Return the folder, and the digest that it must have where an alias tells it."""
        line, mark, which = _split(reference)
        if mark == "@":
            move = self.history(line, which)[-1]
            return self._folder(line, move.version), move.digest
        return (self._folder(line, int(which)) if mark else Path(reference)), None

    def _folder(self, line: str, number: int) -> Path:
        folder = self.root / line / "versions" / str(number)
        if not folder.is_dir():
            known = ", ".join(map(str, _numbers(folder.parent))) or "none"
            raise InputError(f"the store {self.root} has no {line}:{number} (versions: {known})")
        return folder

    def _aliases(self, line: str) -> Path:
        return self.root / _checked(line, "line") / "aliases"

    def _moves(self, line: str, alias: str) -> dict[int, Move]:
        folder = self._aliases(line) / _checked(alias, "alias")
        return {number: _read_move(folder / f"{number}.json") for number in _numbers(folder, ".json")}

    def _previous(self, line: str, alias: str, moves: list[Move]) -> _Target:
        targets: list[Move] = []
        for move in moves:
            if move.action == "promote":
                targets.append(move)
            else:
                targets.pop()
        if len(targets) < 2:
            raise InputError(f"{line}@{alias} has no previous version to roll back to")
        target = targets[-2]
        if self.open(f"{line}:{target.version}").digest != target.digest:
            message = f"{line}:{target.version} is not what {alias} pointed at before"
            raise ArtifactError(message, "alias-changed")
        return "rollback", target.version, target.digest

    def _move(self, line: str, alias: str, choose: Callable[[list[Move]], _Target]) -> Move:
        """Append a move; if another process moved the alias meanwhile, choose again."""
        folder = self._aliases(line) / _checked(alias, "alias")
        while True:
            moves = self._moves(line, alias)
            action, version, digest = choose(list(moves.values()))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            move = Move(alias=alias, action=action, version=version, digest=digest, at=now)
            if _append(_make(folder) / f"{max(moves, default=0) + 1}.json", json_bytes(move)):
                return move


def alias_of(reference: str) -> str | None:
    """Return the alias in a reference such as `intrusion@champion`; None for a version or a path."""
    _, mark, which = _split(reference)
    return which if mark == "@" else None


def _append(path: Path, content: bytes) -> bool:
    """Write a new file in one step; False if it exists."""
    temporary = path.with_name(f".{path.name}.{token_hex(6)}.tmp")
    write_bytes(temporary, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    sync_folder(path.parent)
    return True


def _read_move(path: Path) -> Move:
    try:
        return Move.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _manifest(folder: Path) -> Manifest | None:
    with suppress(OSError, ArtifactError):
        return parse_manifest((folder / MANIFEST).read_bytes())
    return None


def _split(reference: str) -> tuple[str, str, str]:
    """Return (line, mark, alias or number), with an empty mark for a path."""
    line, mark, which = (*re.split("([@:])", reference, maxsplit=1), "", "")[:3]
    is_ours = NAME.fullmatch(line) and (NAME if mark == "@" else _NUMBER).fullmatch(which)
    return (line, mark, which) if mark and is_ours else (reference, "", "")


def _checked(name: str, kind: str) -> str:
    if not NAME.fullmatch(name):
        raise InputError(f"{name[:100]!r} is no name for a {kind}: use a-z, 0-9, '.', '_' and '-'")
    return name


def _make(folder: Path) -> Path:
    """Make a folder, and have it survive a power cut."""
    folder.mkdir(parents=True, exist_ok=True)
    for made in (folder, *list(folder.parents)[:3]):
        sync_folder(made)
    return folder


def _names(folder: Path) -> list[str]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in names if NAME.fullmatch(name))


def _numbers(folder: Path, suffix: str = "") -> list[int]:
    """Return the numbers that name the entries of a folder, sorted."""
    names = [path.name.removesuffix(suffix) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))
