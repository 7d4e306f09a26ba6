"""What a scan answers about one target."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tocsin.core.detector import Target
from tocsin.core.types import Verdict


@dataclass(frozen=True)
class Scanned:
    """One target and its verdict, or the reason why there is none."""

    target: Target
    verdict: Verdict | None
    reason: str = ""

    @property
    def name(self) -> str:
        """The place of the target in words: `inbox.mbox#12`."""
        return str(self.target.place)

    @property
    def uid(self) -> str:
        """A name that the same target under the same artifact has each time."""
        artifact = self.verdict.artifact if self.verdict else ""
        said = repr(sorted(self.target.fields.items(), key=lambda item: item[0]))
        return sha256(f"{artifact}\n{self.name}\n{said}".encode(errors="backslashreplace")).hexdigest()

    def sentence(self) -> str:
        """Say what was found."""
        assert self.verdict is not None  # only what was judged is reported
        return f"{self.verdict.label}: {self.name} (probability {self.verdict.probability:.4f})"

    def record(self) -> dict[str, Any]:
        """Return everything as one JSON object: the verdict and what speaks for it, or the error."""
        if self.verdict is None:
            return {"target": self.name, "error": self.reason}
        return {
            "target": self.name,
            "verdict": self.verdict.model_dump(mode="json"),
            "remarks": list(self.target.remarks),
            "facts": self.target.facts,
        }

    def complaint(self) -> str:
        """Say why there is no verdict."""
        return f"{printable(self.name)}: {self.reason}"


def printable(text: str) -> str:
    """Replace what would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
