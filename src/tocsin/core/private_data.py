"""What secrets and personal data look like: what logs mask, and what is looked for in rows.

Logs mask by PRIVATE, which would rather hide too much. Rows are searched with SECRETS and PERSONAL, few and precise:
what has a checksum is checked, and documented example values do not count.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

PRIVATE = (
    (re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), "[email]"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"), "[ip]"),
    (
        re.compile(
            r"(?i)(?<![\w:])(?:(?:[0-9a-f]{1,4}:){7}|(?:[0-9a-f]{1,4}:){0,6}(?::[0-9a-f]{1,4}){0,6}:)"
            r"[0-9a-f]{1,4}(?![\w:])"
        ),
        "[ip]",
    ),
    (re.compile(r"(?i)\b(bearer|token|password|secret|api[_-]?key)\b(\s*[=:]?\s*)\S+"), r"\1\2[secret]"),
    (
        re.compile(r"\b(?:eyJ[\w-]+\.[\w-]+\.[\w-]*|gh[pousr]_\w{16,}|AKIA[0-9A-Z]{16}|hf_\w{16,})"),
        "[secret]",
    ),
)
"""Expression -> what is written in the place of what matches."""

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Country -> characters of an IBAN. Source: SWIFT, "IBAN Registry"."""
CARD_LENGTHS = {"2": 16, "3": 15, "4": 16, "5": 16, "6": 16}
"""First digit of a payment card -> digits. Source: ISO/IEC 7812 and the issuers' ranges."""


def _always(_: str) -> bool:
    return True


def is_card(text: str) -> bool:
    """Tell whether digits are a payment card number: issuer's range, length, and the Luhn checksum."""
    digits = [int(c) for c in text if c.isdigit()]
    if len(digits) != CARD_LENGTHS.get(str(digits[0])) or len(set(digits)) < 2:
        return False
    if digits[0] == 3 and digits[1] not in (4, 7):
        return False
    return sum(sum(divmod(2 * d, 10)) if i % 2 else d for i, d in enumerate(reversed(digits))) % 10 == 0


def is_iban(text: str) -> bool:
    """Tell whether text starts with an IBAN: as long as its country's are, and remainder 1 after division by 97."""
    plain = re.sub(r"\s", "", text)
    length = IBAN_LENGTHS.get(plain[:2], len(plain) + 1)
    if len(plain) < length:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:length] + plain[:4])) % 97 == 1


def is_token(text: str) -> bool:
    """Tell whether text is a JSON web token: its first part is the JSON of a header with an algorithm."""
    head = text.partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(found, dict) and "alg" in found


@dataclass(frozen=True)
class Pattern:
    """One kind of thing that should not be in the rows."""

    kind: str
    expression: re.Pattern[str]
    hint: str
    """A text without it does not match: quicker to look for."""
    check: Callable[[str], bool] = _always

    def find(self, text: str) -> Iterator[str]:
        """Yield what matches and passes its check."""
        if self.hint in text:
            yield from (match[0] for match in self.expression.finditer(text) if self.check(match[0]))


SECRETS = (
    Pattern(
        "AWS key id", re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"), "IA", lambda t: not t.endswith("EXAMPLE")
    ),
    Pattern(
        "private key",
        re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s:,-]{64,}"),
        "PRIVATE KEY",
    ),
    Pattern("JSON web token", re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"), "eyJ", is_token),
    Pattern("GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b"), "gh"),
    Pattern("GitHub token", re.compile(r"\bgithub_pat_\w{82}\b"), "github_pat_"),
    Pattern("Google API key", re.compile(r"\bAIza[\w-]{35}(?![\w-])"), "AIza"),
    Pattern("Slack token", re.compile(r"\bxox[abprs]-\d{8,}-[\w-]{16,}"), "xox"),
    Pattern("Stripe key", re.compile(r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"), "k_live_"),
)
PERSONAL = (
    Pattern(
        "e-mail address",
        re.compile(
            r"\b[\w.+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b"
        ),
        "@",
        lambda t: (
            not re.search(
                r"@(?:.*\.)?(?:example\.\w+|[\w-]+\.(?:example|test|invalid))$|@localhost", t.lower()
            )
        ),
    ),
    Pattern("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), "", is_iban),
    Pattern("payment card", re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-])"), "", is_card),
)


def mask_private(text: str) -> str:
    """Return text as logs may hold it: a word such as `[email]` in the place of all that could be private."""
    for pattern, word in PRIVATE:
        text = pattern.sub(word, text)
    return text


def mask_secrets(text: str) -> str:
    """Return text with `[secret]` in the place of every key and token."""
    for pattern in SECRETS:
        for found in set(pattern.find(text)):
            text = text.replace(found, "[secret]")
    return text


def name_private(text: str) -> Iterator[str]:
    """Yield the kind of each piece of personal or secret data: what logs hide, and what is looked for in rows."""
    for pattern, word in PRIVATE:
        yield from (word.replace(r"\1\2", "") for match in pattern.finditer(text) if _is_value(match, word))
    for precise in (*SECRETS, *PERSONAL):
        yield from (f"[{precise.kind}]" for _ in precise.find(text))


def _is_value(match: re.Match[str], word: str) -> bool:
    """Tell a value from what only looks like one; logs hide both, a message may speak of a password."""
    if word == "[ip]":
        return _is_address(match[0])
    # `password: value` and `password hunter2`, not `password expires`.
    return not word.startswith(r"\1") or bool(match[2].strip()) or any(map(str.isdigit, match[0]))


def _is_address(text: str) -> bool:
    """Tell an address from what only looks like one: `:80`, `999.1.1.1`."""
    try:
        return len(str(ip_address(text))) > 4
    except ValueError:
        return False


def redact(text: str) -> str:
    """Return a secret so that it can be found again, not used: its first letters and its length."""
    return f"{text[:4]}… ({len(text)} characters)"
