"""Bytes of a mail -> text, whatever charset they claim to be in: never an exception, never a lone surrogate."""

import re
from encodings.aliases import aliases

KNOWN = frozenset((
    "ascii", "utf_8", "utf_7", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "big5", "big5hkscs",
    "cp437", "cp850", "cp852", "cp866", "cp874", "cp932", "cp949", "cp950", "cp1250", "cp1251",
    "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "euc_jp", "euc_kr", "gb2312",
    "gbk", "gb18030", "hz", "iso2022_jp", "iso2022_jp_2", "iso2022_kr", "iso8859_2",
    "iso8859_3", "iso8859_4", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8", "iso8859_9",
    "iso8859_10", "iso8859_13", "iso8859_14", "iso8859_15", "iso8859_16", "johab", "koi8_r", "koi8_u",
    "latin_1", "mac_cyrillic", "mac_roman", "ptcp154", "shift_jis", "tis_620",
))  # fmt: skip
"""Python's names of charsets that mail is written in. A name is looked up here alone, since Python's own look-up
imports a module of that name, keeps it for good, and knows codecs that are none (`idna`, `unicode_escape`)."""

WIDER = {
    "ascii": "cp1252", "latin_1": "cp1252", "iso8859_9": "cp1254",
    "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932",
    "big5": "big5hkscs", "tis_620": "cp874",
}  # fmt: skip
"""Charset -> the larger one that readers use in its place (as browsers do)."""

CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2800\u3164\ud800-\udfff\uffa0\ufffe\uffff]")
"""What no reader sees: controls, lone surrogates, letters that are blank."""
ZERO_WIDTH = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u202a-\u202e\u2060-\u206f\ufeff"
    r"\U000e0000-\U000e007f]"
)
JOINERS = re.compile(r"(?<![^\x00-\x7f])[\u200c-\u200f]+(?![^\x00-\x7f])")
"""Characters that take no room. Joiners and direction marks count only between characters that need none."""


def codec_of(charset: str | None) -> str | None:
    """Return Python's name of a charset, or None where it is unknown or not one of mail's."""
    if not charset:
        return None
    name = re.sub(r"[^a-z0-9]+", "_", charset.lower()).strip("_")[:40]
    found = aliases.get(name, name)
    found = {"utf8": "utf_8", "latin1": "latin_1", "windows_874": "cp874"}.get(found, found)
    return found if found in KNOWN else None


def decode_text(data: bytes, charset: str | None) -> tuple[str, str | None]:
    """Decode bytes; return the text, and what was wrong with the charset if anything was.

    First as claimed, then as UTF-8, then as the claimed charset's wider kin with what is wrong replaced.
    """
    codec = codec_of(charset)
    first = "utf_8" if codec is None or codec == "ascii" else WIDER.get(codec, codec)
    shown = clean(charset or "UTF-8")[:40]
    try:
        return data.decode(first), f"charset {shown!r} is unknown" if charset and codec is None else None
    except ValueError:
        problem = f"bytes that are not {shown}"
    try:
        return data.decode(), problem
    except ValueError:
        return data.decode(WIDER.get(codec, codec) if codec else "cp1252", "replace"), problem


def clean(text: str) -> str:
    """Make spaces of what no reader sees and no terminal should get."""
    return CONTROLS.sub(" ", text)


def strip_zero_width(text: str) -> tuple[str, int]:
    """Take out characters that take no room; return the text and how many they were."""
    kept = JOINERS.sub("", ZERO_WIDTH.sub("", text))
    return kept, len(text) - len(kept)
