"""Checkpoints: one file each, complete or ignored, read without unpickling code.

A file is `torch.save`'s archive followed by the 32 bytes of its sha256. It is written under a temporary name,
synced and renamed, so a crash at any moment leaves the old files as they were.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from tocsin.core.durable import write_bytes
from tocsin.core.errors import InputError, TocsinError

log = structlog.get_logger(__name__)

_NAME = re.compile(r"step-(\d{9})\.ckpt")
_DIGEST = 32


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError, such as a full disk, into a TocsinError that names the file."""
    try:
        yield
    except OSError as error:
        raise TocsinError(f"{path} cannot be written: {error.strerror or error}") from error


def write_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int | None) -> Path:
    """Write the state after `step` steps, then delete all but the newest `keep` (None deletes nothing).

    A TocsinError names the file if the disk is full or fails; the checkpoints before are untouched.
    """
    path = folder / f"step-{step:09d}.ckpt"
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    with writing(path):
        write_bytes(path, b"".join((content, hashlib.sha256(content).digest())))
    if keep is not None:
        _prune(folder, keep)
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint onto the CPU; InputError if it is damaged or cut short."""
    content = memoryview(path.read_bytes())
    archive, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(archive).digest() != bytes(digest):
        raise InputError(f"{path}: damaged checkpoint: its sha256 does not match")
    state: dict[str, Any] = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    return state


def newest_checkpoint(folder: Path, before: int | None = None) -> dict[str, Any] | None:
    """Return the newest complete checkpoint with fewer than `before` steps; warn about damaged ones."""
    for step, path in reversed(list_checkpoints(folder)):
        if before is not None and step >= before:
            continue
        try:
            return read_checkpoint(path)
        except InputError as error:
            log.warning("checkpoint skipped", path=str(path), reason=str(error))
    return None


def list_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return (steps, path) of every checkpoint, oldest first, complete or not."""
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("step-*.ckpt")]
    return sorted((int(match[1]), path) for match, path in found if match)


def forget_checkpoints(folder: Path, after: int) -> None:
    """Delete the checkpoints with more than `after` steps: a run that starts over disowns them."""
    for step, path in list_checkpoints(folder):
        if step > after:
            path.unlink()


def _prune(folder: Path, keep: int) -> None:
    for _, path in list_checkpoints(folder)[:-keep]:
        path.unlink()
    for leftover in folder.glob(".step-*.tmp"):  # of a process that was killed while it wrote
        leftover.unlink()


def write_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write tensors by name as safetensors, durably."""
    with writing(path):
        write_bytes(path, save_tensors({name: value.contiguous() for name, value in weights.items()}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read what `write_weights` wrote."""
    return load_tensors(path.read_bytes())
