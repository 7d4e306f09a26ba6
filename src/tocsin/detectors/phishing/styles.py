"""What of an HTML mail's styling decides whether a reader sees a text: inline styles and plain style sheets.

Source: CSS 2.1, and CSS Syntax 3 for comments, strings, escapes and brackets, behind which a mail may hide a rule.
Selectors of one element are followed, media queries (other screens) are left out. Why not a library: ADR 0027.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

Colour = tuple[int, int, int]
Declarations = Mapping[str, str]

MOST_STYLE = 2_000
"""Characters of one `style` attribute that are looked at."""
MOST_SHEET = 100_000
MOST_RULES = 2_000
NEAR = 36
"""Two colours whose channels differ by no more than this in all cannot be told apart."""
TINY = 1.0
"""Pixels up to which a letter cannot be read."""
CLEAR = 0.05
"""Share of a colour up to which it lets all through."""

NAMED: dict[str, Colour] = {
    "white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240),
    "ghostwhite": (248, 248, 255), "whitesmoke": (245, 245, 245), "red": (255, 0, 0), "blue": (0, 0, 255),
    "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192), "navy": (0, 0, 128),
    "green": (0, 128, 0), "yellow": (255, 255, 0), "orange": (255, 165, 0), "purple": (128, 0, 128),
    "maroon": (128, 0, 0), "olive": (128, 128, 0), "lime": (0, 255, 0), "teal": (0, 128, 128),
    "aqua": (0, 255, 255), "cyan": (0, 255, 255), "fuchsia": (255, 0, 255), "magenta": (255, 0, 255),
    "brown": (165, 42, 42), "gold": (255, 215, 0), "pink": (255, 192, 203), "crimson": (220, 20, 60),
    "darkblue": (0, 0, 139), "darkred": (139, 0, 0), "darkgreen": (0, 100, 0), "dimgray": (105, 105, 105),
    "darkgray": (169, 169, 169), "lightgray": (211, 211, 211), "lightgrey": (211, 211, 211),
    "gainsboro": (220, 220, 220), "royalblue": (65, 105, 225), "steelblue": (70, 130, 180),
    "floralwhite": (255, 250, 240), "aliceblue": (240, 248, 255), "azure": (240, 255, 255),
}  # fmt: skip
"""CSS's and HTML's own colours, and of the others those that mail uses."""

READ = frozenset((
    "background", "background-color", "background-image", "color", "display", "font-size", "height", "left",
    "margin-left", "max-height", "max-width", "opacity", "overflow", "position", "text-indent", "top",
    "visibility", "width",
))  # fmt: skip
"""Properties that are read; the others are not kept."""

_DISGUISE = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*+"?|'(?:\\.|[^'\\\n])*+'?|\\(?:[0-9a-fA-F]{1,6}\s?|.)""", re.DOTALL
)
"""A comment, a string or an escape."""
_MARK = re.compile(r"[(){}\[\];]")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_IMPORTANT = re.compile(r"\s*!\s*important\Z")
_SIMPLE = re.compile(r"([a-z][a-z0-9]*)?([.#][\w-]+)?\Z")
_HEX = re.compile(r"#([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b")
_RGB = re.compile(
    r"rgba?\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*(?:[,/]\s*([\d.]{1,8})\s*)?\)"
)
_LENGTH = re.compile(r"(-?\d{0,6}\.?\d{0,6})\s*(px|pt|em|rem|%|)\Z")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_SCALE = {"px": 1.0, "": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0, "%": 0.16}


class Look(NamedTuple):
    """How text looks at a place of the document; each element inherits it and changes some of it."""

    gone: bool = False
    """Neither it nor anything in it is shown."""
    unseen: bool = False
    tiny: bool = False
    colour: Colour | None = (0, 0, 0)
    """None: transparent."""
    ground: Colour | None = (255, 255, 255)
    """None: unknown, such as an image."""

    @property
    def hides(self) -> bool:
        """Whether text here cannot be read."""
        if self.gone or self.unseen or self.tiny or self.colour is None:
            return True
        return self.ground is not None and sum(map(_apart, self.colour, self.ground)) <= NEAR

    @property
    def takes_room(self) -> bool:
        """Whether text here, read or not, keeps its neighbours apart."""
        return not (self.gone or self.tiny)


