"""`tocsin scan` on mail, with a detector whose answers are known."""

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import tocsin.detectors
from serve.toys import post, quiet, toy_artifact
from tocsin.artifact.manifest import GOLDEN, ONNX, TensorSpec
from tocsin.artifact.open import Artifact
from tocsin.cli.app import app
from tocsin.core.detector import Target
from tocsin.core.encoder import Calibration
from tocsin.core.errors import InputError
from tocsin.core.types import Place, Verdict
from tocsin.detectors.phishing.mail import parse_mail, to_sample
from tocsin.detectors.phishing.mailbox import MOST_HIDDEN, read_mail, target
from tocsin.serve.app import create_app
from tocsin.serve.predictor import Predictor
from tocsin.serve.service import Offer
from tocsin.workflows.using import scan as scanning
from tocsin.workflows.using.scan import Scan
from tocsin.workflows.using.scanned import Scanned
from tocsin.workflows.using.stores import Source
from tocsin.workflows.using.writers.ecs import ecs_document
from tocsin.workflows.using.writers.ocsf import ocsf_finding

PLUGINS = str(Path(__file__).parent / "plugins")
if PLUGINS not in tocsin.detectors.__path__:
    tocsin.detectors.__path__.append(PLUGINS)

PHISH = (
    b"From: a@evil.example\nReply-To: b@other.example\nSubject: act\nContent-Type: text/html\n\n"
    b"<p>your password, password</p><a href='http://evil.example'>bank.example</a><i hidden>meeting meeting</i>\n"
)
HAM = b"From: a@corp.example\nSubject: agenda\n\nthe meeting\n"
DOUBT = b"From: a@corp.example\n\nboth password and meeting\n"


