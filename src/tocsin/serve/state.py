"""What the routes of one application share."""

from dataclasses import dataclass, field

from tocsin.serve.batching import Batcher
from tocsin.serve.lane import Lane
from tocsin.serve.service import Service
from tocsin.serve.settings import Settings
from tocsin.serve.telemetry import Telemetry


@dataclass
class ServerState:
    """Settings, what is served, where it runs, what is counted."""

    settings: Settings
    services: dict[str, Service]
    lane: Lane
    telemetry: Telemetry
    batchers: dict[str, Batcher] = field(init=False)
    """Service -> what its requests wait in."""
    draining: bool = False
    """A signal has asked the server to end: not ready any more, and no connection is kept."""

    def __post_init__(self) -> None:
        self.batchers = {name: Batcher(self.lane, service.predict) for name, service in self.services.items()}

    @property
    def is_ready(self) -> bool:
        """Tell whether every artifact is loaded and proved, and requests are welcome."""
        return not self.draining and all(service.is_ready for service in self.services.values())