def _apart(a: int, b: int) -> int:
    return abs(a - b)


def declarations(style: str) -> Declarations:
    """Return what is read of a `style` attribute; of a name the last counts, an `!important` one before others."""
    return _settled(_declarations(style[:MOST_STYLE]))


@lru_cache(maxsize=1024)
def _declarations(style: str) -> Declarations:
    """Return value by name, or by `name!` where it is important."""
    found = {}
    for part in _parts(_undisguised(style)):
        name, colon, value = part.partition(":")
        if colon and (name := name.strip()) in READ:
            value = value.strip()
            said = _IMPORTANT.sub("", value)
            if "!" not in said:
                found[name if said == value else f"{name}!"] = said
    return found


def _settled(style: Declarations) -> Declarations:
    """Return value by name: the important one where there is one."""
    strong = {name[:-1]: value for name, value in style.items() if name.endswith("!")}
    return (
        {name: value for name, value in style.items() if not name.endswith("!")} | strong if strong else style
    )


def _undisguised(text: str) -> str:
    """Return CSS in small letters without comments, the content of strings, and escapes."""
    return _DISGUISE.sub(_plain, text).lower()


def _plain(disguise: re.Match[str]) -> str:
    text = disguise[0]
    if text[0] != "\\":
        return " " if text[0] == "/" else "''"
    code = text[1:].strip()
    letter = chr(min(int(code, 16), 0x10FFFF)) if code and code[0] in _HEX_DIGITS else code
    return letter if letter.isalnum() or letter in ("-", "_") else "\ufffd"


def _parts(text: str) -> Iterator[str]:
    """Yield what stands between the semicolons that are in no bracket."""
    start = 0
    for mark in _outer_marks(text):
        if mark[0] == ";":
            yield text[start : mark.start()]
            start = mark.end()
    yield text[start:]


def _outer_marks(text: str) -> Iterator[re.Match[str]]:
    """Yield each semicolon that is in no bracket, and each `}` that closes a block that is in none."""
    awaited: list[str] = []
    for mark in _MARK.finditer(text):
        if mark[0] in _CLOSES:
            awaited.append(_CLOSES[mark[0]])
            continue
        closes = bool(awaited) and mark[0] == awaited[-1]
        if closes:
            awaited.pop()
        if not awaited and (mark[0] == ";" or (closes and mark[0] == "}")):
            yield mark


def restyle(look: Look, style: Declarations) -> Look:
    """Return how text looks inside an element of that style."""
    if not style:
        return look
    if _is_gone(style):
        return look._replace(gone=True)
    if (visible := style.get("visibility")) in ("hidden", "collapse", "visible"):
        look = look._replace(unseen=visible != "visible")
    if (size := _pixels(style.get("font-size", ""))) is not None:
        look = look._replace(tiny=size <= TINY)
    if (text := style.get("color")) and text != "inherit":
        look = _coloured(look, text)
    for name in ("background", "background-color"):
        if ground := style.get(name):
            look = look._replace(ground=_ground(look.ground, ground))
    return look._replace(ground=None) if "background-image" in style else look


def _is_gone(style: Declarations) -> bool:
    if style.get("display") == "none" or _is_zero(style.get("opacity")):
        return True
    cuts = "hidden" in style.get("overflow", "")
    if cuts and any(_is_zero(style.get(n)) for n in ("max-height", "height", "max-width", "width")):
        return True
    away = ("text-indent", "left", "top", "margin-left") if "position" in style else ("text-indent",)
    return any((_pixels(style.get(name, "")) or 0) <= -500 for name in away)


def _is_zero(value: str | None) -> bool:
    pixels = None if value is None else _pixels(value)
    return pixels is not None and pixels <= 0.01


def _pixels(value: str) -> float | None:
    match = _LENGTH.match(value)
    if not match or not any(c.isdigit() for c in match[1]):
        return None
    return float(match[1]) * _SCALE[match[2]]


