"""Figures of an evaluation, drawn with matplotlib's objects: no window, no global state.

Each function returns a figure; `png` turns one into bytes that are the same for the same numbers.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tocsin.metrics.classification import FALSE_POSITIVE_RATES
from tocsin.metrics.evaluation import BinaryEvaluation, Estimate, SliceScore

Models = Mapping[str, BinaryEvaluation]
"""Name -> evaluation, the primary model first."""

BySeed = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Model -> metric -> seed -> value."""

COLORS = ("#0b5fa5", "#d1495b", "#2e8b57", "#b07d12", "#7a4fb5", "#4d4d4d", "#1f9aa8", "#a0522d")
"""Dark enough on white; the first is the primary model's."""
SLICES = 24
METRIC_WORDS = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "recall_at_fpr_0.01": "recall at 1 % FPR",
    "recall_at_fpr_0.001": "recall at 0.1 % FPR",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "f1_macro": "macro F1",
    "f1_macro_even": "macro F1 at 0.5",
    "brier": "Brier",
    "ece": "ECE",
    "ece_debiased": "ECE, debiased",
}
COMPARED = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "recall": "recall",
    "false_positive_rate": "false positives",
}


def png(figure: Figure) -> bytes:
    """Render a figure on white."""
    target = BytesIO()
    figure.savefig(target, format="png", dpi=110, metadata={"Software": None})
    return target.getvalue()


def _panels(count: int, width: float = 10.0, height: float = 4.4) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, [_adorn(figure.add_subplot(1, count, i + 1)) for i in range(count)]


def _adorn(axis: Axes) -> Axes:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    axis.set_axisbelow(True)
    return axis


def draw_roc(models: Models) -> Figure:
    """Draw recall against false positives, whole and at the low rates where an alarm has to work."""
    figure, (whole, low) = _panels(2)
    for i, (name, model) in enumerate(models.items()):
        x, y = np.array(model.roc.x), np.array(model.roc.y)
        color, width = COLORS[i % len(COLORS)], 2.2 if i == 0 else 1.2
        whole.plot(x, y, color=color, lw=width, label=name)
        low.step(np.maximum(x, 1e-5), y, where="post", color=color, lw=width)  # a line would promise more
    whole.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls=":")
    low.set(xscale="log", xlim=(1e-4, 1), title="the same, at low rates")
    for rate in FALSE_POSITIVE_RATES.values():
        low.axvline(rate, color="#999999", lw=0.8, ls=":")
    whole.set(title="ROC")
    whole.legend(loc="lower right", frameon=False)
    for axis in (whole, low):
        axis.set(xlabel="false-positive rate", ylabel="recall", ylim=(0, 1.02))
    return figure


def draw_pr(models: Models) -> Figure:
    """Draw precision against recall, in steps, as the area under it is counted."""
    figure, (axis,) = _panels(1, width=4.9, height=3.8)
    for i, (name, model) in enumerate(models.items()):
        color, width = COLORS[i % len(COLORS)], 2.2 if i == 0 else 1.2
        axis.step(model.pr.x, model.pr.y, where="pre", color=color, lw=width, label=name)
    axis.set(
        title="precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02)
    )
    axis.legend(loc="lower left", frameon=False)
    return figure


def draw_reliability(models: Models) -> Figure:
    """Draw the share of positives against the probability, and where the primary model's rows lie."""
    figure, (axis, rows) = _panels(2)
    axis.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls=":")
    for i, (name, model) in enumerate(models.items()):
        bins = model.reliability
        x, y = [b.probability for b in bins], [b.share for b in bins]
        axis.plot(x, y, "o-", color=COLORS[i % len(COLORS)], lw=2.2 if i == 0 else 1.0, ms=4, label=name)
    axis.set(title="calibration", xlabel="mean probability in the bin", ylabel="share of positives")
    axis.legend(loc="lower right", frameon=False, fontsize="small")
    first = next(iter(models))
    bins = models[first].reliability
    rows.bar([b.probability for b in bins], [b.rows for b in bins], width=0.04, color=COLORS[0])
    rows.set(
        title=f"rows per bin, {first}", xlabel="mean probability in the bin", yscale="log", xlim=(-0.03, 1.03)
    )
    return figure


