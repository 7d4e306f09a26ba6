"""Secrets and personal data: what has the form and the checksum is found, what only looks like it is not."""

import base64
import json
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.private_data import PERSONAL, SECRETS, is_card, is_iban, mask_private, mask_secrets, redact

# Put together here, so that no scanner takes this file for a leak.
KEY = "AKIA" + "JQ2B7XEXAMPL3ZWN"
TOKEN = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (
        b'{"alg":"HS256","typ":"JWT"}',
        b'{"sub":"1234567890","name":"x"}',
        b"0123456789abcdef0123456789",
    )
)
PRIVATE = "-----BEGIN RSA PRIVATE " + "KEY-----\n" + "MIIEow" * 20 + "\n-----END RSA PRIVATE KEY-----"


def kinds(text: str) -> set[str]:
    return {p.kind for p in (*SECRETS, *PERSONAL) if any(True for _ in p.find(text))}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"aws_access_key_id = {KEY}", "AWS key id"),
        (PRIVATE, "private key"),
        (f"Authorization: Bearer {TOKEN}", "JSON web token"),
        ("token=gh" + "p_" + "a1B2" * 9, "GitHub token"),
        ("key: AI" + "za" + "Sy0123456789abcdefghijklmnopqrstuvw", "Google API key"),
        ("xo" + "xb-123456789012-abcdefghijklmnopqrst", "Slack token"),
        ("sk_" + "live_" + "0123456789abcdefghijABCD", "Stripe key"),
        ("write to maria.silva@correio.pt today", "e-mail address"),
        ("Konto DE89 3704 0044 0532 0130 00, danke", "IBAN"),
        ("GB82WEST12345698765432", "IBAN"),
        ("card 4111 1111 1111 1111 expires", "payment card"),
        ("3782-822463-10005", "payment card"),
    ],
)
def test_it_is_found(text: str, kind: str):
    assert kinds(text) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",  # the vendor's documented example
        "akia" + "jq2b7xexampl3zwn",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA",
        "-----BEGIN PRIVATE KEY----- is how such a file starts",
        "eyJub3QiOiJhIGhlYWRlciJ9.eyJzdWIiOiIxIn0.AAAAAAAAAAAAAAAAAAAAAAAAAA",  # no algorithm in its header
        "someone@example.com, root@localhost, a@b.test",
        "SELECT @@version; user@host",
        "DE89 3704 0044 0532 0130 01",  # wrong checksum
        "XX89370400440532013000",
        "4111 1111 1111 1112",  # wrong checksum
        "0000 0000 0000 0000",
        "2026-11-21 13:14:15.1234567890123",
        "flow 1234567890123456",
        "",
    ],
)
def test_what_only_looks_like_it_is_not(text: str):
    assert kinds(text) == set()


@given(st.text(alphabet=string.ascii_letters + string.digits + " .,:/_-\n", max_size=300))
def test_ordinary_text_holds_no_secret(text: str):
    assert not kinds(text) & {p.kind for p in SECRETS}


@given(st.integers(0, 10**14 - 1))
def test_one_checksum_in_ten_makes_a_card(middle: int):
    """The oracle: of the ten numbers that differ in the last digit, exactly one is right."""
    found = [is_card(f"4{middle:014d}{last}") for last in range(10)]
    assert sum(found) == 1 or set(f"{middle:014d}") == {"4"}


@given(st.text(alphabet=string.digits, min_size=18, max_size=18))
def test_one_check_pair_makes_an_iban(account: str):
    """The oracle: check digits are 98 minus the remainder of the number with 00 in their place (ISO 7064)."""
    right = 98 - int(account + "1314" + "00") % 97
    assert [n for n in range(2, 99) if is_iban(f"DE{n:02d}{account}")] == [right]


def test_a_secret_is_not_repeated():
    assert redact(KEY) == "AKIA… (20 characters)"
    assert json.dumps(redact(PRIVATE)).count("MIIE") == 0


def test_patterns_find_all_of_a_kind():
    emails = next(p for p in PERSONAL if p.kind == "e-mail address")
    assert list(emails.find("a@b.org and c@d.net")) == ["a@b.org", "c@d.net"]
    assert np.unique([p.kind for p in PERSONAL]).size == len(PERSONAL)


def test_keys_are_masked_and_the_rest_stays():
    text = f"login {KEY} and {KEY}, or write to maria.silva@correio.pt"
    assert mask_secrets(text) == "login [secret] and [secret], or write to maria.silva@correio.pt"


def test_logs_mask_more_than_keys():
    shown = mask_private(f"{KEY} maria.silva@correio.pt 192.0.2.7 token=abc fe80::1 plain")
    assert shown == "[secret] [email] [ip] token=[secret] [ip] plain"
