"""Where mail lies: a file with one message, an mbox, a Maildir, a folder of files, a stream. What scanning reads."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from tocsin.core.detector import Target
from tocsin.core.errors import InputError
from tocsin.core.types import Place
from tocsin.detectors.phishing.mail import BUDGET, Mail, parse_mail, to_sample

SINGLE = frozenset((".eml", ".emlx", ".mht", ".mhtml"))
MANY = frozenset((".mbox", ".mbx"))
MOST_HIDDEN = 2_000
"""Characters of hidden text among the facts."""
FAILED = frozenset(("fail", "softfail", "permerror", "hardfail"))
RISKY = frozenset((
    "apk", "bat", "chm", "cmd", "com", "docm", "dll", "exe", "hta", "htm", "html", "img", "iso", "jar",
    "js", "jse", "lnk", "msi", "ps1", "rar", "scr", "shtml", "svg", "vbs", "vhd", "wsf", "xlsm", "xll",
    "7z", "zip",
))  # fmt: skip
"""Endings of attachments that carry what phishing carries. None is opened."""

_FROM_LINE = re.compile(rb"From \S+[^\n]{0,60} \d{1,2}:\d\d(?::\d\d)?[^\n]{0,20} \d{4}")
"""An mbox separator has a time and a year; a sentence that begins with `From` seldom does."""


def read_mail(source: Path | BinaryIO) -> Iterator[Target]:
    """Yield every message of a file, a Maildir, another folder, or a stream, one at a time.

    Files that cannot be read do not hide the others: InputError tells of them when the others are through.
    """
    if not isinstance(source, Path):
        yield from _read_stream(source, "-", False)
        return
    failed = []
    try:
        files = _files(source)
    except OSError as error:
        raise InputError(f"{error.filename or source}: cannot be read: {error.strerror}") from error
    for path in files:
        try:
            with path.open("rb") as file:
                yield from _read_stream(file, str(path), path.suffix.lower() in SINGLE)
        except OSError as error:
            failed.append(f"{path}: cannot be read: {error.strerror}")
    if failed:
        more = f"; and {len(failed) - 1} more files" if len(failed) > 1 else ""
        raise InputError(failed[0] + more)


def _files(path: Path) -> list[Path]:
    """Return the files to read, sorted; InputError where there is none."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if not path.is_dir():
        return [path]
    if (path / "cur").is_dir() or (path / "new").is_dir():
        parts = (
            part for name in ("new", "cur") if (path / name).is_dir() for part in (path / name).iterdir()
        )
        return sorted(file for file in parts if file.is_file())
    found = sorted(
        file for file in path.rglob("*") if file.suffix.lower() in SINGLE | MANY and file.is_file()
    )
    if not found:
        raise InputError(f"{path}: neither a Maildir nor a folder with .eml or .mbox files")
    return found


def _read_stream(file: BinaryIO, name: str, is_single: bool) -> Iterator[Target]:
    first = file.readline(_LONGEST)
    if is_single or not _FROM_LINE.match(first):
        yield target(name, first + file.read(BUDGET.size + 1 - len(first)))
        return
    for number, raw in enumerate(_split(file), 1):
        yield target(f"{name}#{number}", raw)


_LONGEST = 1 << 16
"""Bytes that are read at once where a line has no end."""


def _split(file: BinaryIO) -> Iterator[bytes]:
    """Yield the messages of an mbox, its first separator line read already; of a long one what the budget reads."""
    message, is_blank, is_start = bytearray(), False, True
    while line := file.readline(_LONGEST):
        if is_start and is_blank and _FROM_LINE.match(line):
            yield bytes(message)
            message.clear()
        elif len(message) <= BUDGET.size:
            message += line[1:] if is_start and _is_quoted(line) else line
        is_blank, is_start = is_start and line in (b"\n", b"\r\n"), line.endswith(b"\n")
    yield bytes(message)


def _is_quoted(line: bytes) -> bool:
    return line.startswith(b">") and line.lstrip(b">").startswith(b"From ")


def target(name: str, raw: bytes) -> Target:
    """Return one message as a thing to give a verdict on."""
    mail = parse_mail(raw)
    return Target(
        Place(where=name), to_sample(mail), facts(mail), tuple(remarks(mail)), {"email": _ecs(mail)}
    )


def facts(mail: Mail) -> dict[str, Any]:
    """Return what a mail says beside its text, as JSON values."""
    return {
        "subject": mail.subject,
        "from": mail.sender.address if mail.sender else None,
        "from_name": mail.sender.name if mail.sender else None,
        "reply_to": mail.reply_to.address if mail.reply_to else None,
        "message_id": mail.message_id,
        "links": [link._asdict() for link in mail.links],
        "mismatches": [asdict(mismatch) for mismatch in mail.mismatches],
        "attachments": [asdict(attachment) for attachment in mail.attachments],
        "authentication": mail.authentication,
        "hidden_characters": len(mail.hidden_text),
        "hidden_text": mail.hidden_text[:MOST_HIDDEN],
        "zero_width_characters": mail.zero_width,
        "problems": list(mail.problems),
    }


_SAYS = {
    "link": "a link that reads {shown} leads to {actual}",
    "name": "the sender's name says {shown}, the address is at {actual}",
    "reply-to": "sent from {shown}, replies go to {actual}",
    "alternative": "its plain text says something else than what is shown: {actual}",
}
"""The worst first."""


def remarks(mail: Mail) -> Iterator[str]:
    """Yield what is noteworthy about a mail, a sentence each, the worst first."""
    for mismatch in sorted(mail.mismatches, key=lambda mismatch: list(_SAYS).index(mismatch.kind)):
        yield _SAYS[mismatch.kind].format(shown=mismatch.shown, actual=" ".join(mismatch.actual.split()))
    for attachment in mail.attachments:
        if attachment.name and PurePath(attachment.name).suffix.lower()[1:] in RISKY:
            yield f"attachment {attachment.name} ({attachment.type})"
    for method, result in mail.authentication.items():
        if result in FAILED:
            yield f"the receiving server's {method} check: {result}"
    told = [mismatch.actual for mismatch in mail.mismatches if mismatch.kind == "alternative"]
    if any(map(str.isalnum, mail.hidden_text)) and mail.hidden_text[:100] not in told:
        start = " ".join(mail.hidden_text[:80].split())
        yield f"text hidden from the reader, {len(mail.hidden_text):,} characters: {start}"
    if mail.zero_width:
        yield f"characters in the text that take no room: {mail.zero_width:,}"
    if not mail.text:
        yield f"no text to read{'; the subject stands for it' if mail.subject else ' and no subject'}"
    yield from mail.problems


def _ecs(mail: Mail) -> dict[str, Any]:
    found: dict[str, Any] = {"subject": mail.subject, "message_id": mail.message_id}
    for key, mailbox in (("from", mail.sender), ("reply_to", mail.reply_to)):
        if mailbox:
            found[key] = {"address": [mailbox.address]}
    files = [
        {"file": {"mime_type": a.type, "size": a.size} | ({"name": a.name} if a.name else {})}
        for a in mail.attachments
    ]
    return {key: value for key, value in (found | {"attachments": files}).items() if value}
