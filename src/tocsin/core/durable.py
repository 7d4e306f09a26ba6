"""Durable files: written under a temporary name, synced, renamed, and the folder synced.

A reader sees the old content or the new one, never a part; after a power cut too.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from secrets import token_hex
from typing import Any, BinaryIO

import numpy as np
from pydantic import BaseModel


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut (nothing is done where folders cannot be opened)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durably."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of `path` only when the block ends without an error."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk names no file, and nobody knows the temporary one
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file durably."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file durably."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON durably; TypeError names the place of what JSON cannot hold."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Return sorted, indented UTF-8 JSON that ends with a newline: equal values give equal bytes.

    What UTF-8 cannot hold (names of files may have such characters) is written as a JSON escape.
    """
    text = json.dumps(jsonable(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode(errors="backslashreplace")


def jsonable(value: Any, where: str = "$") -> Any:
    """Turn tensors, arrays, paths, devices, models, dataclasses and containers of them into JSON values.

    Tensors and devices are known by their methods, so that this module needs no torch.
    NaN and infinities become None, since JSON has none. TypeError names the place of anything else.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return _object(value, where)
    if isinstance(value, set | frozenset):
        return sorted((jsonable(v, f"{where}[...]") for v in value), key=lambda v: (str(type(v)), v))
    if isinstance(value, list | tuple):
        return [jsonable(v, f"{where}[{i}]") for i, v in enumerate(value)]
    return _special(value, where)


def _special(value: Any, where: str) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, BaseModel):
        return jsonable(value.model_dump(mode="json"), where)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist(), where)
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return jsonable(value.detach().cpu().tolist(), where)
    if hasattr(value, "isoformat") or type(value).__module__ == "torch":
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    raise TypeError(f"{where}: {type(value).__name__} cannot be written as JSON")


def _object(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    written = {_key(k, where): jsonable(v, f"{where}.{k}") for k, v in value.items()}
    if len(written) < len(value):
        raise TypeError(f"{where}: two keys would be written alike")
    return written


def _key(key: object, where: str) -> str:
    if isinstance(key, str | int | float | bool | PurePath | np.generic):
        return str(key)
    raise TypeError(f"{where}: a key of type {type(key).__name__} cannot be written as JSON")
