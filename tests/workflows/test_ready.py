"""`tocsin ready` and `tocsin promote`: what they write, what they seal, whom they refuse."""

import json
import re
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tocsin.artifact.open import open_artifact
from tocsin.artifact.seal import seal
from tocsin.artifact.store import Store
from tocsin.audit.scorecard import Scorecard
from tocsin.core.durable import json_bytes
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.provenance import git_reviewers
from tocsin.workflows.readiness.promotion import promote_artifact
from tocsin.workflows.readiness.ready import ReadyOptions, ReadyResult, check_ready, judge_artifact
from tocsin.workflows.readiness.scoring import decide_gates, know_artifact
from tocsin.workflows.using.stores import Source
from workflows.reference_run import Reference, commit, inside


def quiet(message: str) -> None: ...


def copied(reference: Reference, folder: Path) -> Path:
    """The run in a folder of its own, so that statements beside it stay there."""
    shutil.copytree(reference.path.parent / "models", folder / "models")
    shutil.copytree(reference.path, folder / "artifact")
    return folder / "artifact"


def source(reference: Reference, path: Path, store: Path = Path("store")) -> Source:
    return Source(str(path), store, reference.public_key)


@pytest.fixture(scope="module")
def result(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> ReadyResult:
    path = copied(reference, tmp_path_factory.mktemp("ready"))
    options = ReadyOptions(attest=["M7=Ada Byron:2026-11-20:flows name no person at all"])
    with inside(reference.folder):
        return check_ready(source(reference, path), options, None, quiet)


def test_a_healthy_run_is_ready_at_the_default_bar(result: ReadyResult) -> None:
    assert result.shortfalls == ()
    assert result.scorecard.final >= result.bar == 2.0


def test_every_line_names_command_commit_and_duration(result: ReadyResult, reference: Reference) -> None:
    head = open_artifact(reference.path).manifest.provenance.git_commit
    for line in result.scorecard.lines:
        assert line.command.startswith("tocsin ready")
        assert line.commit == head
        assert line.duration_seconds >= 0
    assert max(line.duration_seconds for line in result.scorecard.lines) > 0.01


def test_every_hash_is_that_of_the_file(result: ReadyResult, reference: Reference) -> None:
    assert result.folder is not None
    sealed = open_artifact(reference.path).files
    seen = 0
    for line in result.scorecard.lines:
        for evidence in line.evidence:
            inside_artifact = evidence.file.startswith("artifact/")
            name = evidence.file.removeprefix("artifact/")
            content = sealed[name] if inside_artifact else (result.folder / evidence.file).read_bytes()
            assert sha256(content).hexdigest() == evidence.sha256, evidence.file
            seen += 1
    assert seen > 20


def test_what_passed_or_is_attested_shows_a_file(result: ReadyResult) -> None:
    bare = [x.id for x in result.scorecard.lines if x.status in ("passed", "attested") and not x.evidence]
    assert bare == []


def test_the_scorecard_is_written_as_it_is(result: ReadyResult) -> None:
    assert result.folder is not None
    assert Scorecard.model_validate_json((result.folder / "scorecard.json").read_bytes()) == result.scorecard


def test_the_page_stands_alone_and_opens_every_line(result: ReadyResult) -> None:
    assert result.folder is not None
    page = (result.folder / "ready.html").read_text()
    assert not re.search(r"(src|href|action)\s*=|url\(|@import", page)
    assert not re.search(r"<(script|link|img|iframe)", page)
    assert page.count("<details") == len(result.scorecard.lines)
    for line in result.scorecard.lines:
        assert f"<b>{line.id}</b>" in page
    assert "flows name no person at all" in page


def test_a_statement_stays_beside_its_artifact_and_counts_for_no_other(
    result: ReadyResult, reference: Reference, tmp_path: Path
) -> None:
    assert result.folder is not None
    artifact = result.folder.with_name("artifact")
    line = next(x for x in result.scorecard.lines if x.id == "M7")
    assert (line.status, line.score) == ("attested", 0.5)
    again = check_ready(source(reference, artifact), ReadyOptions(), tmp_path / "again", quiet).scorecard
    assert next(x for x in again.lines if x.id == "M7").status == "attested"
    other = copied(reference, tmp_path / "other")
    shutil.copy(f"{artifact}.attestations.json", f"{other}.attestations.json")
    resealed = reseal(other, tmp_path / "other" / "resealed")
    shutil.copy(f"{artifact}.attestations.json", f"{resealed}.attestations.json")
    found = check_ready(Source(str(resealed), tmp_path), ReadyOptions(), None, quiet).scorecard
    assert next(x for x in found.lines if x.id == "M7").status == "not yet"


def reseal(path: Path, target: Path, **changes: object) -> Path:
    """Seal the content again, unsigned, with another manifest."""
    artifact = open_artifact(path)
    names = artifact.files.keys() - {"manifest.json", "manifest.sig", "model_metadata.json"}
    changed = artifact.manifest.model_copy(update={"version": "2", **changes})
    seal(target, changed, {name: artifact.files[name] for name in names})
    return target


def test_training_seals_what_it_knows(reference: Reference) -> None:
    files = open_artifact(reference.path).files
    sealed = Scorecard.model_validate_json(files["scorecard.json"])
    status = {line.id: line.status for line in sealed.lines}
    assert sealed.artifact is None
    for name in (
        "D1",
        "D4",
        "M1",
        "M5",
        "M6",
        "I4",
        "O3",
        "P63",
        "P64",
        "C29",
        "C31",
        "D24-card",
        "D24-pinned",
    ):
        assert status[name] == "passed", name
    for name in ("D2", "D3", "I5", "I7", "O5", "P65", "M2", "I6", "O2"):
        assert status[name] == "not yet", name
    for line in sealed.lines:
        for evidence in line.evidence:
            content = files[evidence.file.removeprefix("artifact/")]
            assert sha256(content).hexdigest() == evidence.sha256


def test_a_ready_artifact_is_promoted(reference: Reference, tmp_path: Path) -> None:
    said = promote_artifact(source(reference, reference.path, tmp_path), "champion", ReadyOptions(), quiet)
    assert "intrusion@champion is now version 1" in said
    assert Store(tmp_path).aliases("intrusion") == {"champion": 1}


def test_what_is_not_ready_is_refused_by_the_names_of_its_lines(reference: Reference, tmp_path: Path) -> None:
    provenance = open_artifact(reference.path).manifest.provenance
    dirty = reseal(
        reference.path, tmp_path / "dirty", provenance=provenance.model_copy(update={"git_dirty": True})
    )
    given = Source(str(dirty), tmp_path / "store")
    with pytest.raises(CheckFailed, match=r"M1 .*no commit.*D24-signed"):
        promote_artifact(given, "champion", ReadyOptions(), quiet)
    assert not (tmp_path / "store").exists()
    said = promote_artifact(given, "champion", ReadyOptions(bar=0.0), quiet)
    assert "readiness was not asked for" in said


def test_a_higher_bar_names_what_is_open(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(
        CheckFailed, match=r"section monitoring scores 2, below the bar of 3; not yet: O1, O2"
    ):
        promote_artifact(
            source(reference, reference.path, tmp_path), "champion", ReadyOptions(bar=3.0), quiet
        )


def test_a_damaged_artifact_is_not_judged(reference: Reference, tmp_path: Path) -> None:
    path = copied(reference, tmp_path)
    (path / "evaluation.json").write_text("{}")
    with pytest.raises(InputError, match=r"evaluation\.json"):
        check_ready(source(reference, path), ReadyOptions(), None, quiet)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("X9=file", "write ID=FILE with one of D7, I1, I2, I3, I4, O1"),
        ("O1", "write ID=FILE"),
        ("O1=nothing-here.json", "O1: nothing-here.json is not a report"),
        ("D7={recipe}", "D7: .* is not a report of `coverage json`"),
        ("I2={recipe}", "I2: .* is not a JUnit report"),
        ("I1={recipe}", "an artifact is a folder"),
    ],
)
def test_evidence_that_is_none_is_refused(reference: Reference, given: str, complaint: str) -> None:
    text = given.format(recipe=reference.folder / "recipe.yaml")
    with pytest.raises(InputError, match=complaint):
        check_ready(source(reference, reference.path), ReadyOptions(evidence=[text]), None, quiet)


