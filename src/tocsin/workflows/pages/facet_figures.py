"""Confusion matrices and ROC curves of the rows of each value of a facet, a figure for all of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tocsin.metrics.comparison import NOVELTY
from tocsin.metrics.evaluation import SliceScore
from tocsin.workflows.pages.figures import COLORS

MOST, ACROSS = 16, 4
"""Values that are drawn, the largest ones with both classes, and panels beside each other."""


def draw_by_facet(lines: Sequence[SliceScore]) -> dict[str, Figure]:
    """Return `confusion_by_<facet>` and `roc_by_<facet>` for each facet of which two values hold both classes."""
    found: dict[str, Figure] = {}
    for facet in dict.fromkeys(line.by for line in lines if line.by != NOVELTY):
        both = [s for s in lines if s.by == facet and 0 < s.positives < s.rows]
        shown = sorted(both, key=lambda s: (-s.rows, s.name))[:MOST]
        if len(shown) > 1:
            found |= {f"confusion_by_{facet}": _confusions(shown), f"roc_by_{facet}": _curves(shown)}
    return found


def _confusions(shown: Sequence[SliceScore]) -> Figure:
    down = -(-len(shown) // ACROSS)
    figure = Figure(figsize=(2.5 * ACROSS, 2.7 * down), layout="constrained")
    for place, line in enumerate(shown):
        axis = figure.add_subplot(down, ACROSS, place + 1)
        counts = np.array(line.confusion.matrix())
        shares = counts / counts.sum(axis=1, keepdims=True)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(counts):
            color = "white" if shares[i, j] > 0.5 else "black"
            axis.text(
                j, i, f"{count:,}\n{shares[i, j]:.1%}", ha="center", va="center", color=color, fontsize=9
            )
        axis.set(xticks=[0, 1], yticks=[0, 1], xticklabels=["−", "+"], yticklabels=["−", "+"])
        axis.set(title=_name(line), xlabel="answer", ylabel="truth")
    return figure


def _curves(shown: Sequence[SliceScore]) -> Figure:
    figure = Figure(figsize=(7.5, 5.0), layout="constrained")
    axis = figure.add_subplot(1, 1, 1)
    axis.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls=":")
    for place, line in enumerate(shown):
        style = ("-", "--")[place // len(COLORS) % 2]
        label = f"{_name(line)}: {line.roc_auc or 0:.3f}"
        axis.plot(line.roc.x, line.roc.y, color=COLORS[place % len(COLORS)], ls=style, lw=1.4, label=label)
    axis.set(
        title="ROC; ROC-AUC in the legend", xlabel="false-positive rate", ylabel="recall", ylim=(0, 1.02)
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    return figure


def _name(line: SliceScore) -> str:
    return f"{line.name}{', few' if line.too_few else ''}"
