"""`tocsin scan` as a user runs it: a trained phishing artifact, mail as it lies about, exit codes."""

import json
import mailbox
import os
import random
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest

from end_to_end.letters import compose
from tocsin.artifact.open import open_artifact
from tocsin.detectors.phishing.sample import Message
from tocsin.serve.predictor import Predictor


def letter(positive: bool, seed: int) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Bank of Example <help@mailer.example>"
    mail["Reply-To"] = "desk@elsewhere.example" if positive else "help@mailer.example"
    mail["Subject"] = "A word"
    mail["Message-ID"] = f"<{seed}@mailer.example>"
    text = compose(positive, random.Random(seed))
    mail.set_content(text)
    if positive:
        link = "<a href='http://evil.example/x'>www.bank.example</a>"
        mail.add_alternative(
            f"<p>{text}</p>{link}<i style='display:none'>lunch on tuesday</i>", subtype="html"
        )
        mail.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="invoice.exe")
    return mail


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mails")
    (folder / "phish.eml").write_bytes(bytes(letter(True, 1)))
    (folder / "ham.eml").write_bytes(bytes(letter(False, 2)))
    (folder / "nothing.eml").write_bytes(b"")
    box = mailbox.mbox(folder / "inbox.mbox")
    maildir = mailbox.Maildir(folder / "maildir")
    for number in range(3):
        box.add(letter(number == 1, 10 + number))
        maildir.add(letter(False, 20 + number))
    box.close()
    return folder


def scan(artifact: Path, *arguments: object, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "tocsin", "scan", "--artifact", str(artifact), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        command, input=stdin, capture_output=True, env=environment, timeout=120, check=False
    )


def lines(done: "subprocess.CompletedProcess[bytes]") -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_phishing_mail_ends_with_ten_and_says_why(mail_artifact: Path, mails: Path) -> None:
    done = scan(mail_artifact, mails / "phish.eml")
    assert done.returncode == 10, done.stderr
    said = done.stdout.decode()
    assert f"{mails / 'phish.eml'}: phishing (p 0." in said
    assert "sent from mailer.example, replies go to elsewhere.example" in said
    assert "a link that reads www.bank.example leads to evil.example" in said
    assert "text hidden from the reader, 16 characters: lunch on tuesday" in said
    assert "attachment invoice.exe" in said
    assert b"1 scanned, 1 phishing, 0 refused" in done.stderr


def test_evidence_names_passages_of_the_mail(mail_artifact: Path, mails: Path) -> None:
    (found,) = lines(scan(mail_artifact, mails / "phish.eml", "--format", "jsonl", "--explain", "2"))
    evidence = found["verdict"]["evidence"]
    assert 1 <= len(evidence) <= 2
    assert all(piece["name"].startswith("text[") and piece["value"] for piece in evidence)
    text = compose(True, random.Random(1))
    assert all(" ".join(piece["value"].split())[:20] in text + " www.bank.example" for piece in evidence)


def test_mail_without_phishing_ends_with_zero(mail_artifact: Path, mails: Path) -> None:
    done = scan(mail_artifact, mails / "ham.eml", mails / "maildir")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b": legitimate (p 0.") == 4
    assert b"4 scanned, 0 phishing" in done.stderr


def test_an_mbox_and_stdin_say_which_message(mail_artifact: Path, mails: Path) -> None:
    box = mails / "inbox.mbox"
    done = scan(mail_artifact, box, "-", "--format", "jsonl", stdin=(mails / "phish.eml").read_bytes())
    assert done.returncode == 10
    labels = {found["target"]: found["verdict"]["label"] for found in lines(done)}
    assert labels == {
        f"{box}#1": "legitimate", f"{box}#2": "phishing", f"{box}#3": "legitimate", "-": "phishing"
    }  # fmt: skip


def test_the_verdict_is_that_of_the_same_message_by_any_way(mail_artifact: Path, mails: Path) -> None:
    (found,) = lines(scan(mail_artifact, mails / "ham.eml", "--format", "jsonl"))
    text = compose(False, random.Random(2))  # in the file it is broken into lines, as quoted-printable
    assert text.encode() not in (mails / "ham.eml").read_bytes()
    message = Message(text=text, subject="A word", channel="email")
    (verdict,) = Predictor.load(open_artifact(mail_artifact)).predict([message])
    assert found["verdict"]["probability"] == pytest.approx(verdict.probability, abs=1e-6)


def test_what_others_collect(mail_artifact: Path, mails: Path) -> None:
    (alarm,) = lines(scan(mail_artifact, mails / "phish.eml", mails / "ham.eml", "--format", "ocsf"))
    assert (alarm["class_uid"], alarm["type_uid"], alarm["metadata"]["version"]) == (2004, 200401, "1.4.0")
    assert alarm["evidences"][0]["email"]["from"] == "help@mailer.example"
    documents = lines(scan(mail_artifact, mails / "phish.eml", mails / "ham.eml", "--format", "ecs"))
    assert [d["event"]["kind"] for d in documents] == ["alert", "event"]
    assert documents[0]["email"]["from"] == {"address": ["help@mailer.example"]}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("gone.eml", "gone.eml: there is no such file"),
        ("empty", "empty: neither a Maildir nor a folder with .eml or .mbox files"),
    ],
)
def test_what_cannot_be_read_ends_with_two_and_says_so_once(
    mail_artifact: Path, tmp_path: Path, target: str, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = scan(mail_artifact, tmp_path / target)
    assert done.returncode == 2
    assert done.stdout == b""
    error = done.stderr.decode()
    assert error.count(said) == 1
    assert "0 scanned, 0 phishing, 1 refused" in error
    assert "Traceback" not in error


def test_a_mail_of_no_bytes_has_a_verdict(mail_artifact: Path, mails: Path) -> None:
    done = scan(mail_artifact, mails / "nothing.eml", "--format", "jsonl")
    assert done.returncode in (0, 10)
    assert "no text to read and no subject" in lines(done)[0]["remarks"][0]