def test_rows_that_it_was_trained_on_prove_no_benefit(reference: Reference, tmp_path: Path) -> None:
    """Given the whole file only the test rows are used; given another of its name it says what it cannot know."""
    part = tmp_path / reference.data.name
    part.write_text("\n".join(reference.data.read_text().splitlines()[:900]) + "\n")
    for data, note in (
        (reference.data, "only its test rows are used"),
        (part, "trained on a file of the same name"),
    ):
        options = ReadyOptions(data=[str(data)])
        known, _, result = judge_artifact(source(reference, reference.path), options, quiet)
        (line,) = (line for line in result.scorecard.lines if line.id == "D2")
        assert note in line.message
        if data == reference.data:
            assert 0 < line.facts["rows"] <= known.evaluation["split"]["rows"]["test"]


def test_unlabelled_data_prove_no_benefit(reference: Reference, tmp_path: Path) -> None:
    lines = reference.data.read_text().splitlines()
    place = lines[0].split(",").index("label")
    bare = [",".join(cell for i, cell in enumerate(text.split(",")) if i != place) for text in lines[:400]]
    file = tmp_path / "bare.csv"
    file.write_text("\n".join(bare) + "\n")
    with pytest.raises(InputError, match="label"):
        check_ready(source(reference, reference.path), ReadyOptions(data=[str(file)]), tmp_path, quiet)


