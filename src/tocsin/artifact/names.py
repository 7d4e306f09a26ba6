"""Names that a file in an artifact may have: the same file on every system, and never outside the folder."""

import re
from collections.abc import Iterable

from tocsin.artifact.manifest import MANIFEST, SIGNATURE
from tocsin.artifact.refusal import ArtifactError

MAX_LENGTH = 200
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?<!\.)")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def check_names(names: Iterable[str]) -> None:
    """Raise ArtifactError unless all are plain relative POSIX paths, and distinct where case is ignored."""
    spellings: dict[str, str] = {}
    for name in names:
        _check_name(name)
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            known = spellings.setdefault(path.lower(), path)
            if known != path:
                message = f"the manifest names both {known!r} and {path!r}: one file where case is ignored"
                raise ArtifactError(message, "name-collision")


def _check_name(name: str) -> None:
    shown = repr(name[:MAX_LENGTH])
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise ArtifactError(f"the manifest names an absolute path: {shown}", "name-absolute")
    if ".." in re.split(r"[/\\]", name):
        raise ArtifactError(f"the manifest names a path outside the artifact: {shown}", "name-traversal")
    is_plain = all(_PART.fullmatch(part) and not _DEVICES.fullmatch(part) for part in name.split("/"))
    if len(name) > MAX_LENGTH or not is_plain:
        message = f"the manifest names {shown}: use letters, digits, '.', '_', '-', '/', {MAX_LENGTH} at most"
        raise ArtifactError(message, "name-invalid")
    if name.lower() in (MANIFEST, SIGNATURE):
        raise ArtifactError(f"the manifest names {shown}, which cannot hold its own hash", "name-reserved")
