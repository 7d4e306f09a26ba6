"""What is served: artifacts by detector and alias, each by the runtime that its manifest names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, cast

from pydantic import BaseModel

from tocsin.artifact.store import NAME
from tocsin.core.detector import Detector
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_detector, resolve
from tocsin.core.schema import Schema

if TYPE_CHECKING:
    from tocsin.artifact.open import Artifact
    from tocsin.serve.route import Route
    from tocsin.serve.state import ServerState

RUNTIMES: Mapping[str, str] = {
    "onnx": "tocsin.serve.onnx:OnnxService",
    "chat": "tocsin.serve.chat:ChatService",
}
"""Name in a manifest -> class that serves it. Only these are imported: an artifact cannot name a module."""

CHAMPION = "champion"
UNNAMED = "default"
"""Alias of an artifact that was given none."""

Watch = Callable[[str, float], None]
"""Told the name of a stage and the seconds that it took."""


class Key(NamedTuple):
    """What a service is found by, and what its numbers are counted under."""

    detector: str
    alias: str


@dataclass(frozen=True)
class Offer:
    """An artifact to be served, and the alias that tells it from others of its detector.

    Example: `Offer(open_artifact(path), "challenger").address == "phishing@challenger"` beside a champion.
    """

    artifact: "Artifact"
    alias: str = UNNAMED
    is_main: bool = True
    """It answers where a client names the detector alone; `services_of` chooses one for each detector."""

    @property
    def key(self) -> Key:
        """Detector and alias."""
        return Key(self.artifact.manifest.detector, self.alias)

    @cached_property
    def detector(self) -> Detector:
        """The detector; InputError when there is none of that name."""
        return load_detector(self.key.detector)

    @cached_property
    def schema(self) -> Schema:
        """How its samples look; InputError when the detector has no such sample."""
        return self.detector.schema(self.artifact.manifest.sample)

    @property
    def address(self) -> str:
        """What its routes are called by: `phishing`, or `phishing@challenger` as at the command line."""
        return self.key.detector if self.is_main else "@".join(self.key)


class Service(Protocol):
    """One served artifact. Making it costs nothing; it is loaded later, and ready once it was proved again."""

    offer: Offer
    answers: ClassVar[tuple[type[BaseModel], ...]]
    """Models that its routes refer to by name."""

    @property
    def is_ready(self) -> bool:
        """Tell whether it was loaded and gave its golden answers again."""
        ...

    @property
    def golden(self) -> int:
        """How many golden samples were answered again; 0 before."""
        ...

    def load(self, watch: Watch = ...) -> None:
        """Load the model, and answer the golden samples again.

        Errors: InputError when a part does not fit the manifest, CheckFailed when an answer differs.
        """
        ...

    def routes(self, state: "ServerState") -> Iterator["Route"]:
        """Yield its routes, all under `/v1/<address>` but for short ones where it is the only service."""
        ...

    def card(self) -> dict[str, Any]:
        """Return what only this runtime tells a client."""
        ...


def service_of(offer: Offer) -> Service:
    """Make the service of an artifact, not loaded yet; InputError when its runtime is not here."""
    manifest = offer.artifact.manifest
    if manifest.runtime not in RUNTIMES:
        raise InputError(
            f"artifact {manifest.name!r} needs the runtime {manifest.runtime!r}, which is not here"
        )
    make = cast(Callable[[Offer], Service], resolve(RUNTIMES[manifest.runtime]))
    return make(offer)


def services_of(offers: Sequence[Offer]) -> dict[Key, Service]:
    """Return (detector, alias) -> service.

    Where a client names a detector alone, its `champion` answers, or without one the first that was offered.
    InputError when nothing is offered, two answer to one name, or a name could not stand in an address.
    """
    if not offers:
        raise InputError("no artifact to serve")
    found: dict[Key, Offer] = {}
    mains: dict[str, Key] = {}
    for offer in offers:
        _check(offer, found)
        found[offer.key] = offer
        if offer.alias == CHAMPION or offer.key.detector not in mains:
            mains[offer.key.detector] = offer.key
    return {key: service_of(replace(offer, is_main=key in mains.values())) for key, offer in found.items()}


def _check(offer: Offer, found: Mapping[Key, Offer]) -> None:
    if not NAME.fullmatch(offer.alias):
        raise InputError(f"{offer.alias[:100]!r} is no alias: use a-z, 0-9, '.', '_' and '-'")
    if offer.key in found:
        raise InputError(
            f"two artifacts would answer as {'@'.join(offer.key)}; promote one to another alias and serve that"
        )


def summary_of(service: Service) -> dict[str, Any]:
    """Return the entry of a service in the list of models."""
    offer, manifest = service.offer, service.offer.artifact.manifest
    return {
        "detector": manifest.detector,
        "alias": offer.alias,
        "path": f"/v1/{offer.address}",
        "runtime": manifest.runtime,
        "name": manifest.name,
        "version": manifest.version,
        "digest": offer.artifact.digest,
        "ready": service.is_ready,
    }


def card_of(service: Service) -> dict[str, Any]:
    """Return what a client needs to know about a service."""
    offer, manifest = service.offer, service.offer.artifact.manifest
    schema = offer.schema.sample.model_json_schema()
    return {
        **summary_of(service),
        "summary": offer.detector.summary,
        "created_at": manifest.created_at,
        "signed_by": offer.artifact.signed_by,
        "sample": manifest.sample,
        "schema": schema,
        "fields": list(offer.schema.sample.model_fields),
        **service.card(),
        "metrics": manifest.metrics,
    }
