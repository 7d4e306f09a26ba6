"""The log of requests: JSON, one object a line, without anything that a client sent."""

import os
import sys
from pathlib import Path
from typing import Any

import orjson


class RequestLog:
    """One JSON line a request, appended in one write, so that several processes can share the file."""

    def __init__(self, path: Path | None) -> None:
        self._file = (
            sys.stdout.fileno()
            if path is None
            else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        )

    def write(self, entry: dict[str, Any]) -> None:
        """Append an entry."""
        os.write(self._file, orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))
