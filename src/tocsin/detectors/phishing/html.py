"""The text of an HTML mail: what the reader sees, and apart from it what the mail hides.

A scanner of our own: it reads every character once, whatever the document (the standard library's rereads the
rest of the document for each unclosed comment). Nothing is run and nothing is fetched.
Source: HTML Living Standard, section 13.2.5 (tokenization): an unclosed tag, comment or script takes the rest.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import unescape
from typing import NamedTuple

from tocsin.detectors.phishing.charsets import clean, strip_zero_width
from tocsin.detectors.phishing.elements import CLOSES, GAPS, NEVER_SHOWN, RAW, READ, TEXT_COLOUR, VOID
from tocsin.detectors.phishing.styles import Look, Sheet, attribute_colour, restyle

DEEPEST = 256
"""Open elements that are kept; what is nested deeper looks as its surroundings do."""
MOST_TAGS = 10_000
"""The most in 500 real mails is 2,104."""
MOST_LINKS = 300
MOST_TARGET = 2_000
"""Characters of a link's target that are kept."""
LINK_COLOUR = (0, 0, 238)
"""Of links that say nothing else: they do not inherit their colour."""
CHECK = 256
"""Tags between two looks at the clock."""

_OPEN = re.compile(r"<(/?)([a-zA-Z][^\s/>\x00]{0,60})")
_NAME = re.compile(r"[\s/]*+([^\s/>=][^\s/>=]*+)?(\s*+=\s*+)?")
_BARE = re.compile(r"[^\s>]*+")
_COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>)", re.DOTALL)
_LONG_NUMBER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")
_NOTHING: Mapping[str, str] = {}


class Link(NamedTuple):
    """A link: the text that it is shown under, and where it goes."""

    text: str
    target: str


@dataclass(frozen=True)
class Page:
    """What an HTML document says."""

    shown: str
    hidden: str
    links: tuple[Link, ...] = ()
    zero_width: int = 0
    problems: tuple[str, ...] = ()


class _Element(NamedTuple):
    tag: str
    look: Look


def read_html(markup: str, room: int, is_late: Callable[[], bool] = lambda: False) -> Page:
    """Read a document; at most `room` characters of text are kept, shown and hidden together.

    `is_late` is asked now and then, and when it says so the rest is left out. Never raises.
    """
    walk = _Walk(markup, room, is_late)
    walk.run()
    shown, joined = strip_zero_width(tidy("".join(walk.shown)))
    hidden, more = strip_zero_width(tidy("".join(walk.hidden)))
    return Page(shown, hidden, tuple(walk.links), joined + more, tuple(walk.problems))


def tidy(text: str) -> str:
    """Return text in lines without blank ones, with one space where there was any white space."""
    lines = (" ".join(line.split()) for line in clean(text).splitlines())
    return "\n".join(line for line in lines if line)


def entities(text: str) -> str:
    """Replace character references; ones of many digits, on which Python's own raises, are no character."""
    if "&" not in text:
        return text
    return unescape(_LONG_NUMBER.sub("\ufffd", text))


