"""Seal an artifact: a new folder that appears whole or not at all, and is never written again."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.artifact.keys import sign
from tocsin.artifact.manifest import MANIFEST, METADATA, SIGNATURE, Manifest, dump_manifest
from tocsin.artifact.names import check_names
from tocsin.artifact.open import Artifact, open_artifact
from tocsin.core.durable import json_bytes, sync_folder
from tocsin.core.errors import InputError
from tocsin.core.types import Files


def seal(folder: Path, manifest: Manifest, files: Files, key: Ed25519PrivateKey | None = None) -> Artifact:
    """Write a new artifact with its `model_metadata.json`, signed if a key is given, and open it.

    The manifest's `files` and `seal` are filled in here. Equal input gives equal bytes.
    Errors: InputError if the folder exists, ArtifactError if what was written would not open again.
    """
    if METADATA in files:
        raise InputError(f"{METADATA} is written by `seal`; leave it out of the files")
    files = files | {METADATA: json_bytes(manifest.metadata())}
    check_names(files)
    raw = dump_manifest(manifest, {name: sha256(content).hexdigest() for name, content in files.items()})
    files |= {MANIFEST: raw} | ({SIGNATURE: sign(raw, key)} if key else {})
    with staged(folder.parent, files) as temporary:
        artifact = open_artifact(temporary, public_key=key.public_key() if key else None)
        if not place(temporary, folder):
            raise InputError(f"{folder} exists; an artifact is never overwritten")
    return artifact


@contextmanager
def staged(parent: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files durably into a hidden folder; what is not moved away by the end of the block is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f".{token_hex(8)}.tmp"
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for made in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
            sync_folder(made)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(temporary: Path, folder: Path) -> bool:
    """Rename a staged folder in one step; False if the name is taken."""
    if folder.exists():
        return False
    try:
        temporary.rename(folder)
    except OSError:
        if folder.exists():  # another process was faster
            return False
        raise
    sync_folder(folder.parent)
    return True
