"""The report of a run whose model answers with texts: one page that stands alone."""

from pathlib import Path

from tocsin.audit.findings import AuditReport
from tocsin.core.durable import write_text
from tocsin.metrics.answers import AnswerReport
from tocsin.workflows.pages.report import PAGE, page_environment


def write_answers(folder: Path, report: AnswerReport, checks: AuditReport) -> Path:
    """Write `report.html` into a run's folder; returns the page."""
    page = page_environment().get_template("answers.html.j2").render(report=report, checks=checks)
    write_text(folder / PAGE, page)
    return folder / PAGE
