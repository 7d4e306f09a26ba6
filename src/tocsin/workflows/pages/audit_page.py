"""The page of an audit: it stands alone, its figures are in it."""

from base64 import b64encode
from pathlib import Path

from tocsin.audit.findings import AuditReport
from tocsin.core.durable import write_text
from tocsin.workflows.pages.audit_figures import (
    draw_balance,
    draw_leak,
    draw_missing,
    draw_shift,
    draw_telling,
)
from tocsin.workflows.pages.figures import png
from tocsin.workflows.pages.report import page_environment

PAGE = "audit.html"


def write_audit_page(folder: Path, report: AuditReport, title: str) -> Path:
    """Write `audit.html` into a folder; returns it."""
    drawn = {
        "balance": draw_balance(report),
        "missing": draw_missing(report),
        "telling": draw_telling(report),
        "leak": draw_leak(report),
        "shift": draw_shift(report),
    }
    images = {name: png(figure) for name, figure in drawn.items() if figure is not None}
    figures = {name: "data:image/png;base64," + b64encode(image).decode() for name, image in images.items()}
    counts = {s: sum(f.severity == s for f in report.findings) for s in ("error", "warning", "info")}
    page = page_environment().get_template("audit.html.j2")
    write_text(folder / PAGE, page.render(report=report, title=title, figures=figures, counts=counts))
    return folder / PAGE
