"""What was read in the wrong encoding is told from letters that people write."""

import pytest

from tocsin.audit.mojibake import find_mojibake


def misread(byte: int, encoding: str) -> str:
    """Return what a browser shows for a byte; Windows-1252 leaves five to Latin-1."""
    return bytes([byte]).decode(encoding, "ignore") or chr(byte)


@pytest.mark.parametrize(
    "text",
    [
        "café com açúcar", "über Straße", "Привет, как дела", "你好，世界", "naïve “quoted” text – with dashes…",
        "price 10 € today", "ελληνικά",
    ],
)  # fmt: skip
def test_mojibake_is_what_was_read_in_the_wrong_encoding(text: str):
    assert find_mojibake(text) is None
    for wrong in ("cp1252", "latin-1"):
        assert find_mojibake("".join(misread(byte, wrong) for byte in text.encode())), wrong


@pytest.mark.parametrize(
    "text",
    [
        "«CAFÉ»",
        "NÃO É",
        "Ärger, Öl, Übung",
        "À bientôt",
        "ÑANDÚ",
        "Þór",
        "Dvořák",
        "İstanbul",
        "日本語",
        "plain",
        "É–È",
    ],
)
def test_capital_letters_with_accents_are_not_mojibake(text: str):
    assert find_mojibake(text) is None


def test_what_was_lost_is_found():
    assert find_mojibake("a \ufffd b") == "\ufffd"