class _Walk:
    """One pass over a document."""

    def __init__(self, markup: str, room: int, is_late: Callable[[], bool]) -> None:
        self.markup, self.room, self.is_late = markup, room, is_late
        self.shown: list[str] = []
        self.hidden: list[str] = []
        self.links: list[Link] = []
        self.problems: list[str] = []
        self.stack: list[_Element] = []
        self.places: defaultdict[str, list[int]] = defaultdict(list)  # tag -> where on the stack
        self.sheet = Sheet()
        self.look = Look()
        self.hides = False
        self.target: str | None = None
        self.label: list[str] = []

    def run(self) -> None:
        """Read tags and the text between them until the end, or until a budget is spent."""
        place, tags = 0, 0
        while (start := self.markup.find("<", place)) >= 0:
            self._write(self.markup[place:start])
            place = self._tag(start)
            tags += 1
            if tags >= MOST_TAGS or self.room <= 0 or (not tags % CHECK and self.is_late()):
                self.problems.append(
                    f"HTML cut after {tags:,} tags, {len(self.markup) - place:,} characters left"
                )
                break
        else:
            self._write(self.markup[place:])
        self._end_link()

    def _write(self, raw: str) -> None:
        if not raw:
            return
        text = entities(raw[: self.room])
        self.room -= len(text)
        if self.hides:
            self.hidden.append(text)
            if self.look.takes_room and (text[0].isspace() or text[-1].isspace()):
                self.shown.append(" ")
                self.room -= 1
            return
        self.shown.append(text)
        if self.target is not None:
            self.label.append(text)

    def _tag(self, start: int) -> int:
        """Read what begins with `<` at `start` and return the place behind it."""
        found = _OPEN.match(self.markup, start)
        if found is None:
            return self._other(start)
        tag = found[2].lower()
        attributes, end = self._attributes(found.end())
        if found[1]:
            self._close(tag)
        else:
            self._open(tag, attributes)
            if tag in RAW:
                return self._raw(tag, attributes, end)
        return end

    def _other(self, start: int) -> int:
        """Skip a comment or declaration; a `<` before anything else is text."""
        if self.markup.startswith("<!--", start):
            comment = _COMMENT.match(self.markup, start)
            return comment.end() if comment else self._swallow("comment", start + 4)
        if self.markup[start + 1 : start + 2] in ("!", "?", "/"):
            end = self.markup.find(">", start + 2)
            return end + 1 if end >= 0 else self._swallow("declaration", start + 2)
        self._write("<")
        return start + 1

    def _swallow(self, what: str, place: int) -> int:
        self.problems.append(f"an unclosed {what} takes the last {len(self.markup) - place:,} characters")
        return len(self.markup)

    def _attributes(self, place: int) -> tuple[Mapping[str, str], int]:
        """Read attributes up to the `>` that ends the tag; the first of a name counts."""
        if self.markup.startswith(">", place):
            return _NOTHING, place + 1
        found: dict[str, str] = {}
        while True:
            name = _NAME.match(self.markup, place)
            assert name is not None  # every part of it may be empty
            place = name.end()
            value = ""
            if name[2] is not None:
                value, place = self._value(place)
            if name[1] and (known := name[1][:40].lower()) in READ:
                found.setdefault(known, value)
            if place >= len(self.markup):
                return _NOTHING, self._swallow("tag", name.start())
            if self.markup[place] == ">":
                return found, place + 1

    def _value(self, place: int) -> tuple[str, int]:
        quote = self.markup[place : place + 1]
        if quote not in ("'", '"'):
            bare = _BARE.match(self.markup, place)
            assert bare is not None  # it may be empty
            return entities(bare[0][:MOST_TARGET]), bare.end()
        end = self.markup.find(quote, place + 1)
        if end < 0:
            return "", len(self.markup)
        return entities(self.markup[place + 1 : min(end, place + 1 + MOST_TARGET)]), end + 1

    def _open(self, tag: str, attributes: Mapping[str, str]) -> None:
        closes = CLOSES.get(tag, ())
        while self.stack and self.stack[-1].tag in closes:
            self._close(self.stack[-1].tag)
        look = self.look if tag in VOID or tag in RAW else self._restyle(tag, attributes)
        self._space(tag, look)
        if tag == "a" or (tag == "area" and "href" in attributes):
            self._end_link()
            self.target = attributes.get("href")
        if tag == "form" and attributes.get("action"):
            self._add_link("", attributes["action"])
        if tag not in VOID and tag not in RAW and len(self.stack) < DEEPEST:
            self.places[tag].append(len(self.stack))
            self.stack.append(_Element(tag, self.look))
            self._see(look)

    def _see(self, look: Look) -> None:
        if look is not self.look:
            self.look, self.hides = look, look.hides

    def _restyle(self, tag: str, attributes: Mapping[str, str]) -> Look:
        look = self.look
        if tag in NEVER_SHOWN or "hidden" in attributes:
            return look._replace(gone=True)
        if attributes:
            if ground := attribute_colour(attributes.get("bgcolor")):
                look = look._replace(ground=ground)
            if attributes.get("background"):
                look = look._replace(ground=None)
            if text := attribute_colour(attributes.get(TEXT_COLOUR.get(tag, ""))):
                look = look._replace(colour=text)
        if tag == "a" and "href" in attributes:
            look = look._replace(colour=LINK_COLOUR)
        return restyle(look, self.sheet.style(tag, attributes))

    def _close(self, tag: str) -> None:
        if tag == "a":
            self._end_link()
        if tag in ("p", "br") or len(self.stack) == DEEPEST:
            self._space(tag, self.look)  # a stray end tag of these breaks the line; of others it does nothing
        place, table = (self.places[name][-1] if self.places[name] else -1 for name in (tag, "table"))
        if place < 0 or (place < table and tag not in ("body", "html")):
            return  # a stray end tag does not reach out of its table
        self._space(tag, self.stack[place + 1].look if place + 1 < len(self.stack) else self.look)
        self._see(self.stack[place].look)
        while len(self.stack) > place:
            self.places[self.stack.pop().tag].pop()

    def _space(self, tag: str, look: Look) -> None:
        """Keep apart what a block keeps apart, shown and hidden, unless the block is not there at all."""
        if (gap := GAPS.get(tag)) is None:
            return
        self.hidden.append(gap)
        if not look.gone:
            self.shown.append(gap)
            self.label.append(gap)

    def _raw(self, tag: str, attributes: Mapping[str, str], place: int) -> int:
        """Read an element whose content is no markup; only a `<textarea>`'s is text, a `<style>`'s are rules."""
        closing = re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE).search(self.markup, place)
        end = closing.start() if closing else len(self.markup)
        if closing is None:
            self._swallow(f"<{tag}>", place)
        if tag == "style":
            self.sheet.add(self.markup[place:end])
        elif tag == "textarea":
            around = self.look
            self._see(self._restyle(tag, attributes))
            self._write(self.markup[place:end])
            self._see(around)
        return self._attributes(closing.end())[1] if closing else end

    def _end_link(self) -> None:
        if self.target is not None:
            self._add_link("".join(self.label), self.target)
        self.target, self.label = None, []

    def _add_link(self, label: str, target: str) -> None:
        if len(self.links) < MOST_LINKS:
            text = strip_zero_width(" ".join(clean(label).split()))[0]
            self.links.append(Link(text[:300], clean("".join(target.split()))[:MOST_TARGET]))
        elif (problem := f"links after the first {MOST_LINKS} left out") not in self.problems:
            self.problems.append(problem)
