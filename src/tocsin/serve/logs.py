"""Log lines: JSON, one object a line, without anything that a client sent."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import structlog


def configure_logging(level: str) -> None:
    """Write everything that is logged, by libraries too, to standard error as JSON lines."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _name_exception,
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def place_of(error: BaseException) -> dict[str, str]:
    """Return the class of an exception and where it came from, but not its text, which may hold an input."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"error": type(error).__name__, "where": where}


def _name_exception(
    _logger: Any, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event.pop("color_message", None)  # uvicorn says it all twice
    info = event.pop("exc_info", None)
    if isinstance(info, tuple) and isinstance(info[1], BaseException):
        event.update(place_of(info[1]))
    return event


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