def artifact(name: str = "mailtoy") -> Artifact:
    """logit = 2 * password - 2 * meeting."""
    nodes = [helper.make_node("MatMul", ["counts", "w"], ["logit"])]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "mail", [value("counts", TensorProto.FLOAT, ["rows", 2])], [value("logit", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(np.array([2.0, -2.0], np.float32), "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    golden = json.dumps({"sample": {"text": "password"}, "outputs": {"logit": 2.0}}).encode() + b"\n"
    return toy_artifact(
        {ONNX: model.SerializeToString(), GOLDEN: golden},
        detector=name, name=name, sample="note",
        inputs=(TensorSpec(name="counts", dtype="float32", shape=(None, 2)),),
        outputs=(TensorSpec(name="logit", dtype="float32", shape=(None,)),),
        calibration=Calibration("phishing", "legitimate", (), 1.0, 0.6, 0.4),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    predictor = Predictor.load(artifact())
    monkeypatch.setattr(Source, "predictor", lambda self: predictor)
    return predictor


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    for name, raw in (("phish.eml", PHISH), ("ham.eml", HAM), ("doubt.eml", DOUBT)):
        (tmp_path / name).write_bytes(raw)
    return tmp_path


def scan(*arguments: object, stdin: bytes = b"") -> Any:
    command = ["scan", "--artifact", "mailtoy@champion", *map(str, arguments)]
    return CliRunner().invoke(app, command, input=stdin, env={"COLUMNS": "300"})


def test_a_positive_ends_with_ten_and_shows_why(mails: Path) -> None:
    done = scan(mails / "ham.eml", mails / "phish.eml")
    assert done.exit_code == 10
    lines = done.stdout.splitlines()
    assert lines[0] == f"{mails}/ham.eml: legitimate (p 0.1192, threshold 0.6000)"
    assert lines[1].startswith(f"{mails}/phish.eml: phishing (p 0.9820")
    assert lines[2] == "    +4.00  password"
    assert "sent from evil.example, replies go to other.example" in done.stdout
    assert "a link that reads bank.example leads to evil.example" in done.stdout
    assert "text hidden from the reader, 15 characters: meeting meeting" in done.stdout
    assert "2 scanned, 1 phishing, 0 refused" in done.stderr


def test_a_negative_shows_its_worst_remark_only(tmp_path: Path) -> None:
    raw = PHISH.replace(b"your password, password", b"the meeting")
    (tmp_path / "x.eml").write_bytes(raw)
    done = scan(tmp_path)
    assert done.exit_code == 0
    said = done.stdout.splitlines()[1:]
    assert said == ["       !  a link that reads bank.example leads to evil.example"]
    assert len(json.loads(scan(tmp_path, "--json").stdout)["targets"][0]["remarks"]) == 3


def test_no_positive_ends_with_zero(mails: Path) -> None:
    assert scan(mails / "ham.eml").exit_code == 0
    done = scan(mails / "doubt.eml")
    assert done.exit_code == 0
    assert "for a person to decide" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.eml"], "1 of 1"),
        ([".", "--format", "xml"], "no format 'xml'"),
        (["--format", "ocsf", "empty"], "1 of 1"),
    ],
)
def test_bad_input_ends_with_two(arguments: list[str], said: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = scan(*arguments)
    assert isinstance(done.exception, InputError)  # main() prints it and exits with 2
    assert done.exception.exit_code == 2
    assert said in str(done.exception)


def test_a_positive_counts_more_than_what_could_not_be_read(mails: Path) -> None:
    done = scan(mails / "phish.eml", mails / "none.eml")
    assert done.exit_code == 10
    assert "there is no such file" in done.stderr


def test_stdin_is_read(mails: Path) -> None:
    done = scan("-", "--format", "jsonl", stdin=PHISH)
    assert done.exit_code == 10
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["target"] == "-"
    box = b"".join(b"From a@b Mon Jan  1 00:00:00 2024\n" + raw + b"\n" for raw in (HAM, PHISH))
    names = [
        json.loads(line)["target"] for line in scan("-", "--format", "jsonl", stdin=box).stdout.splitlines()
    ]
    assert names == ["-#1", "-#2"]


def test_one_document_holds_everything(mails: Path) -> None:
    done = scan(mails, mails / "gone", "--json", "--explain", "1")
    content = json.loads(done.stdout)
    assert (content["positive"], content["refused"], len(content["targets"])) == (1, 1, 4)
    found = {Path(t["target"]).name: t for t in content["targets"]}
    assert found["phish.eml"]["verdict"]["evidence"][0]["name"] == "password"
    assert found["phish.eml"]["facts"]["hidden_text"] == "meeting meeting"
    assert found["ham.eml"]["verdict"]["evidence"] == []
    assert "no such file" in found["gone"]["error"]
    assert done.exit_code == 10


def test_the_probability_is_that_of_the_route(mails: Path) -> None:
    raws = {"phish": PHISH, "ham": HAM, "doubt": DOUBT}
    samples = [to_sample(parse_mail(raw)) for raw in raws.values()]
    body = [{k: v for k, v in sample.items() if k != "sender_domain"} for sample in samples]
    verdicts = post(body, "/v1/mailtoy/predict", create_app([Offer(artifact())], quiet())).json()["verdicts"]
    served = {name: verdict["probability"] for name, verdict in zip(raws, verdicts, strict=True)}
    targets = json.loads(scan(mails, "--json").stdout)["targets"]
    assert {Path(t["target"]).stem: t["verdict"]["probability"] for t in targets} == served


def test_a_sample_that_does_not_fit_is_refused_and_the_rest_goes_on(
    mails: Path, loaded: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(_source: object) -> Iterator[Target]:
        yield Target(Place(where="empty"), {"text": ""})
        yield Target(Place(where="good"), {"text": "password", "sender_domain": "left out"})

    monkeypatch.setattr(scanning, "resolve", lambda _reference: reader)
    run = Scan(Source("x", mails), ["any"])
    found = list(run.results())
    assert (run.targets, run.positive, run.refused) == (2, 1, 1)
    assert found[0].reason.startswith("text: ")


def test_a_detector_without_a_reader_says_so(
    mails: Path, loaded: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = replace(loaded, detector=replace(loaded.detector, scan=None))
    monkeypatch.setattr(Source, "predictor", lambda self: silent)
    assert "reads no raw files" in str(scan(mails).exception)


def test_what_a_mail_says_does_not_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.eml").write_bytes(
        b"From: a\nContent-Type: text/html\n\npassword<i hidden>x\x1b[31mx</i>"
    )
    assert "\x1b" not in scan(tmp_path).stdout


# ---- what is read


def test_an_mbox_is_split_at_its_separators_only(tmp_path: Path) -> None:
    box = tmp_path / "inbox"
    one = (
        b"From a@b Mon Jan  1 10:00:00 2024\nSubject: 1\n\ntext\n\nFrom here on it is easy\n>From quoted\n\n"
    )
    box.write_bytes(one + b"From a@b Mon Jan  1 10:00:01 2024\nSubject: 2\n\nlast\n")
    found = list(read_mail(box))
    assert [str(t.place) for t in found] == [f"{box}#1", f"{box}#2"]
    assert found[0].fields["text"] == "text\nFrom here on it is easy\nFrom quoted"
    assert found[1].fields["subject"] == "2"


def test_a_maildir_and_a_folder_are_read(tmp_path: Path) -> None:
    for part in ("new", "cur", "tmp"):
        (tmp_path / part).mkdir()
        (tmp_path / part / f"1.{part}:2,S").write_bytes(HAM)
    assert [Path(t.place.where).name for t in read_mail(tmp_path)] == ["1.cur:2,S", "1.new:2,S"]
    (tmp_path / "x.eml").write_bytes(b"From a@b Mon Jan  1 10:00:00 2024\n" + HAM)
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "x.eml").rename(folder / "x.eml")
    assert [t.fields["text"] for t in read_mail(folder)] == ["the meeting"]


def test_a_file_that_cannot_be_read_does_not_hide_the_others(mails: Path) -> None:
    found = read_mail(mails)
    assert Path(next(found).place.where).name == "doubt.eml"
    (mails / "ham.eml").unlink()
    assert Path(next(found).place.where).name == "phish.eml"
    with pytest.raises(InputError, match=r"ham\.eml: cannot be read: No such file"):
        next(found)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cur").mkdir()

    def refuse(self: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="cur: cannot be read: Permission denied"):
        list(read_mail(tmp_path))


PIECES = [
    b"From a@b Mon Jan  1 10:00:00 2024\n",
    b"From me\n",
    b">From me\n",
    b"\n",
    b"\r\n",
    b"x",
    b"\x00",
    b"Subject: s\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_stream_is_read_as_mail(pieces: list[bytes]) -> None:
    """Each separator after a blank line begins a message, where the first line is one; else all is one message."""
    raw = b"".join(pieces)
    found = list(read_mail(BytesIO(raw)))
    lines = raw.splitlines(keepends=True)
    begins = [
        place == 0 or lines[place - 1] in (b"\n", b"\r\n")
        for place, line in enumerate(lines)
        if line.startswith(PIECES[0])
    ]
    is_box = raw.startswith(PIECES[0])
    assert len(found) == (sum(begins) if is_box else 1)
    assert all(target.fields["text"] for target in found)


def test_a_long_message_of_a_mailbox_does_not_take_its_memory(tmp_path: Path) -> None:
    box = tmp_path / "x.mbox"
    separator = b"From a@b Mon Jan  1 10:00:00 2024\n"
    box.write_bytes(separator + b"\n" + b"words\n" * 800_000 + b"\n\n" + separator + HAM)
    tracemalloc.start()
    first, second = read_mail(box)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20
    assert "cut after 4,194,304 bytes" in first.remarks
    assert second.fields["text"] == "the meeting"


def test_facts_are_json_and_bounded() -> None:
    found = target("x", b"Content-Type: text/html\n\n<i hidden>" + b"ham " * 9_000)
    assert len(json.dumps(found.facts)) < 3_000 + MOST_HIDDEN
    assert found.facts["hidden_characters"] == 35_999
    assert read_mail(BytesIO(b"")) is not None
    assert next(iter(read_mail(BytesIO(b"")))).fields["text"] == "(no text)"


# ---- schemas of others: kept by hand from ocsf-schema 1.4.0 (detection_finding and its objects) and ECS 8.17

OCSF_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "activity_id": int, "category_uid": int, "class_uid": int, "type_uid": int, "severity_id": int, "time": int,
    "finding_info": dict, "finding_info.uid": str, "finding_info.title": str,
    "finding_info.analytic.type_id": int, "metadata": dict, "metadata.version": str, "metadata.product": dict,
    "metadata.product.name": str, "metadata.product.vendor_name": str,
}  # fmt: skip
OCSF_KNOWN = {
    "activity_id", "activity_name", "category_uid", "category_name", "class_uid", "class_name", "type_uid",
    "type_name", "time", "severity_id", "severity", "status_id", "status", "is_alert", "confidence_score", "message",
    "finding_info.uid", "finding_info.title", "finding_info.created_time", "finding_info.types",
    "finding_info.analytic.name", "finding_info.analytic.type", "finding_info.analytic.type_id",
    "finding_info.analytic.uid", "metadata.version", "metadata.product.name", "metadata.product.vendor_name",
    "metadata.product.version", "evidences.data", "evidences.email.from", "evidences.email.subject",
    "evidences.email.message_uid",
}  # fmt: skip
OCSF_ENUMS = {"activity_id": range(4), "severity_id": range(7), "status_id": range(7)}
ECS_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "@timestamp": str, "ecs": dict, "ecs.version": str, "event.kind": str, "event.category": list, "event.type": list,
    "event.module": str, "event.dataset": str, "event.risk_score": float, "message": str,
    "rule.name": str, "rule.id": str,
}  # fmt: skip
ECS_KNOWN = {
    "@timestamp", "ecs.version", "message", "event.id", "event.kind", "event.category", "event.type", "event.module",
    "event.dataset", "event.provider", "event.risk_score", "rule.name", "rule.id", "rule.ruleset",
    "tocsin", "email.subject", "email.message_id", "email.from.address", "email.reply_to.address",
    "email.attachments.file.name", "email.attachments.file.mime_type", "email.attachments.file.size",
}  # fmt: skip
ECS_EMAIL = {
    "subject": str, "message_id": str, "from": dict, "from.address": list, "reply_to.address": list,
    "attachments": list,
}  # fmt: skip
ECS_CATEGORIES = {
    "api", "authentication", "configuration", "database", "driver", "email", "file", "host", "iam",
    "intrusion_detection", "library", "malware", "network", "package", "process", "registry", "session", "threat",
    "vulnerability", "web",
}  # fmt: skip
OWN = ("evidences.data", "tocsin")
"""Objects whose content is ours: no schema says what is in them."""


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every field; the elements of a list have that of the list."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from paths(item, path)
    elif isinstance(value, dict) and path not in OWN:
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}" if path else key)
    else:
        yield path


def faults(document: dict[str, Any], required: dict[str, Any]) -> list[str]:
    """Name the required fields that are missing or of another type."""
    found = []
    for path, kind in required.items():
        value: Any = document
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            found.append(path)
    return found


def test_ocsf_findings_have_what_the_schema_requires(mails: Path) -> None:
    done = scan(mails, "--format", "ocsf")
    (line,) = done.stdout.splitlines()  # what is not positive is no finding
    document = json.loads(line)
    assert faults(document, OCSF_REQUIRED) == []
    assert all(document[name] in allowed for name, allowed in OCSF_ENUMS.items())
    assert document["class_uid"] == 2004
    assert document["type_uid"] == document["class_uid"] * 100 + document["activity_id"]
    assert document["category_uid"] == document["class_uid"] // 1000
    assert all("data" in evidence for evidence in document["evidences"])
    assert set(paths(document)) <= OCSF_KNOWN
    assert abs(document["time"] / 1000 - datetime.now(UTC).timestamp()) < 3600


def test_ecs_documents_have_what_the_schema_requires(mails: Path) -> None:
    documents = [json.loads(line) for line in scan(mails, "--format", "ecs").stdout.splitlines()]
    assert sorted(d["event"]["kind"] for d in documents) == ["alert", "event", "event"]
    for document in documents:
        assert faults(document, ECS_REQUIRED) == []
        assert set(paths(document)) <= ECS_KNOWN
        assert set(document["event"]["category"]) <= ECS_CATEGORIES
        datetime.fromisoformat(document["@timestamp"])
    alert = next(d for d in documents if d["event"]["kind"] == "alert")
    assert (
        faults(alert["email"], {k: v for k, v in ECS_EMAIL.items() if k not in ("message_id", "attachments")})
        == []
    )


def test_a_missing_or_mistyped_field_would_be_noticed() -> None:
    verdict = Verdict(label="phishing", probability=0.9, threshold=0.5, artifact="d" * 64)
    finding = Scanned(Target(Place(where="t"), {"text": "x"}), verdict)
    good, document = ocsf_finding(finding, "mailtoy"), ecs_document(finding, "mailtoy", True)
    assert (faults(good, OCSF_REQUIRED), faults(document, ECS_REQUIRED)) == ([], [])
    assert faults(good | {"time": "now", "metadata": {}}, OCSF_REQUIRED) == [
        "time", "metadata.version", "metadata.product", "metadata.product.name", "metadata.product.vendor_name"
    ]  # fmt: skip
    assert faults(document | {"ecs": {}}, ECS_REQUIRED) == ["ecs.version"]
    other = good | {"alert": True, "evidences": [{"data": {"any": 1}, "mail": {"from": "a"}}]}
    assert set(paths(other)) - OCSF_KNOWN == {"alert", "evidences.mail.from"}
    assert set(paths(document | {"event": {"risk": 1}})) - ECS_KNOWN == {"event.risk"}


@pytest.mark.parametrize(
    ("sender", "held"), [("a@b.example", True), ("phishing@pot", False), ("x@y z.example", False)]
)
def test_only_what_ocsf_takes_for_an_address_is_one(sender: str, held: bool) -> None:
    verdict = Verdict(label="phishing", probability=0.9, threshold=0.5, artifact="d" * 64)
    said = {"email": {"subject": "s", "from": {"address": [sender]}}}
    (evidence,) = ocsf_finding(Scanned(Target(Place(where="t"), {}, ecs=said), verdict), "mailtoy")[
        "evidences"
    ]
    assert evidence.get("email") == ({"from": sender, "subject": "s"} if held else None)


def test_the_same_mail_is_the_same_finding() -> None:
    verdict = Verdict(label="phishing", probability=0.9, threshold=0.5, artifact="d" * 64)
    uids = {Scanned(Target(Place(where=name), {"text": "\ud800"}), verdict).uid for name in ("a", "a", "b")}
    assert len(uids) == 2
