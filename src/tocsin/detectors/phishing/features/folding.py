"""Text as it is compared: what a reader cannot see is gone, look-alikes are one letter, links are shapes.

Folding takes away what a sender can vary at will (zero-width characters, letters of another alphabet, casing,
digits) and what tells the collection a message came from instead of what it says (masks such as `<NUM>`).
"""

import re
import unicodedata
from html import unescape
from types import MappingProxyType

from tocsin.features.excerpt import shorten

LINK, ADDRESS, NUMERIC_HOST, USER_PART, LONG_LINK, MANY_PARTS, PUNYCODE, SHORTENER, PLAIN_HTTP = map(
    chr, range(0xE000, 0xE009)
)
"""Characters of the private use area that stand for a link, a mail address, and what is odd about a link."""
MARKS = "".join(map(chr, range(0xE000, 0xE009)))

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ue000-\uf8ff\ud800-\udfff\U000e0000-\U000e0fff]+"
)
"""Characters without a mark of their own, and those that stand for nothing: private use, lone surrogates."""
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]+")
LINKS = re.compile(
    r"(?i)\b(?:https?://|www\.)[^\s<>\"'()\[\]]+"
    r"|\b[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,6}\.[a-z]{2,12}/[^\s<>\"'()\[\]]*"
)
ADDRESSES = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
MASKS = re.compile(r"(?i)<\s*(url|link|email|num|phone|tel|name|place|decimal|time|date|#)\s*>")
MARKUP = re.compile(r"<!--.{0,500}?-->|</?[a-zA-Z][^<>]{0,300}>", re.DOTALL)
"""What is left of HTML in a text that was not parsed: comments inside words, tags."""
DIGITS = re.compile(r"\d+")
REPEATED = re.compile(r"([^\w\s])\1{3,}")
"""Runs of one sign, which count as three."""
SPACE = re.compile(r"\s+")
WORD = re.compile(r"\w+")
LATIN, GREEK_OR_CYRILLIC = re.compile("[a-z]"), re.compile("[\u0370-\u052f]")
MOST_DIGITS = 5
"""Longer runs of digits count as so long."""
SHORTENERS = frozenset(
    {
        "bit.ly",
        "cutt.ly",
        "goo.gl",
        "is.gd",
        "ow.ly",
        "rb.gy",
        "rebrand.ly",
        "shorturl.at",
        "t.co",
        "t.ly",
        "tiny.cc",
    }
    | {"tinyurl.com", "v.gd"}
)

LOOKALIKES = MappingProxyType(
    str.maketrans("авеёіїкмнорстуѵхѕјԁԛԝһӏєαεηικνορτυχγωϲ", "abeeiikmhopctyvxsjdqwhleaenikvoptuxywc")
)
"""Cyrillic and Greek letters -> the Latin ones that look alike, applied to words that mix alphabets only.

Source: the pairs were chosen by eye among those of Unicode Technical Standard 39, section 4.
"""

_MASKED = MappingProxyType(
    {"url": LINK, "link": LINK, "email": ADDRESS, "name": " ", "place": " ", "#": "0", "decimal": "0"}
)


def strip_invisible(text: str) -> str:
    """Remove characters that show nothing; controls but tab and line ends become spaces."""
    return CONTROL.sub(" ", INVISIBLE.sub("", text))


def strip_markup(text: str) -> str:
    """Remove left-over markup; masks such as `<NUM>` stay."""
    return (
        MARKUP.sub(lambda found: found[0] if MASKS.fullmatch(found[0]) else "", text) if "<" in text else text
    )


def shorten_shown(text: str, most: int) -> str:
    """Keep the beginning and the end of a text that is too long; what shows nothing takes no room."""
    return text if len(text) <= most else shorten(strip_markup(strip_invisible(text)), most)


def fold(text: str, links: bool = True) -> str:
    """Return text in lower case, NFKC, without invisible characters, digits as 0, spaces single.

    links: replace links by LINK and marks of what is odd about them; False keeps their letters.
    """
    text = unicodedata.normalize("NFKC", strip_invisible(unescape(text) if "&" in text else text))
    text = INVISIBLE.sub("", text)  # what NFKC brought back
    if "<" in text:
        text = MASKS.sub(lambda found: f" {_MASKED.get(found[1].lower(), '00000')} ", text)
        text = MARKUP.sub("", text)
    if links:
        text = LINKS.sub(_shape, text)
    if "@" in text:
        text = ADDRESSES.sub(f" {ADDRESS} ", text)
    text = text.lower()
    if not text.isascii():
        text = WORD.sub(_unmix, text)
    text = REPEATED.sub(r"\1\1\1", DIGITS.sub(_digits, text))
    return SPACE.sub(" ", text).strip()


def _unmix(found: re.Match[str]) -> str:
    """Write a word of mixed alphabets in Latin; a word of one alphabet stays."""
    word = found[0]
    if word.isascii() or not (LATIN.search(word) and GREEK_OR_CYRILLIC.search(word)):
        return word
    return word.translate(LOOKALIKES)


def _digits(found: re.Match[str]) -> str:
    return "0" * min(len(found[0]), MOST_DIGITS)


def _shape(found: re.Match[str]) -> str:
    """Return LINK, its oddities, and the last label of its host."""
    link = found[0].lower()
    scheme, _, rest = link.rpartition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, _, host = host.rpartition("@")
    host = host.partition(":")[0]
    odd = (
        (NUMERIC_HOST, host.replace(".", "").isdigit()),
        (USER_PART, bool(user)),
        (LONG_LINK, len(link) > 60),
        (MANY_PARTS, host.count(".") + host.count("-") >= 4),
        (PUNYCODE, "xn--" in host or not host.isascii()),
        (SHORTENER, host.removeprefix("www.") in SHORTENERS),
        (PLAIN_HTTP, scheme == "http"),
    )
    last = host.rpartition(".")[2][:8]
    return f" {LINK}{''.join(mark for mark, is_so in odd if is_so)} {last if last.isalpha() else ''} "
