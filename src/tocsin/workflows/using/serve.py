"""Start the HTTP server."""

from collections.abc import Sequence
from pathlib import Path

from tocsin.serve.server import run
from tocsin.serve.settings import Settings
from tocsin.workflows.using.stores import Source


def serve_artifacts(
    sources: Sequence[Source], key: Path | None, options: dict[str, str | int | None]
) -> None:
    """Serve until a signal ends it; what `options` leaves out comes from TOCSIN_* variables or the defaults.

    Every artifact is verified and its golden samples are replayed before the server is ready.
    """
    given = {name: value for name, value in options.items() if value is not None}
    signed = {"public_key": key, "require_signature": True} if key else {}
    run(
        [source.path() for source in sources],
        Settings.model_validate({**Settings().model_dump(), **given, **signed}),
    )
