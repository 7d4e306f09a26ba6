"""Formats of `tocsin scan`: found by their files, with a beginning, an addition for each target, and an end."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from tocsin.cli.app import app
from tocsin.core.detector import Target
from tocsin.core.errors import InputError
from tocsin.core.types import Place, Verdict
from tocsin.workflows.using import writers
from tocsin.workflows.using.scanned import Scanned
from tocsin.workflows.using.writer import load_writer, write

SARIF_LIKE = """
from tocsin.workflows.using.writer import Writer


class Report(Writer):
    def begin(self):
        self.results = []
        return (("note", "begins"),)

    def add(self, scanned):
        self.results.append({"message": scanned.sentence()})
        return ()

    def end(self):
        return (("document", {"results": self.results, "positive": self.scan.positive}),)


WRITER = Report
"""


def counting(positive: int = 0, targets: int = 0, refused: int = 0) -> Any:
    """A scan that has counted, with a detector whose positives are called `phishing`."""
    manifest = SimpleNamespace(calibrated=SimpleNamespace(positive="phishing"))
    artifact = SimpleNamespace(digest="d" * 64, manifest=manifest)
    predictor = SimpleNamespace(artifact=artifact, detector=SimpleNamespace(name="phishing"))
    is_positive = lambda s: s.verdict is not None and s.verdict.label == "phishing"  # noqa: E731
    counts = {"positive": positive, "targets": targets, "refused": refused}
    return SimpleNamespace(predictor=predictor, is_positive=is_positive, **counts)


def found(label: str, where: str) -> Scanned:
    verdict = Verdict(label=label, probability=0.9, threshold=0.5, artifact="d" * 64)
    return Scanned(Target(Place(where=where), {"text": "x"}, remarks=("odd",)), verdict)


RESULTS = [
    found("phishing", "a.eml"),
    found("legitimate", "b.eml"),
    Scanned(Target(Place(where="c"), {}), None, "gone"),
]
PRINTED = {
    "table": ["line", "line", "line", "line", "note", "note"],
    "jsonl": ["record", "record", "record"],
    "json": ["document"],
    "ocsf": ["record", "note"],
    "ecs": ["record", "record", "note"],
}


def test_every_file_is_a_format() -> None:
    files = {path.stem for path in Path(writers.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == PRINTED.keys()


@pytest.mark.parametrize("name", PRINTED)
def test_each_format_writes_what_it_promises(name: str) -> None:
    pieces = list(write(load_writer(name)(counting(1, 3, 1)), RESULTS))
    assert [kind for kind, _ in pieces] == PRINTED[name]
    shown = json.dumps([content for _, content in pieces])
    assert "a.eml" in shown
    assert "gone" in shown, "what could not be read is told"
    assert ("b.eml" in shown) == (name != "ocsf"), "only what is positive is an OCSF finding"


@pytest.mark.parametrize("name", sorted(PRINTED.keys() - {"json"}))
def test_what_can_be_written_is_written_before_the_next_target_is_read(name: str) -> None:
    """A scan of a mailbox is watched, and takes bounded memory."""
    read: list[str] = []

    def targets() -> Iterator[Scanned]:
        for scanned in RESULTS:
            read.append(scanned.name)
            yield scanned

    pieces = write(load_writer(name)(counting()), targets())
    next(pieces)
    assert read == ["a.eml"]


def test_a_new_file_is_a_new_format_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One document with a beginning and an end, as SARIF is."""
    (tmp_path / "sarif_like.py").write_text(SARIF_LIKE)
    monkeypatch.setattr(writers, "__path__", [*writers.__path__, str(tmp_path)])
    pieces = list(write(load_writer("sarif-like")(counting(1)), RESULTS[:2]))
    said = [
        f"{label}: {name} (probability 0.9000)"
        for label, name in (("phishing", "a.eml"), ("legitimate", "b.eml"))
    ]
    assert pieces == [
        ("note", "begins"),
        ("document", {"results": [{"message": text} for text in said], "positive": 1}),
    ]
    with pytest.raises(InputError, match=r"no format 'sarif-lik'; did you mean 'sarif-like'\?"):
        load_writer("sarif-lik")


def test_an_unknown_format_names_the_nearest_and_all() -> None:
    with pytest.raises(
        InputError, match=r"no format 'ocfs'; did you mean 'ocsf'\? \(there are: ecs, json, jsonl, "
    ):
        load_writer("ocfs")


def test_help_lists_the_formats_that_there_are() -> None:
    done = CliRunner().invoke(app, ["scan", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0
    assert f"one of {', '.join(sorted(PRINTED))}" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
