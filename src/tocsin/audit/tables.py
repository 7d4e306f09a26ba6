"""Every check of the rows before anything is trained on them. A new check is one more function in CHECKS."""

from dataclasses import asdict

from tocsin.audit.contents import (
    check_blanks,
    check_mojibake,
    check_personal_data,
    check_secrets,
    check_slices,
)
from tocsin.audit.description import describe_rows
from tocsin.audit.findings import AuditReport as AuditReport
from tocsin.audit.foreign import check_constant_rows, check_empty_rows, check_foreign_sources
from tocsin.audit.leakage import (
    check_conflicts,
    check_duplicates,
    check_groups,
    check_near_duplicates,
    check_time,
)
from tocsin.audit.meter import check_leak, measure_leak
from tocsin.audit.noise import check_noise, estimate_noise
from tocsin.audit.origins import check_prior, check_sources
from tocsin.audit.shift import check_shift, measure_shift, tell_apart
from tocsin.audit.shortcuts import check_shortcuts, measure_shortcuts
from tocsin.audit.sides import Check, Sides, Stated, of_labels
from tocsin.audit.values import (
    check_classes,
    check_constants,
    check_novelties,
    check_reading,
    check_schema,
    check_types,
    check_values,
)
from tocsin.core.provenance import Origin
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold

CHECKS: tuple[Check, ...] = (
    check_schema,
    check_types,
    of_labels(check_classes),
    check_values,
    check_constants,
    check_constant_rows,
    check_empty_rows,
    check_foreign_sources,
    check_duplicates,
    check_near_duplicates,
    of_labels(check_conflicts),
    check_groups,
    check_time,
    of_labels(check_leak),
    of_labels(check_shortcuts),
    of_labels(check_noise),
    check_shift,
    of_labels(check_novelties),
    of_labels(check_prior),
    check_slices,
    check_blanks,
    check_mojibake,
    check_secrets,
    check_personal_data,
    check_sources,
    check_reading,
)


def audit(
    dataset: Dataset,
    fold: Fold,
    official: Dataset | None = None,
    stated: Stated | None = None,
    origin: Origin | None = None,
) -> AuditReport:
    """Run every check on the rows of a fold; `fold.test` counts rows of `official` where there is one."""
    sides = Sides(dataset, fold, official, stated or Stated())
    severities = ("error", "warning", "info")
    findings = [finding for check in CHECKS for finding in check(sides)]
    noise = sides.once(estimate_noise)
    measured = {
        "label_noise": None if noise is None else asdict(noise),
        "test_told_apart": sides.once(tell_apart),
    }
    return AuditReport(
        rows={side: len(part) for side, part in sides.parts.items()},
        positives={side: int((part.label == 1).sum()) for side, part in sides.parts.items()},
        findings=tuple(sorted(findings, key=lambda finding: severities.index(finding.severity))),
        columns=sides.columns,
        split=dict(fold.facts),
        statistics=describe_rows(dataset, sides.stated.split.text) | measured,
        shortcuts=sides.once(measure_shortcuts),
        shift=sides.once(measure_shift),
        leak=sides.once(measure_leak),
        provenance=origin,
    )
