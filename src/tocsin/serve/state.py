"""What the routes of one application share."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tocsin.core.errors import TocsinError
from tocsin.serve.lane import Lane
from tocsin.serve.service import Key, Service
from tocsin.serve.settings import Settings
from tocsin.serve.telemetry import Telemetry

log = logging.getLogger(__name__)


@dataclass
class ServerState:
    """Settings, what is served, where it runs, what is counted."""

    settings: Settings
    services: Mapping[Key, Service]
    lane: Lane
    telemetry: Telemetry
    draining: bool = False
    """A signal has asked the server to end: not ready any more, and no connection is kept."""

    @property
    def is_ready(self) -> bool:
        """Tell whether every artifact is loaded and proved, and requests are welcome."""
        return not self.draining and all(service.is_ready for service in self.services.values())

    def load(self, service: Service) -> None:
        """Load a service; where it is refused, the log says why and it stays not ready."""
        offer = service.offer
        about = {**offer.key._asdict(), "artifact": offer.artifact.digest}
        try:
            service.load(partial(self.telemetry.stage, offer.key))
        except TocsinError as error:
            log.error("artifact refused: %s", error, extra=about)
            return
        self.telemetry.served(offer)
        log.info("artifact ready", extra=about)
