"""A server process for the tests: `launch.py ARTIFACT OPTIONS`, without torch, watched by an audit hook."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

FORBIDDEN = {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "pickle.find_class", "marshal.loads", "exec",
    "compile", "import", "subprocess.Popen", "os.system", "open",
}  # fmt: skip


def watch(report: Path, begun: Path) -> None:
    """Write down what is forbidden to a server once the file `begun` is there."""
    handle = os.open(report, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in FORBIDDEN and begun.exists():
            os.write(handle, (json.dumps([event, repr(arguments)[:200]]) + "\n").encode())

    sys.addaudithook(hook)


def mutter(text: str, redacts: bool) -> None:
    """Let a library log a text, and an error with that text, as the application is made."""
    from tocsin.core import logs
    from tocsin.serve import server

    if not redacts:
        logs.mask_private = lambda text: text
    create = server.create_app

    def create_aloud(*given: Any) -> Any:
        log = logging.getLogger("library")
        log.warning("a library says %s", text, extra={"detail": text})
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("a library failed")
        return create(*given)

    server.create_app = create_aloud


def main() -> None:
    options = json.loads(sys.argv[2])
    sys.modules["torch"] = None  # type: ignore[assignment]
    import tocsin.detectors

    tocsin.detectors.__path__.append(str(Path(__file__).parent / "plugins"))
    from tocsin.artifact.open import open_artifact
    from tocsin.core.plugins import load_detector, resolve
    from tocsin.serve.server import run
    from tocsin.serve.service import Offer
    from tocsin.serve.settings import Settings

    artifact = open_artifact(Path(sys.argv[1]))
    load_detector(artifact.manifest.detector)
    if options.get("slow"):
        resolve(options.get("slow_by", "tocsin.detectors.toy:slow_by"))(options["slow"])
    if options.get("mutter"):
        mutter(options["mutter"], options.get("redacts", True))
    if options.get("watch"):
        watch(*map(Path, options["watch"]))
    run([Offer(artifact)], Settings(port=0, **options.get("settings", {})))


if __name__ == "__main__":
    main()