def test_reviewers_are_those_of_the_commit(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    commit(
        tmp_path, "Something\n\nReviewed-by: Grace Hopper <g@example.org>\nSigned-off-by: Ada <a@example.org>"
    )
    head = (tmp_path / ".git" / "refs" / "heads").iterdir().__next__().read_text().strip()
    assert git_reviewers(head, tmp_path) == ["Grace Hopper"]
    assert git_reviewers("0" * 40, tmp_path) == []
    assert git_reviewers(f"--output={tmp_path / 'b'}", tmp_path) == []
    assert not (tmp_path / "b").exists()


def test_without_a_review_a_specification_earns_half(reference: Reference, tmp_path: Path) -> None:
    """Outside the repository nobody's review is known."""
    with inside(tmp_path):
        card = check_ready(
            source(reference, reference.path), ReadyOptions(), tmp_path / "out", quiet
        ).scorecard
    line = next(x for x in card.lines if x.id == "M1")
    assert (line.status, line.score) == ("passed", 0.5)
    assert replace(ReadyOptions(), bar=1.0).bar == 1.0


def test_an_audit_of_another_version_is_named_before_anything_is_measured(
    reference: Reference, tmp_path: Path
) -> None:
    """One key that this version does not know: as an older or a newer tocsin would have sealed it."""
    whole = reference.artifact()
    files = {
        n: c
        for n, c in whole.files.items()
        if n not in ("manifest.json", "manifest.sig", "model_metadata.json")
    }
    told: list[str] = []
    for name, other in (("same", {}), ("old", {"leak_meter": None})):
        audit = json.loads(files["audit.json"]) | other
        seal(tmp_path / name, whole.manifest, files | {"audit.json": json_bytes(audit)})
    known = know_artifact(open_artifact(tmp_path / "same"), {})
    assert len(decide_gates(known)) == 10
    with pytest.raises(
        InputError, match=r"reference: audit\.json was sealed by another version.*leak_meter"
    ) as error:
        check_ready(
            Source(str(tmp_path / "old"), tmp_path / "store"), ReadyOptions(), tmp_path / "out", told.append
        )
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    assert not told
    assert not (tmp_path / "out").exists()
