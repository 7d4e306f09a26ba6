"""Header fields of a mail: split, unfolded, decoded (RFC 2047, RFC 2231), and read for who sent it.

The standard library's header classes raise on some of what spammers write; these functions never do. They look
at a bounded number of bytes of every field. Source: RFC 5322 section 2.2, RFC 2045 section 5, RFC 8601.
"""

import re
from binascii import a2b_base64, a2b_qp
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from tocsin.detectors.phishing.charsets import clean, decode_text, strip_zero_width

MOST_BYTES = 4_000
"""Bytes of one field that are looked at."""

_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_NAME = re.compile(rb"([!-9;-~]{1,80})[ \t]*:")
_WORD = re.compile(r"=\?([\w.:+-]{1,40})(?:\*[\w-]{0,20})?\?([bBqQ])\?([^?\r\n]{0,2000})\?=")
_PARAMETER = re.compile(r';\s*+([\w.*-]{1,60})\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;]*+))', re.DOTALL)
_CONTINUED = re.compile(r"([\w.-]+?)(?:\*(\d{1,3}))?(\*)?\Z")
_ADDRESS = re.compile(r"[^\s<>,;:()\"@]{1,200}@([^\s<>,;:()\"@]{1,255})")
_METHOD = re.compile(r"\b(spf|dkim|dmarc|arc|compauth)\s{0,3}=\s{0,3}([a-z]{1,20})", re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """The header fields of a message or of a part of one."""

    fields: Mapping[str, list[bytes]] = field(default_factory=dict)
    """Name in lower case -> values in their order."""

    def get(self, name: str) -> str | None:
        """Return the first field of that name as decoded text, or None."""
        values = self.fields.get(name)
        return decode_words(values[0]) if values else None

    def raw(self, name: str) -> str:
        """Return the first field of that name, its encoded words left as they are, or an empty text."""
        values = self.fields.get(name)
        return _text(values[0]) if values else ""


@dataclass(frozen=True)
class Address:
    """One mailbox as a header names it."""

    name: str
    address: str
    domain: str


def split_head(raw: bytes, limit: int) -> tuple[Head, bytes, list[str]]:
    """Split a message or part at its first blank line; return header, body, and what was wrong."""
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    raw = raw.lstrip(b"\r\n") if raw[:1] in (b"\r", b"\n") and _NAME.match(raw.lstrip(b"\r\n")) else raw
    end = _BLANK_LINE.search(raw, 0, limit)
    if end is None:
        if not _NAME.match(raw):
            return Head(), raw, []
        cut = [f"header cut at {limit:,} bytes"] if len(raw) > limit else []
        return Head(_fields(raw[:limit])), b"", cut
    return Head(_fields(raw[: end.start()])), raw[end.end() :], []


def _fields(block: bytes) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for line in _FOLD.sub(b"", block).splitlines():
        if name := _NAME.match(line):
            value = line[name.end() : name.end() + MOST_BYTES].strip()
            found.setdefault(name[1].decode("ascii").lower(), []).append(value)
    return found


def _text(value: bytes) -> str:
    return clean(decode_text(value[:MOST_BYTES], None)[0])


def decode_words(value: bytes) -> str:
    """Return a field's text with its encoded words decoded.

    Neighbours of one charset are decoded together, since senders cut characters in two.
    """
    text = _text(value)
    pieces: list[str] = []
    charset, pending, place = "", b"", 0
    for word in _WORD.finditer(text):
        gap = text[place : word.start()]
        if pending and (gap.strip() or word[1].lower() != charset):
            pieces.append(decode_text(pending, charset)[0])
            pending = b""
            gap = gap if gap.strip() else ""
        if not pending:
            pieces.append(gap)
        charset, place = word[1].lower(), word.end()
        pending += _word_bytes(word)
    if pending:
        pieces.append(decode_text(pending, charset)[0])
    joined = "".join(pieces) + text[place:]
    return " ".join(strip_zero_width(clean(joined))[0].split())


def _word_bytes(word: re.Match[str]) -> bytes:
    data = word[3].encode("utf-8", "replace")
    return decode_base64(data) if word[2] in "bB" else a2b_qp(data, header=True)


_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)


def decode_base64(data: bytes) -> bytes:
    """Decode base64 with garbage in it; what follows the padding is left out, as readers do."""
    letters = data.translate(None, _NOT_BASE64).lstrip(b"=").partition(b"=")[0]
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    return a2b_base64(letters + b"=" * (-len(letters) % 4))


def parameters(value: str) -> dict[str, str]:
    """Return the parameters of a `Content-Type` or `Content-Disposition` field, names in lower case."""
    parts: dict[str, list[tuple[int, bool, str]]] = {}
    for match in _PARAMETER.finditer(value[:MOST_BYTES]):
        text = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3].strip().strip('"')
        name = _CONTINUED.match(match[1])
        if name:
            parts.setdefault(name[1].lower(), []).append((int(name[2] or 0), bool(name[3]), text))
    return {name: _join(found) for name, found in parts.items()}


def _join(parts: list[tuple[int, bool, str]]) -> str:
    if not any(encoded for _, encoded, _ in parts):
        first = [text for place, _, text in parts if place == 0][:1]
        later = [text for place, _, text in sorted(parts) if place > 0]
        return decode_words("".join(first + later).encode("utf-8", "replace"))
    ordered = sorted(parts)
    charset, _, rest = ordered[0][2].partition("'")
    _, quote, first_text = rest.partition("'")
    texts = [first_text if quote else ordered[0][2], *(text for _, _, text in ordered[1:])]
    data = b"".join(unquote_to_bytes(text) for text in texts)
    return clean(decode_text(data, charset if quote else None)[0])


def media_type(head: Head) -> str:
    """Return the media type in lower case; `text/plain` where there is none, or none that makes sense."""
    found = re.match(r"\s*([\w.+-]{1,60}/[\w.+-]{1,100})\s*(?:;|\s|\Z)", head.raw("content-type"))
    return found[1].lower() if found else "text/plain"


def address(value: str | None) -> Address | None:
    """Return the first mailbox of a decoded `From` or `Reply-To`; None where there is no address in it.

    The address in angle brackets counts; one in the name before them is a name, and perhaps a lie.
    """
    if not value:
        return None
    text = value[:1000]
    start = text.find("<")
    found = (_ADDRESS.search(text, start) if start >= 0 else None) or _ADDRESS.search(text)
    if found is None:
        return None
    name = text[:start] if 0 <= start < found.start() else ""
    return Address(name.strip("\"' ,;("), found[0].lower(), found[1].lower().strip("."))


def authentication(head: Head) -> dict[str, str]:
    """Return method -> result of the topmost `Authentication-Results`, which the receiver itself wrote."""
    found: dict[str, str] = {}
    for method, result in _METHOD.findall(head.raw("authentication-results")):
        found.setdefault(method.lower(), result.lower())
    if "spf" not in found and (result := re.match(r"\s*([A-Za-z]{1,20})", head.raw("received-spf"))):
        found["spf"] = result[1].lower()
    return found
