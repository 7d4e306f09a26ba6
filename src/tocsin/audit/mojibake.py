"""Text that was decoded wrongly: UTF-8 read as Windows-1252 or Latin-1."""

import re

_RUN = re.compile(r"[\u00c2-\u00f4][\u0080-\u024f\u02c6\u02dc\u2010-\u203a\u20ac\u2122\u00a0-\u00bf]+")
_PLAUSIBLE = re.compile(
    "^[\u00a0-\u017f\u0386-\u03ce\u0401-\u045f\u2010-\u203a\u20ac\u2122\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7af\uff01-\uff5e\U0001f300-\U0001faff]+$"
)
_CP1252 = {ord(bytes([b]).decode("cp1252", "ignore") or chr(b)): b for b in range(128, 256)} | {
    b: b for b in range(128, 256)
}


def find_mojibake(text: str) -> str | None:
    """Return characters that were decoded wrongly: UTF-8 read as Windows-1252 or Latin-1, or lost for good."""
    if text.isascii():
        return None
    if "\ufffd" in text:
        return "\ufffd"
    return next((match[0] for match in _RUN.finditer(text) if _was_utf8(match[0])), None)


def _was_utf8(run: str) -> bool:
    """Tell whether these characters, as the bytes that they were, are UTF-8 of letters that people write."""
    raw = bytes(_CP1252[ord(c)] for c in run if ord(c) in _CP1252)
    if len(raw) != len(run):
        return False
    try:
        meant = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return _PLAUSIBLE.fullmatch(meant) is not None
