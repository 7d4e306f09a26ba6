"""D5: what is personal or secret in a sealed file, and what only speaks of it."""

from types import SimpleNamespace

import pytest

from tocsin.audit.readiness.data import find_private


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to ada@example.org", ["[email]"]),
        ("from 203.0.113.9 today", ["[ip]"]),
        ("password: hunter2", ["[secret]"]),
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