def _coloured(look: Look, text: str) -> Look:
    if text == "transparent" or _is_clear(text):
        return look._replace(colour=None)
    found = colour(text)
    return look if found is None else look._replace(colour=found)


def _ground(under: Colour | None, text: str) -> Colour | None:
    if "url(" in text or "gradient" in text:
        return None
    if text in ("transparent", "none", "inherit", "0", "0 0") or _is_clear(text):
        return under
    return colour(text)


def attribute_colour(value: str | None) -> Colour | None:
    """Return the colour of an attribute such as `bgcolor`, where the sign before the digits may be missing."""
    if not value:
        return None
    text = value.strip().lower()
    return colour(f"#{text}" if re.fullmatch(r"[0-9a-f]{6}", text) else text)


def colour(text: str) -> Colour | None:
    """Return the first colour that a value names, or None; how much it lets through is asked of `_is_clear`."""
    if found := _HEX.search(text):
        digits = found[1] if len(found[1]) >= 6 else "".join(c * 2 for c in found[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    if found := _RGB.search(text):
        return min(int(found[1]), 255), min(int(found[2]), 255), min(int(found[3]), 255)
    return next((NAMED[word] for word in text.split()[:8] if word in NAMED), None)


def _is_clear(text: str) -> bool:
    """Tell whether the first colour of a value lets what is under it through."""
    if found := _HEX.search(text):
        digits = found[1]
        return (
            len(digits) in (4, 8)
            and int(digits[3] * 2 if len(digits) == 4 else digits[6:], 16) <= 255 * CLEAR
        )
    found = _RGB.search(text)
    if not (found and found[4]):
        return False
    share = _pixels(found[4] + "px")
    return share is not None and share <= CLEAR


class Sheet:
    """The rules of a document's `<style>` elements, looked up by element, class and id."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, str]] = {}
        self._room = MOST_SHEET

    def add(self, text: str) -> None:
        """Read one `<style>` element; beyond the budget nothing more is read."""
        text, self._room = text[: self._room], max(0, self._room - len(text))
        for rule in _rules(_undisguised(text)):
            if len(self.rules) >= MOST_RULES:
                return
            selectors, _, block = rule.partition("{")
            self._add_rule(selectors, _declarations(block[:MOST_STYLE]))

    def _add_rule(self, selectors: str, style: Declarations) -> None:
        for selector in selectors[:1000].split(","):
            words = selector.split()
            if len(words) == 1 and _SIMPLE.match(words[0]):
                self.rules.setdefault(words[0], {}).update(style)
            elif words and any(name.startswith("background") for name in style):
                last = re.match(r"[a-z0-9]*[.#]?[\w-]*", words[-1])
                if last and last[0]:  # it holds in some places only: there the ground is not known
                    self.rules.setdefault(last[0], {})["background-image"] = "unknown"

    def style(self, tag: str, attributes: Mapping[str, str]) -> Declarations:
        """Return what holds for an element, its own `style` last."""
        own = _declarations(attributes["style"][:MOST_STYLE]) if "style" in attributes else {}
        if not self.rules:
            return _settled(own)
        names: Sequence[str] = [f".{name}" for name in attributes.get("class", "").lower().split()[:20]]
        if identity := attributes.get("id"):
            names = [*names, f"#{identity.lower()}"]
        keys = (tag, *(key for name in names for key in (name, tag + name)))
        found = [self.rules[key] for key in keys if key in self.rules]
        return _settled(
            {name: value for style in (*found, own) for name, value in style.items()} if found else own
        )


def _rules(text: str) -> Iterator[str]:
    """Yield the rules of a sheet, each up to the `}` that closes it; at-rules are left out."""
    start = 0
    for mark in chain(_outer_marks(text), [None]):
        rule = text[start : mark.start() if mark else None]
        rule = rule.replace("<!--", " ").replace("-->", " ").strip()
        is_at_rule = rule.startswith("@")
        if mark and mark[0] == ";" and not is_at_rule:
            continue
        if "{" in rule and not is_at_rule:
            yield rule
        start = mark.end() if mark else start
