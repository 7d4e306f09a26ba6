"""Start the HTTP server."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tocsin.serve.server import run
from tocsin.serve.settings import read_settings
from tocsin.workflows.using.stores import Source


def serve_artifacts(
    sources: Sequence[Source], key: Path | None, options: dict[str, str | int | None]
) -> None:
    """Serve until a signal ends it; what `options` leaves out comes from TOCSIN_* variables or the defaults.

    Every artifact is verified and its golden samples are replayed before the server is ready.
    """
    given = {name: value for name, value in options.items() if value is not None}
    signed = {"public_key": key, "require_signature": True} if key else {}
    settings = read_settings({**given, **signed})
    trusted = [
        replace(source, key=settings.public_key, require_signature=settings.require_signature)
        for source in sources
    ]
    run([source.offer() for source in trusted], settings)
