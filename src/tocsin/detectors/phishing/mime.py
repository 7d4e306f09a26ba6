"""The parts of a message: an own walk over RFC 2046 that stays within a budget whatever it is given.

The standard library's parser calls itself for every level of nesting and holds each line against every open
boundary, so that 10,000 nested parts end in a RecursionError. Here depth, number of parts, bytes and seconds are
bounded, what is cut is said, and nothing is decompressed. Source: RFC 2045, RFC 2046 section 5.
"""

import re
from binascii import a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from tocsin.detectors.phishing.charsets import clean, decode_text
from tocsin.detectors.phishing.headers import (
    Head,
    decode_base64,
    decode_words,
    media_type,
    parameters,
    split_head,
)

MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Budget:
    """What reading one message may cost. The clock comes last: the other bounds give the same answer each time."""

    size: int = 4 << 20
    """Bytes of the message that are looked at."""
    head: int = 64 << 10
    """Bytes of the header of the message, and of that of each part."""
    depth: int = 12
    parts: int = 200
    markup: int = 1 << 20
    """Bytes of text parts that are decoded, all together."""
    text: int = 100_000
    """Characters of text that are kept, shown and hidden together."""
    seconds: float = 2.0


class Meter:
    """What has been spent of a budget, and what was cut or found wrong on the way."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.parts = 0
        self.markup = budget.markup
        self.text = budget.text
        self.problems: list[str] = []
        self._deadline = monotonic() + budget.seconds

    def note(self, problem: str | None) -> None:
        """Keep a problem, once; after the first twenty the others are only counted as more."""
        if problem and problem not in self.problems and len(self.problems) <= MOST_PROBLEMS:
            self.problems.append(problem if len(self.problems) < MOST_PROBLEMS else "and more problems")

    def is_late(self) -> bool:
        """Tell whether the time is up, and note it."""
        late = monotonic() > self._deadline
        if late:
            self.note(f"stopped after {self.budget.seconds:g} seconds")
        return late

    def may_enter(self, depth: int) -> bool:
        """Count a part, the one that is nested too deep as well; tell whether it may be read."""
        if self.parts >= self.budget.parts:
            self.note(f"parts after the first {self.budget.parts} left out")
            return False
        self.parts += 1
        if depth > self.budget.depth:
            self.note(f"parts nested deeper than {self.budget.depth} left out")
            return False
        return not self.is_late()


@dataclass(frozen=True)
class Attachment:
    """A part that is not the message's text: what its header says, and how large it is. It is not opened."""

    name: str | None
    type: str
    size: int
    """Bytes, when decoded; as counted from its encoded length."""


@dataclass(frozen=True)
class Leaf:
    """A part with text, decoded."""

    kind: Literal["plain", "html"]
    text: str


@dataclass
class Content:
    """What a message holds."""

    shown: list[Leaf] = field(default_factory=list)
    aside: list[Leaf] = field(default_factory=list)
    """Alternatives of what is shown, which a reader of mail leaves out."""
    attachments: list[Attachment] = field(default_factory=list)

    def extend(self, other: "Content") -> None:
        """Take over what another part holds."""
        self.shown += other.shown
        self.aside += other.aside
        self.attachments += other.attachments


def walk(head: Head, body: bytes, meter: Meter, depth: int = 0) -> Content:
    """Return what a message or part holds; bounded by the meter's budget."""
    if not meter.may_enter(depth):
        return Content()
    kind = media_type(head)
    boundary = (
        parameters(head.raw("content-type")).get("boundary", "").encode("utf-8", "replace")[:200].strip()
    )
    if kind.startswith("multipart/"):
        bodies = split_parts(body, boundary, meter) if boundary else None
        if bodies is not None:
            return _many(kind, bodies, meter, depth)
        meter.note(f"{kind} without its boundary")
        return _text(head, "text/plain", body, meter)
    disposition = head.raw("content-disposition").strip().lower()
    is_attached = disposition.startswith("attachment")
    if kind == "message/rfc822" and not is_attached:
        inner, rest, wrong = split_head(_decoded(head, body, len(body)), meter.budget.head)
        for problem in wrong:
            meter.note(problem)
        return walk(inner, rest, meter, depth + 1)
    if is_attached or kind not in ("text/plain", "text/html", "application/xhtml+xml", "text/enriched"):
        return Content(attachments=[_attachment(head, kind, body)])
    return _text(head, kind, body, meter)


