"""The audit of a recipe: its files, its page, and what several seeds of a fold share."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from end_to_end.command import tocsin
from tocsin.audit.findings import AuditReport
from tocsin.core.durable import json_bytes, write_text
from tocsin.detectors.intrusion.demo import make
from tocsin.workflows.training.audit import audit_fold, audit_recipe
from tocsin.workflows.training.prepare import prepare, resolve_recipe
from workflows.page import Page

RECIPE = """\
detector: intrusion
name: audited
data:
  sample: flow
  train: [{data}]
  max_bad_rows: 0.05
  sources: {{"made-*": {{licence: Apache-2.0, origin: made}}}}
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    data = make(folder, 3, rows=2000)
    write_text(folder / "recipe.yaml", RECIPE.format(data=json.dumps(str(data))))
    return folder


@pytest.fixture(scope="module")
def report(work: Path) -> AuditReport:
    return audit_recipe(work / "recipe.yaml", [f"output={json.dumps(str(work))}"], tell=lambda _: None)


def test_three_files_are_written(work: Path, report: AuditReport):
    folder = work / "audited"
    written = (folder / "audit.json").read_bytes()
    assert written == json_bytes(report)
    assert AuditReport.model_validate_json(written).findings == report.findings
    statistics = json.loads((folder / "stats_report.json").read_text())
    assert {"class_balance", "sequence_length", "missing_values", "language_distribution"} <= set(statistics)
    assert statistics["rows"] == sum(report.rows.values())
    assert (folder / "audit.html").exists()


def test_what_it_says_of_made_data(report: AuditReport):
    found = {(f.severity, f.name): f for f in report.findings}
    assert report.failed == 0
    assert ("warning", "made rows in the test") in found
    assert ("warning", "refused rows") in found
    assert report.leak is not None
    assert "the honest figure is" in found["info", "leak meter"].message
    assert {s.name for s in report.shortcuts} == {
        "majority", "length", "metadata", "best single feature", "best single word", "bag-of-words",
    }  # fmt: skip
    assert len(report.shift) == len(report.columns) == 12


def test_its_numbers_say_what_made_them(report: AuditReport):
    made = report.provenance
    assert made is not None
    assert len(made.data_fingerprint) == len(made.recipe_sha256) == 64
    assert made.seed == 42


def test_the_page_stands_alone_and_shows_every_finding(work: Path, report: AuditReport):
    text = (work / "audited" / "audit.html").read_text()
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert page.tags.count("img") == 5
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    words = page.text
    for finding in report.findings:
        assert " ".join(finding.message.split()) in words, finding.name
    assert "the honest figure is" in words
    assert words.count(f"seed 42 · recipe {report.provenance.recipe_sha256[:12]}") == page.tags.count(
        "section"
    )


def test_names_from_the_data_are_shown_and_not_run(work: Path):
    evil = "<script>alert(1)</script>"
    text = (work / "made-flows.csv").read_text().replace(",dns,", f",{evil},")
    write_text(work / "evil" / "made-flows.csv", text)
    write_text(
        work / "evil" / "recipe.yaml", RECIPE.format(data=json.dumps(str(work / "evil" / "made-flows.csv")))
    )
    audit_recipe(
        work / "evil" / "recipe.yaml", [f"output={json.dumps(str(work / 'evil'))}"], tell=lambda _: None
    )
    assert evil not in (work / "evil" / "audited" / "audit.html").read_text()


def test_several_seeds_of_a_fold_share_one_audit(work: Path):
    prepared = prepare(
        resolve_recipe(work / "recipe.yaml", [f"output={json.dumps(str(work / 'seeds'))}"]).recipe
    )
    assert audit_fold(prepared, prepared.folds[0]) is audit_fold(prepared, prepared.folds[0])


def test_an_error_is_exit_1_and_none_is_exit_0(work: Path, tmp_path: Path):
    output = f"output={json.dumps(str(tmp_path))}"
    good = tocsin("audit", work / "recipe.yaml", "--set", output)
    assert good.returncode == 0, good.stderr
    assert "what was found" in good.stdout
    bad = tocsin("audit", work / "recipe.yaml", "--set", output, "--set", "split.near_duplicates=false")
    assert bad.returncode == 1
    assert "duplicates across the split" in bad.stdout
    assert bad.stderr.strip().endswith("error(s)")
    assert (tmp_path / "audited" / "audit.html").exists(), "what was found is written down all the same"


@pytest.mark.browser
def test_a_browser_shows_it(work: Path, report: AuditReport, tmp_path: Path):
    program = shutil.which("chromium")
    assert program is not None
    picture = tmp_path / "page.png"
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--screenshot={picture}"]
    page = (work / "audited" / "audit.html").as_uri()
    subprocess.run([*command, "--window-size=1100,2000", page], check=True, capture_output=True, timeout=120)
    assert picture.stat().st_size > 50_000