def draw_confusion(model: BinaryEvaluation, labels: tuple[str, str] = ("negative", "positive")) -> Figure:
    """Draw the counts, coloured by their share of the true class."""
    figure, (axis,) = _panels(1, width=3.8, height=3.8)
    counts = np.array(model.confusion.matrix())
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        color = "white" if shares[i, j] > 0.5 else "black"
        axis.text(j, i, f"{count:,}\n{shares[i, j]:.1%}", ha="center", va="center", color=color, fontsize=12)
    axis.set(xticks=[0, 1], yticks=[0, 1], xticklabels=labels, yticklabels=labels, title="confusion")
    axis.set(xlabel="answer", ylabel="truth")
    axis.grid(visible=False)
    return figure


def draw_slices(lines: Sequence[SliceScore]) -> Figure | None:
    """Draw recall per slice with its interval, the largest slices; None without any that holds positives."""
    shown = [s for s in sorted(lines, key=lambda s: -s.positives) if s.positives][:SLICES][::-1]
    if not shown:
        return None
    figure, (axis,) = _panels(1, width=8.5, height=1.2 + 0.28 * len(shown))
    places = np.arange(len(shown))
    values = [s.recall.value or 0.0 for s in shown]
    axis.barh(places, values, color=["#9db9d4" if s.too_few else COLORS[0] for s in shown], height=0.7)
    axis.errorbar(
        values, places, xerr=_whiskers([s.recall for s in shown]), fmt="none", ecolor="#222222", lw=1
    )
    axis.set_yticks(places, [f"{s.by}: {s.name} ({s.positives:,})" for s in shown])
    axis.set(xlim=(0, 1.02), xlabel="recall at the threshold (pale: too few rows)", title="recall per slice")
    return figure


def draw_comparison(models: Models) -> Figure:
    """Draw every model's main metrics with their intervals, the primary model on top."""
    figure, axes = _panels(len(COMPARED), height=1.4 + 0.34 * len(models))
    places = np.arange(len(models))[::-1]
    for axis, (metric, words) in zip(axes, COMPARED.items(), strict=True):
        found = [model.metrics[metric] for model in models.values()]
        left = -np.inf if metric == "false_positive_rate" else _left_edge(found)
        for i, (place, estimate) in enumerate(zip(places, found, strict=True)):
            if estimate.value is None:
                continue
            if estimate.value < left:
                axis.text(left, place, f" \u2190 {estimate.value:.3f}", va="center", color="#555555")
                continue
            bars = _whiskers([estimate])
            axis.errorbar(estimate.value, place, xerr=bars, fmt="o", color=COLORS[i % len(COLORS)], capsize=3)
        axis.set_yticks(places, list(models) if axis is axes[0] else [""] * len(models))
        axis.set(title=words, ylim=(-0.6, len(models) - 0.4))
        if np.isfinite(left):
            axis.set_xlim(left=left)
        axis.locator_params(axis="x", nbins=4)
    return figure


def _left_edge(found: Sequence[Estimate]) -> float:
    """Return where to cut an axis, so that the intervals of the best four models can be seen."""
    best = sorted((e for e in found if e.value is not None), key=lambda e: -(e.value or 0.0))[:4]
    ends = [
        (e.low if e.low is not None else e.value, e.high if e.high is not None else e.value) for e in best
    ]
    if not ends:
        return -np.inf
    low, high = min(v for v, _ in ends if v is not None), max(v for _, v in ends if v is not None)
    return float(low - 0.15 * max(high - low, 0.01))


def _whiskers(found: Sequence[Estimate]) -> np.ndarray:
    """Return distances [2, n] from values to the ends of their intervals; 0 where there is none."""
    ends = [(e.value or 0.0, e.low, e.high) for e in found]
    below = [max(v - low, 0.0) if low is not None else 0.0 for v, low, _ in ends]
    above = [max(high - v, 0.0) if high is not None else 0.0 for v, _, high in ends]
    return np.array([below, above])


