"""Checks of where rows come from and where the model is to be used: licence, made or real, class prior."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

import numpy as np

from tocsin.audit.findings import Finding
from tocsin.audit.sides import Sides, enumerate_items, examples
from tocsin.core.recipe import SourceSection
from tocsin.data.dataset import Dataset

FAR = 3.0
"""Ratio of the odds of a positive in the test and in use, from which the test speaks of another world."""
RECALL = 0.9
"""Recall that the precision in use is reckoned with."""


def check_sources(sides: Sides) -> Iterator[Finding]:
    """Every file has a licence and an origin, and the test is real."""
    used: set[str] = set()
    for part in sides.everything():
        unknown = []
        for name in sorted(set(part.source.tolist())):
            found = describe_source(name, sides)
            used |= {found[0]} if found else set()
            unknown += [] if found else [name]
        if unknown:
            yield Finding(
                severity="warning",
                name="undescribed sources",
                message=f"nobody says under which licence, and whether made or real: {', '.join(unknown)}",
                action="describe each file in data.sources",
            )
    idle = sorted(sides.stated.sources.keys() - used)
    if idle:
        message = f"described, but no file is called so: {', '.join(idle)}"
        yield Finding(severity="warning", name="undescribed sources", message=message, action="mend the name")
    yield from _tell_origins(sides)
    yield from _made_rows(sides.parts["test"], sides)


def describe_source(name: str, sides: Sides) -> tuple[str, SourceSection] | None:
    """Return the description of a file and what it is listed under: its own name before any glob."""
    known = sides.stated.sources
    if name in known:
        return name, known[name]
    return next(((glob, found) for glob, found in known.items() if fnmatchcase(name, glob)), None)


def _tell_origins(sides: Sides) -> Iterator[Finding]:
    names = sorted({str(name) for part in sides.everything() for name in part.source})
    found = {name: described[1] for name in names if (described := describe_source(name, sides))}
    if found:
        said = {n: f"({s.origin}; {s.licence}{f'; {s.url}' if s.url else ''})" for n, s in found.items()}
        yield Finding(severity="info", name="origin", message=enumerate_items("sources", said))


def _made_rows(test: Dataset, sides: Sides) -> Iterator[Finding]:
    made = {
        n for n in set(test.source.tolist()) if (d := describe_source(n, sides)) and d[1].origin == "made"
    }
    found = np.flatnonzero([name in made for name in test.source]) if made else np.zeros(0, dtype=np.int64)
    if len(found):
        yield Finding(
            severity="warning",
            name="made rows in the test",
            message=f"{len(found):,} of {len(test):,} test rows were made by a program ({', '.join(sorted(made))})",
            rows=examples(test, found),
            action="test on real rows before anything is claimed of the real world",
        )


def check_prior(sides: Sides) -> Iterator[Finding]:
    """Put the share of positives in the test beside the one where the model is to be used."""
    test, prior = sides.parts["test"], sides.stated.prior
    have = float((test.label == 1).mean()) if len(test) else 0.0
    if prior is None:
        message = f"{have:.1%} of the test rows are positive; what it will be in use is not stated (evaluation.prior)"
        yield Finding(severity="info", name="class prior", message=message)
        return
    rate = sides.stated.max_false_positive_rate
    precision = prior * RECALL / (prior * RECALL + (1 - prior) * rate)
    message = (
        f"{have:.1%} of the test rows are positive, in use {prior:.2%} will be: there, {RECALL:.0%} recall at "
        f"{rate:.1%} false positives means that {precision:.1%} of the alerts are true"
    )
    odds = [p / (1 - p) if p < 1 else np.inf for p in (have, prior)]
    far = not 1 / FAR <= odds[0] / odds[1] <= FAR
    yield Finding(
        severity="warning" if far else "info",
        name="class prior",
        message=message,
        action="read precision and F1 of the test with that in mind; choose the threshold by false positives"
        if far
        else "",
    )
