"""D5: what is personal or secret in a sealed file, and what only speaks of it."""

from types import SimpleNamespace

import pytest

from tocsin.audit.readiness.data import find_private


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to ada@example.org", ["[email]"]),
        ("write to ada@bank.test and bo@firm.se", ["[email]", "[email]", "[e-mail address]"]),
        ("from 203.0.113.9 today", ["[ip]"]),
        ("password: hunter", ["[secret]"]),
        ("password hunter2", ["[secret]"]),
        ("pay to DE89 3704 0044 0532 0130 00", ["[IBAN]"]),
        ("card 4111 1111 1111 1111", ["[payment card]"]),
        ("key AIza" + "b1_-" * 8 + "xyz here", ["[Google API key]"]),
        ("api_key=abcdef", ["[secret]"]),
        ("ghp_0123456789abcdef0123", ["[secret]"]),
        ("your password expires today, the token is a bus token", []),
        ("a key or token -> [secret]", []),
        ("version 1.2.3 at :80", []),
    ],
)
def test_a_value_is_found_and_a_word_is_not(text: str, kinds: list[str]) -> None:
    known = SimpleNamespace(golden=[{"text": text}])
    assert list(find_private(known, "golden.jsonl")) == kinds