def draw_changes(changes: Mapping[str, Estimate]) -> Figure:
    """Draw differences with their intervals, a panel each, since they differ in scale; the line is no difference."""
    figure, axes = _panels(max(len(changes), 1), width=11.0, height=1.9)
    for axis, (name, change) in zip(axes, changes.items(), strict=False):
        axis.axvline(0, color="#777777", lw=1)
        if change.value is not None:
            axis.errorbar(change.value, 0, xerr=_whiskers([change]), fmt="o", color=COLORS[0], capsize=4)
        axis.set(title=name, yticks=[], ylim=(-1, 1), xlabel="A minus B")
        axis.locator_params(axis="x", nbins=4)
    return figure


def draw_seed_boxes(by_seed: BySeed, metrics: Sequence[str]) -> Figure:
    """Draw a box of the seeds for each model, a panel per metric; each seed is a point."""
    figure, axes = _panels(len(metrics), width=13.0, height=1.6 + 0.4 * len(by_seed))
    places = np.arange(len(by_seed))[::-1] + 1
    for axis, metric in zip(axes, metrics, strict=True):
        for i, (place, values) in enumerate(zip(places, by_seed.values(), strict=True)):
            known = [v for v in values[metric].values() if np.isfinite(v)]
            if known:
                axis.boxplot(
                    [known], positions=[place], orientation="horizontal", widths=0.55, showfliers=False
                )
                axis.plot(known, [place] * len(known), "o", ms=4, color=COLORS[i % len(COLORS)])
        axis.set_yticks(places, list(by_seed) if axis is axes[0] else [""] * len(by_seed))
        axis.set(title=METRIC_WORDS.get(metric, metric), ylim=(0.4, len(by_seed) + 0.6))
        axis.locator_params(axis="x", nbins=4)
    return figure


def draw_by_seed(by_seed: BySeed, metric: str) -> Figure:
    """Draw a line for each model over the seeds."""
    figure, (axis,) = _panels(1, width=8.0)
    for i, (name, values) in enumerate(by_seed.items()):
        seeds = [str(seed) for seed in values[metric]]
        color, width = COLORS[i % len(COLORS)], 2.2 if i == 0 else 1.2
        axis.plot(seeds, list(values[metric].values()), "o-", label=name, color=color, lw=width)
    axis.set(title=f"{METRIC_WORDS.get(metric, metric)} by seed", xlabel="seed")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_training(histories: Mapping[str, pl.DataFrame]) -> Figure | None:
    """Draw losses and the value that `best` follows, a row per stage; None without any.

    histories: `model/stage` -> the table of `metrics_history.csv`.
    """
    stages: dict[str, dict[str, pl.DataFrame]] = {}
    for name, table in histories.items():
        model, _, stage = name.rpartition("/")
        if len(table):
            stages.setdefault(stage, {})[model or stage] = table
    if not stages:
        return None
    figure = Figure(figsize=(10.0, 3.6 * len(stages)), layout="constrained")
    for row, (stage, tables) in enumerate(stages.items()):
        loss, value = (_adorn(figure.add_subplot(len(stages), 2, 2 * row + i)) for i in (1, 2))
        _draw_stage(loss, value, tables)
        loss.set(title=f"{stage}: loss (dashed: training)", xlabel="step")
        value.set(title=f"{stage}: value that the best weights follow", xlabel="step")
        loss.legend(frameon=False, fontsize="small")
    return figure


def _draw_stage(loss: Axes, value: Axes, tables: Mapping[str, pl.DataFrame]) -> None:
    for i, (model, table) in enumerate(tables.items()):
        color, mark = COLORS[i % len(COLORS)], "." if len(table) < 60 else ""
        loss.plot(table["step"], table["train_loss"], color=color, ls="--", lw=1, marker=mark)
        loss.plot(table["step"], table["val_loss"], color=color, lw=1.6, marker=mark, label=model)
        value.plot(table["step"], table["value"], color=color, lw=1.6, marker=mark)
