"""Structured logs: one JSON object a line, whatever is logged and by whom, and never the raw input.

Every value is cleaned on the way out: what is not plain data is named by its type only, addresses and tokens
are taken out of texts, control characters are escaped, long texts are cut.
"""

import logging
import math
import re
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from tocsin.core.private_data import mask_private

LONGEST = 2000
"""Characters kept of one text."""
DEEPEST = 4
"""Levels kept of nested values."""
MOST = 50
"""Items kept of a list or mapping."""

OWN = frozenset({"timestamp", "own_address"})
"""Fields that are left as they are: this program wrote them, and an address in them is its own."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def configure(
    level: str = "info", json: bool = True, file: Path | None = None, error_texts: bool = True
) -> None:
    """Send all logs, those of libraries and warnings too, to stderr or a file; as JSON, or for people.

    Without `error_texts` an exception is told by its class and its place: its text may hold what a client sent.
    """
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    renderer: Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info if error_texts else _name_exception,
    ]
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _clean_event,
        renderer,
    ]
    foreign: list[Processor] = [structlog.stdlib.ExtraAdder(), *shared]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=last))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)


def place_of(error: BaseException) -> dict[str, str]:
    """Return the class of an exception and where it came from, but not its text, which may hold an input."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"error": type(error).__name__, "where": where}


def _name_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else sys.exception() if info is True else info
    if isinstance(error, BaseException):
        event.update(place_of(error))
    return event


def hand_over() -> None:
    """Hand logs to Python's own logging, whose level and place belong to the program that imports tocsin.

    Nothing changes where structlog was configured before, by `configure` or by that program.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                _clean_event,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )


def _clean_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn says it all twice
    for key in {"exception", "stack"} & event.keys():
        event[key] = str(event[key]).splitlines()[-MOST:]
    return {
        _clean_text(str(key)): value if key in OWN else _clean(value, DEEPEST) for key, value in event.items()
    }


def _clean(value: Any, depth: int) -> Any:
    """Return plain data; anything else, and what is nested too deep, is named by its type."""
    if isinstance(value, str):
        return _clean_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Path):
        return _clean_text(str(value))
    if isinstance(value, Mapping) and depth:
        return {_clean_text(str(k)): _clean(v, depth - 1) for k, v in islice(value.items(), MOST)}
    if isinstance(value, list | tuple) and depth:
        return [_clean(item, depth - 1) for item in value[:MOST]]
    return f"<{type(value).__name__}>"


def _clean_text(text: str) -> str:
    shown = mask_private(text[:LONGEST])
    shown = CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), shown)
    return shown if len(text) <= LONGEST else f"{shown}... ({len(text)} characters)"