def _many(kind: str, bodies: Iterator[bytes], meter: Meter, depth: int) -> Content:
    found = []
    for raw in bodies:
        if meter.parts >= meter.budget.parts:
            meter.may_enter(depth)  # says so
            break
        head, body, wrong = split_head(raw, meter.budget.head)
        del raw  # or every level would hold its text twice
        for problem in wrong:
            meter.note(problem)
        found.append(walk(head, body, meter, depth + 1))
    return _choose(found) if kind == "multipart/alternative" else _all(found)


def _all(contents: list[Content]) -> Content:
    whole = Content()
    for content in contents:
        whole.extend(content)
    return whole


def _choose(contents: list[Content]) -> Content:
    """Of alternatives the last one that can be shown is; a reader prefers the richest, and that is HTML."""
    rich = [c for c in contents if any(leaf.kind == "html" for leaf in c.shown)]
    texts = [c for c in contents if c.shown]
    best = next(reversed(rich or texts), None)
    whole = Content()
    for content in contents:
        if content is not best:
            content = Content([], content.aside + content.shown, content.attachments)
        whole.extend(content)
    return whole


def split_parts(body: bytes, boundary: bytes, meter: Meter) -> Iterator[bytes] | None:
    """Return the bodies between boundary lines, or None where there is no such line."""
    delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?$", re.MULTILINE)
    first = delimiter.search(body)
    return None if first is None else _between(delimiter, first, body, meter)


def _between(
    delimiter: re.Pattern[bytes], before: re.Match[bytes], body: bytes, meter: Meter
) -> Iterator[bytes]:
    while before[1] is None:
        after = delimiter.search(body, before.end())
        start = before.end() + 1
        if after is None:
            meter.note("a multipart that is not closed")
            yield body[start:]
            return
        yield body[start : max(start, after.start() - 1)].removesuffix(b"\r")
        before = after


def _decoded(head: Head, body: bytes, limit: int) -> bytes:
    encoding = head.raw("content-transfer-encoding").strip().lower()
    if encoding.startswith("base64"):
        return decode_base64(body[: limit * 3 // 2])[:limit]
    if encoding.startswith("quoted-printable"):
        return a2b_qp(body[: limit * 3])[:limit]
    return body[:limit]


def _text(head: Head, kind: str, body: bytes, meter: Meter) -> Content:
    if meter.markup <= 0:
        meter.note(f"text after the first {meter.budget.markup:,} bytes left out")
        return Content()
    data = _decoded(head, body, meter.markup + 1)
    if len(data) > meter.markup:
        meter.note(f"text after the first {meter.budget.markup:,} bytes left out")
        data = data[: meter.markup]
    meter.markup -= len(data)
    is_html = kind in ("text/html", "application/xhtml+xml")
    charset = parameters(head.raw("content-type")).get("charset") or (_declared(data) if is_html else None)
    text, problem = decode_text(data, charset)
    meter.note(problem)
    return Content(shown=[Leaf("html" if is_html else "plain", text)])


def _declared(data: bytes) -> str | None:
    found = re.search(
        rb"<meta[^>]{0,200}charset\s{0,3}=\s{0,3}[\"']?([\w-]{1,40})", data[:2048], re.IGNORECASE
    )
    return found[1].decode("ascii", "replace") if found else None


def _attachment(head: Head, kind: str, body: bytes) -> Attachment:
    names = (
        parameters(head.raw("content-disposition")).get("filename"),
        parameters(head.raw("content-type")).get("name"),
    )
    name = next((n for n in names if n), None)
    is_base64 = head.raw("content-transfer-encoding").strip().lower().startswith("base64")
    size = (len(body) - body.count(b"\n") - body.count(b"\r")) * 3 // 4 if is_base64 else len(body)
    shown = " ".join(clean(name).split())[:255] if name else None
    return Attachment(shown or None, kind, size)


def subject(head: Head) -> str | None:
    """Return the decoded subject, or None where there is none or an empty one."""
    values = head.fields.get("subject")
    return decode_words(values[0])[:1000] or None if values else None
