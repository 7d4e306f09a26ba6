"""Open an artifact: every byte is checked, and the bytes that were checked are the bytes that are used.

Nothing here unpickles, extracts, imports or fetches, and no file is read twice.
"""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tocsin.artifact.keys import check_signature, load_public_key
from tocsin.artifact.manifest import MANIFEST, ONNX, SIGNATURE, Manifest, parse_manifest
from tocsin.artifact.names import check_names
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.wire import check_model

MAX_FILES = 1000
MAX_MANIFEST = 1 << 20
MAX_SIGNATURE = 1 << 12
MAX_BYTES = 1 << 33
"""Largest number of files and folders, and largest sizes in bytes: of two files, and of all together."""

# Never through a link; and never waiting for the other end of a pipe.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Artifact:
    """An artifact that was verified."""

    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)
    """Relative POSIX path -> the bytes that were verified, manifest and signature included."""
    digest: str
    """sha256 of `manifest.json`, which names the sha256 of everything else."""
    signed_by: str | None
    """Fingerprint of the trusted key that signed it; None where no key was given."""


@dataclass(frozen=True)
class _Trust:
    key: Ed25519PublicKey | None
    revoked: Collection[str]


def open_artifact(
    path: Path,
    *,
    public_key: Path | Ed25519PublicKey | None = None,
    require_signature: bool = False,
    revoked: Collection[str] = (),
) -> Artifact:
    """Read and verify an artifact's folder; ArtifactError, with a code, refuses it before anything is used.

    With a public key the artifact must be signed by it. `require_signature` refuses to go on without a key.
    `revoked` holds fingerprints that are refused in any case.
    """
    if require_signature and public_key is None:
        raise ArtifactError("a signature is required, but no public key was given to check it with", "no-key")
    key = load_public_key(public_key) if isinstance(public_key, Path) else public_key
    try:
        return _open(path, _Trust(key, revoked))
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}", error.code) from None


def _open(root: Path, trust: _Trust) -> Artifact:
    found = _list(root)
    if MANIFEST not in found:
        raise ArtifactError(f"there is no {MANIFEST}", "no-manifest")
    raw = _read(root, MANIFEST, MAX_MANIFEST)
    signature = _read(root, SIGNATURE, MAX_SIGNATURE) if SIGNATURE in found else None
    signed_by = _check_signed(signature, raw, trust)
    manifest = parse_manifest(raw)
    check_names(manifest.files)
    _check_members(found - {MANIFEST, SIGNATURE}, set(manifest.files))
    files = {name: _read_hashed(root, name, wanted) for name, wanted in manifest.files.items()}
    _check_models(manifest, files)
    files |= {MANIFEST: raw} if signature is None else {MANIFEST: raw, SIGNATURE: signature}
    return Artifact(manifest, MappingProxyType(files), sha256(raw).hexdigest(), signed_by)


def _list(root: Path) -> set[str]:
    """Return the relative paths of all files; only plain files and folders are let through."""
    found: set[str] = set()
    size = 0
    for count, (path, status) in enumerate(_walk(root), start=1):
        name = Path(path).relative_to(root).as_posix()
        if count > MAX_FILES:
            raise ArtifactError(f"there are more than {MAX_FILES} files and folders", "too-many-files")
        if _check_plain(name, status):
            found.add(name)
            size += status.st_size
    if size > MAX_BYTES:
        raise ArtifactError(f"its files have {size} bytes together; {MAX_BYTES} are allowed", "too-large")
    return found


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every path below a folder with its status, a folder before its content."""
    todo = [str(root)]
    try:
        while todo:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    yield entry.path, status
                    if stat.S_ISDIR(status.st_mode):
                        todo.append(entry.path)
    except NotADirectoryError:
        raise ArtifactError("an artifact is a folder, this is a file") from None
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", "unreadable") from None


def _check_plain(name: str, status: os.stat_result) -> bool:
    """Tell a file (True) from a folder; ArtifactError on links and anything else."""
    if stat.S_ISDIR(status.st_mode):
        return False
    if stat.S_ISLNK(status.st_mode) or status.st_nlink > 1:
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "a hard link"
        raise ArtifactError(f"{name[:200]!r} is {kind}", "link")
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(f"{name[:200]!r} is neither a file nor a folder", "special-file")
    return True


def _check_signed(signature: bytes | None, manifest: bytes, trust: _Trust) -> str | None:
    if signature is None:
        if trust.key:
            raise ArtifactError(f"it is not signed: there is no {SIGNATURE}", "unsigned")
        return None
    signer = check_signature(signature, manifest, trust.key, trust.revoked)
    return signer if trust.key else None


def _check_members(found: set[str], named: set[str]) -> None:
    missing, extra = sorted(named - found), sorted(found - named)
    if missing and extra:
        message = f"{missing[0]!r} is missing and {extra[0][:200]!r} is not in the manifest"
        raise ArtifactError(message, "renamed-file")
    if missing:
        raise ArtifactError(f"{missing[0]!r} is missing", "missing-file")
    if extra:
        raise ArtifactError(f"{extra[0][:200]!r} is not in the manifest", "extra-file")


def _read_hashed(root: Path, name: str, wanted: str) -> bytes:
    content = _read(root, name, MAX_BYTES)
    if sha256(content).hexdigest() != wanted:
        raise ArtifactError(f"{name!r} was changed: its sha256 is not the manifest's", "file-changed")
    return content


def _read(root: Path, name: str, limit: int) -> bytes:
    """Read a plain file once; what took its place since it was listed is refused, or fails its hash."""
    try:
        handle = os.open(root / name, _READ)
        try:
            return _read_open(name, handle, limit)
        finally:
            os.close(handle)
    except OSError as error:
        raise ArtifactError(f"{name!r} cannot be read: {error.strerror}", "unreadable") from None


def _read_open(name: str, handle: int, limit: int) -> bytes:
    status = os.fstat(handle)
    if not _check_plain(name, status):
        raise ArtifactError(f"{name!r} is a folder", "special-file")
    if status.st_size > limit:
        raise ArtifactError(f"{name!r} has {status.st_size} bytes; {limit} are allowed", "file-too-large")
    with os.fdopen(handle, "rb", closefd=False) as file:
        return file.read(status.st_size)


def _check_models(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    if manifest.runtime == "onnx" and ONNX not in files:
        raise ArtifactError(f"there is no {ONNX}", "no-model")
    for name, content in files.items():
        if name.endswith(".onnx"):
            check_model(name, content)
