"""The message that the detector reads: an e-mail, a text message, a chat line or a bare link."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tocsin.core.types import Sample
from tocsin.detectors.phishing.features.folding import strip_invisible

MOST_CHARACTERS = 100_000


def say_something(text: str) -> str:
    """Return a text that has something to read; ValueError for blanks and characters that show nothing."""
    if not strip_invisible(text[:MOST_CHARACTERS]).strip():
        raise ValueError("there is nothing to read: only blanks and characters that show nothing")
    return text


class Message(Sample):
    """One message as its reader sees it. The sender is never read: names are cheap, and leak the source."""

    text: Annotated[str, AfterValidator(say_something)] = Field(
        min_length=1, max_length=MOST_CHARACTERS, description="what the reader sees, without markup"
    )
    subject: str | None = Field(None, max_length=2_000, description="subject line; null if there is none")
    language: str | None = Field(
        None, max_length=16, description="language such as en or sw; only to report by, never a feature"
    )
    channel: Literal["email", "sms", "chat", "url"] | None = Field(
        None, description="how it came; of a bare link (url) the letters are read, else its shape"
    )
