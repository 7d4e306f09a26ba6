"""Figures of an audit: what the rows are, what gives the label away, what a leak would have claimed, what shifted."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tocsin.audit.findings import AuditReport
from tocsin.audit.shift import LARGE
from tocsin.audit.shortcuts import GIVEAWAY, TELLING
from tocsin.workflows.pages.figures import COLORS

SHOWN = 15
BLUE, RED, SAND = COLORS[0], COLORS[1], COLORS[3]


def draw_balance(report: AuditReport) -> Figure:
    """Draw negatives and positives of each side, as shares with their counts."""
    figure, axis = _panel(2.2)
    for place, (side, rows) in enumerate(reversed(report.rows.items())):
        positives = report.positives[side]
        parts = ((rows - positives, BLUE, "not positive"), (positives, RED, "positive"))
        left = 0.0
        for number, color, name in parts:
            share = number / max(rows, 1)
            axis.barh(place, share, left=left, color=color, label=name if place == 0 else None)
            if share > 0.08:
                axis.text(left + share / 2, place, f"{number:,}", ha="center", va="center", color="white")
            left += share
    axis.set_yticks(range(len(report.rows)), list(reversed(report.rows)))
    axis.set(xlim=(0, 1), xlabel="share of the rows")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=2, frameon=False)
    return figure


def draw_missing(report: AuditReport) -> Figure | None:
    """Draw the share of missing values of the columns that have any; None where none has."""
    found = sorted((c for c in report.columns if c.missing), key=lambda c: -c.missing)[:SHOWN]
    if not found:
        return None
    return _bars(
        [c.name for c in found], [c.missing for c in found], "share of training rows without a value"
    )


def draw_telling(report: AuditReport) -> Figure | None:
    """Draw how much of the label single columns, and other shortcuts, tell by themselves."""
    columns = [(c.name, c.auc, BLUE) for c in report.columns if c.auc is not None][:SHOWN]
    others = [(s.name, s.roc_auc, SAND) for s in report.shortcuts if s.roc_auc is not None]
    lines = [*others, *columns]
    if not lines:
        return None
    names, values, colors = zip(*lines, strict=True)
    figure = _bars(
        names,
        values,
        "ROC-AUC on validation rows (brown: shortcut baselines, blue: one column alone)",
        colors,
    )
    axis = figure.axes[0]
    axis.set_xlim(0.45, 1.03)
    for level, color in ((TELLING, SAND), (GIVEAWAY, RED)):
        axis.axvline(level, color=color, lw=1, ls=":")
    return figure


def draw_leak(report: AuditReport) -> Figure | None:
    """Draw what the naive split claims beside the honest figure: in score, in recall, in overlap."""
    leak = report.leak
    if leak is None:
        return None
    pairs = [("ROC-AUC", leak.naive, leak.honest)]
    if leak.naive_recall is not None and leak.honest_recall is not None:
        pairs.append(("recall at 1 % FPR", leak.naive_recall, leak.honest_recall))
    naive, ours = (report.split.get(name) for name in ("naive_overlap", "overlap"))
    if naive is not None and ours is not None and not leak.official:
        pairs.append(("test rows with a\nnear-duplicate in training", naive, ours))
    figure, axis = _panel(1.0 + 0.75 * len(pairs))
    places = np.arange(len(pairs))[::-1]
    for shift, column, color, name in ((0.2, 1, RED, "rows shuffled"), (-0.2, 2, BLUE, "as split here")):
        values = [float(pair[column]) for pair in pairs]
        axis.barh(places + shift, values, height=0.36, color=color, label=name)
        for place, value in zip(places + shift, values, strict=True):
            axis.text(value + 0.01, place, f"{value:.3f}", va="center")
    axis.set_yticks(places, [str(pair[0]) for pair in pairs])
    axis.set(xlim=(0, 1.12))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return figure


def draw_shift(report: AuditReport) -> Figure | None:
    """Draw the columns that lie furthest apart in training and test."""
    found = report.shift[:SHOWN]
    if not found:
        return None
    colors = [RED if s.psi > LARGE else BLUE for s in found]
    figure = _bars(
        [s.name for s in found],
        [s.psi for s in found],
        "population stability index, test against training",
        colors,
    )
    figure.axes[0].axvline(LARGE, color=RED, lw=1, ls=":")
    return figure


def _panel(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.5, height), layout="constrained")
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, axis="x")
    axis.set_axisbelow(True)
    return figure, axis


def _bars(
    names: Sequence[str], values: Sequence[float], words: str, colors: Sequence[str] | str = BLUE
) -> Figure:
    """Draw horizontal bars, the first on top, each with its value."""
    figure, axis = _panel(0.9 + 0.28 * len(names))
    places = np.arange(len(names))[::-1]
    axis.barh(places, values, color=colors if isinstance(colors, str) else list(colors), height=0.7)
    for place, value in zip(places, values, strict=True):
        axis.text(value, place, f" {value:.3f}", va="center", fontsize=8)
    axis.set_yticks(places, [name if len(name) <= 32 else f"{name[:31]}…" for name in names])
    axis.set(xlabel=words)
    axis.margins(x=0.1)
    return figure
