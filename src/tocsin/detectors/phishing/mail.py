"""Real mail as a sample: any bytes in, a `Mail` out, within a budget and without an exception.

The text is what a reader of the mail sees. What the mail hides from its reader, where links go, who is to get the
replies and what the receiving server found about the sender are kept apart: a model sees the text alone, and
people see them as facts beside its verdict. Nothing in a mail is run, opened or fetched.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tocsin.detectors.phishing.charsets import clean, strip_zero_width
from tocsin.detectors.phishing.headers import Address, Head, address, authentication, split_head
from tocsin.detectors.phishing.html import Link, read_html, tidy
from tocsin.detectors.phishing.links import URL, host_of, is_same_site, named_host
from tocsin.detectors.phishing.mime import Attachment, Budget, Content, Leaf, Meter, subject, walk

MOST_LINKS = 300
SHARED = 0.5
"""Share of an alternative's words that the shown text must hold, or the two say different things."""

BUDGET = Budget()
NO_TEXT = "(no text)"

__all__ = ["Attachment", "Budget", "Link", "Mail", "Mismatch", "parse_mail", "to_sample"]


@dataclass(frozen=True)
class Mismatch:
    """Something that says one thing to the reader and is another."""

    kind: Literal["link", "reply-to", "name", "alternative"]
    shown: str
    actual: str


@dataclass(frozen=True)
class Mail:
    """One message, as far as its budget let it be read."""

    text: str = ""
    hidden_text: str = ""
    """Text that is in the mail and not shown: styled away, or in an alternative that says something else."""
    subject: str | None = None
    sender: Address | None = None
    reply_to: Address | None = None
    message_id: str | None = None
    links: tuple[Link, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    authentication: dict[str, str] = field(default_factory=dict)
    """Method -> result, as the receiving server wrote them; a mail that was not received has none."""
    zero_width: int = 0
    """Characters that take no room, taken out of the text."""
    problems: tuple[str, ...] = ()
    """What was cut, and what was not as it should be."""

    @property
    def sender_domain(self) -> str | None:
        """The domain of the `From` address."""
        return self.sender.domain if self.sender else None


def parse_mail(raw: bytes, budget: Budget = BUDGET) -> Mail:
    """Read a message in the form of RFC 5322, or whatever the bytes are. Never raises."""
    meter = Meter(budget)
    if len(raw) > budget.size:
        meter.note(f"cut after {budget.size:,} bytes")
        raw = raw[: budget.size]
    if raw.startswith(b"From ") and (end := raw.find(b"\n", 0, 1000)) >= 0:
        raw = raw[end + 1 :]  # the separator line of an mbox
    head, body, wrong = split_head(raw, budget.head)
    for problem in wrong:
        meter.note(problem)
    return _compose(head, walk(head, body, meter), meter)


def to_sample(mail: Mail) -> dict[str, Any]:
    """Return the fields of the detector's sample. The language is left to be identified.

    A mail of pictures alone has no text; then its subject stands for it, and is not told twice.
    """
    return {
        "text": mail.text or mail.subject or NO_TEXT,
        "language": None,
        "subject": mail.subject if mail.text else None,
        "channel": "email",
        "sender_domain": mail.sender_domain,
    }


@dataclass
class _Reading:
    """What leaves said, in their order."""

    shown: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    zero_width: int = 0


def _compose(head: Head, content: Content, meter: Meter) -> Mail:
    shown = _read(content.shown, meter)
    aside = _read(content.aside, meter)
    text, hidden = "\n".join(shown.shown), [t for t in shown.hidden if t]
    other = "\n".join(aside.shown)
    mismatches = list(_lies(shown.links))
    if not text:
        text = other
    elif _differs(other, text):
        mismatches.append(Mismatch("alternative", text[:100], other[:100]))
        hidden.append(other)
    sender, reply_to = address(head.get("from")), address(head.get("reply-to"))
    return Mail(
        text=text[: meter.budget.text],
        hidden_text="\n".join(hidden)[: meter.budget.text],
        subject=subject(head),
        sender=sender,
        reply_to=reply_to,
        message_id=head.raw("message-id").strip()[:300] or None,
        links=tuple(shown.links[:MOST_LINKS]),
        mismatches=(*_sender_lies(sender, reply_to), *mismatches),
        attachments=tuple(content.attachments),
        authentication=authentication(head),
        zero_width=shown.zero_width,
        problems=tuple(meter.problems),
    )


def _read(leaves: Sequence[Leaf], meter: Meter) -> _Reading:
    found = _Reading()
    for leaf in leaves:
        if meter.text <= 0 or meter.is_late():
            meter.note(f"text after the first {meter.budget.text:,} characters left out")
            break
        if leaf.kind == "html":
            _read_page(leaf.text, found, meter)
        else:
            _read_plain(leaf.text, found, meter)
    found.shown = [text for text in found.shown if text]
    return found


def _read_page(markup: str, found: _Reading, meter: Meter) -> None:
    page = read_html(markup, meter.text, meter.is_late)
    found.shown.append(page.shown)
    found.hidden.append(page.hidden)
    found.links += page.links
    found.zero_width += page.zero_width
    meter.text -= len(page.shown) + len(page.hidden)
    for problem in page.problems:
        meter.note(problem)


def _read_plain(raw: str, found: _Reading, meter: Meter) -> None:
    if len(raw) > meter.text:
        meter.note(f"text after the first {meter.budget.text:,} characters left out")
    text, zero_width = strip_zero_width(tidy(raw[: meter.text]))
    meter.text -= len(text)
    found.shown.append(text)
    found.zero_width += zero_width
    room = max(0, MOST_LINKS - len(found.links))
    for match, _ in zip(URL.finditer(text), range(room), strict=False):
        found.links.append(Link("", match[0].rstrip(".,;:!?*_~")))


def _lies(links: Sequence[Link]) -> Iterator[Mismatch]:
    seen = set()
    for link in links:
        named, actual = named_host(link.text), host_of(link.target)
        if named and actual and not is_same_site(named, actual) and (named, actual) not in seen:
            seen.add((named, actual))
            yield Mismatch("link", named, actual)


def _sender_lies(sender: Address | None, reply_to: Address | None) -> Iterator[Mismatch]:
    if sender is None:
        return
    if reply_to and not is_same_site(reply_to.domain, sender.domain):
        yield Mismatch("reply-to", sender.domain, reply_to.domain)
    for word in sender.name.split()[:20]:
        named = named_host(word.strip("()<>[]\"',;"))
        if named and not is_same_site(named, sender.domain):
            yield Mismatch("name", named, sender.domain)
            return


def _differs(other: str, text: str) -> bool:
    """Tell whether an alternative says something else: fewer than half of its words are in the text."""
    words = {word.strip(".,;:!?()*_<>[]").casefold() for word in clean(other).split()}
    words = {word for word in words if len(word) > 2 and "/" not in word}
    shown = text.casefold()
    return len(words) >= 8 and sum(word in shown for word in sorted(words)[:500]) < SHARED * min(
        len(words), 500
    )
