"""Folding: what a sender can vary at will is gone, what is said stays."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.detectors.phishing.features.folding import (
    ADDRESS,
    LINK,
    LONG_LINK,
    MANY_PARTS,
    NUMERIC_HOST,
    PLAIN_HTTP,
    SHORTENER,
    USER_PART,
    fold,
)

ANY = st.text(st.characters(), max_size=200)  # lone surrogates too


@given(ANY)
def test_any_unicode_is_folded_and_stays_so_small(text: str) -> None:
    once = fold(text)
    assert len(once) <= 20 * len(text) + 20
    assert not any(unicodedata.category(c) in ("Cs", "Zl", "Zp") for c in once)
    assert "  " not in once
    assert once == once.strip()


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("раypаl", "paypal"),  # Cyrillic р, а
        ("pay\u200bp\u00adal", "paypal"),
        ("ＰａｙＰａｌ", "paypal"),
        ("Pay\n\tPal", "pay pal"),
        ("ver<!-- 7 -->ify <b>now</b>", "verify now"),
        ("&lt;b&gt;pay&lt;/b&gt; &amp; go", "pay & go"),
    ],
)
def test_disguises_fold_to_what_a_reader_sees(disguised: str, plain: str) -> None:
    assert fold(disguised) == fold(plain)


@pytest.mark.parametrize("text", ["привет мир", "ελληνικα γραμματα", "парol"])
def test_words_of_one_alphabet_keep_it(text: str) -> None:
    assert (fold(text) == text) is (text != "парol")


@pytest.mark.parametrize(
    ("link", "marks"),
    [
        ("https://bank.example/a", LINK),
        ("http://bank.example", LINK + PLAIN_HTTP),
        ("https://10.2.3.4/x", LINK + NUMERIC_HOST),
        ("https://bank.example@evil.test/", LINK + USER_PART),
        ("https://a.b-c.d-e.test/", LINK + MANY_PARTS),
        ("bit.ly/x1", LINK + SHORTENER),
        ("https://a.test/" + "x" * 70, LINK + LONG_LINK),
    ],
)
def test_a_link_becomes_its_shape(link: str, marks: str) -> None:
    assert fold(f"see {link} now").startswith(f"see {marks}")
    assert "0" in fold("https://a1.test", links=False)


def test_numbers_addresses_and_masks() -> None:
    assert fold("Call 0712345678, code 42") == "call 00000, code 00"
    assert fold("write to A.B@mail.example") == f"write to {ADDRESS}"
    assert fold("<NUM> <URL> <NAME>") == f"00000 {LINK}"
    assert fold("\ue000\ue001") == "", "a sender cannot write the marks"


@pytest.mark.parametrize(
    "text", ["a" * 4000 + "я", "a." * 2000, "1." * 2000, "<" * 4000, "a@" * 2000, "www." * 1000, "&" * 4000]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.perf_counter()
    fold(text)
    assert time.perf_counter() - start < 1.0
