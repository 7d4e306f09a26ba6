"""A model's outputs in a few numbers: cheap ones at each step, telling ones at each evaluation.

Shape legend: B rows, K columns of an output, S numbers of a summary.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tocsin.core.heads import Head
from tocsin.core.types import Arrays

COLUMNS = 64
"""Columns of an output that are looked at; an output with more axes is not looked at."""


@dataclass(frozen=True)
class OutputSummary:
    """One output over the rows of one step. NaN is what cannot be known, such as the spread of one row."""

    rows: int
    mean: float
    std: float
    """Standard deviation over the rows, of the column where it is largest."""
    share: float
    """Share of the most frequent predicted class; NaN without a target to say that these are classes."""
    accuracy: float


@dataclass(frozen=True)
class Judgement:
    """One output over all rows of an evaluation, beside its target if it has one."""

    rows: int
    mean: float
    std: float
    share: float
    minority: float
    """Share of the rows whose truth is the mostly predicted class, or of the others if that is smaller."""
    correlation: float
    """Between the score for the mostly predicted class and the truth; 0 where either is constant."""
    excess: float
    """Mean loss in nats minus the entropy of the truth: below 0 is better than knowing the class shares."""


@dataclass(frozen=True)
class Seen:
    """What is kept of one forward pass for its summary."""

    scores: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]


def keep(scores: Mapping[str, Tensor], targets: Mapping[str, Tensor], heads: Sequence[Head] = ()) -> Seen:
    """Keep the outputs with one or two axes, at most `COLUMNS` wide, and their targets; nothing is copied.

    A head says which target its output is compared with; any other output has that of the same name, if any.
    """
    known = {head.name: head.answers for head in heads}
    kept = {
        k: v.detach() for k, v in scores.items() if v.ndim in (1, 2) and v.is_floating_point() and v.numel()
    }
    matched = {
        k: targets[known.get(k, k)] for k in kept if _is_class_target(targets.get(known.get(k, k)), kept[k])
    }
    return Seen({k: v if k in matched or v.ndim == 1 else v[:, :COLUMNS] for k, v in kept.items()}, matched)


def summarise(seen: Sequence[Seen]) -> tuple[dict[str, int], Tensor]:
    """Return rows per output, and [outputs, S] float64 on the device: the caller chooses when to wait."""
    names = list(dict.fromkeys(name for part in seen for name in part.scores))
    rows, numbers = {}, []
    for name in names:
        score = _joined([part.scores[name] for part in seen if name in part.scores])
        target = _joined([part.targets[name] for part in seen if name in part.targets])
        assert score is not None
        rows[name] = len(score)
        numbers.append(_describe(score, target))
    return rows, torch.stack(numbers) if numbers else torch.zeros(0, 4, dtype=torch.float64)


def read_summaries(rows: Mapping[str, int], numbers: Sequence[float]) -> dict[str, OutputSummary]:
    """Name what `summarise` computed, from its numbers in a row."""
    width = len(numbers) // max(len(rows), 1)
    return {
        name: OutputSummary(count, *numbers[i * width : (i + 1) * width])
        for i, (name, count) in enumerate(rows.items())
    }


def judge(scores: Arrays, targets: Arrays, heads: Sequence[Head] = ()) -> dict[str, Judgement]:
    """Judge every output with one or two axes, over all rows of an evaluation."""
    seen = keep(
        {k: torch.from_numpy(v) for k, v in scores.items() if v.dtype.kind == "f"},
        {k: torch.from_numpy(v) for k, v in targets.items() if v.dtype.kind in "fiub"},
        heads,
    )
    return {
        name: _judge_output(score.double(), seen.targets.get(name)) for name, score in seen.scores.items()
    }


def _is_class_target(target: Tensor | None, score: Tensor) -> bool:
    return target is not None and target.ndim == 1 and len(target) == len(score)


def _joined(parts: Sequence[Tensor]) -> Tensor | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _describe(score: Tensor, target: Tensor | None) -> Tensor:
    """Return [4] float64: mean, std, share, accuracy."""
    score_BK = score.double().reshape(len(score), -1)
    nan = score_BK.new_tensor(math.nan)
    std = score_BK.std(0).max() if len(score) > 1 else nan
    if target is None:
        return torch.stack([score_BK.mean(), std, nan, nan])
    known_B, right_B, predicted_B, classes = _compare(score, target)
    count_K = F.one_hot(predicted_B, classes).mul(known_B[:, None]).sum(0)
    total = known_B.sum()
    return torch.stack([score_BK.mean(), std, count_K.max() / total, right_B.sum() / total])


def _compare(score: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return which rows have a truth, which are right, what is predicted [B], and the number of classes."""
    known_B = target >= 0
    if score.ndim == 1:
        predicted_B, truth_B, classes = (score > 0).long(), (target > 0.5).long(), 2
    else:
        predicted_B, truth_B, classes = score.argmax(1), target.long(), score.shape[1]
    return known_B, known_B & (predicted_B == truth_B), predicted_B, classes


def _judge_output(score: Tensor, target: Tensor | None) -> Judgement:
    score_BK = score.reshape(len(score), -1)
    std = float(score_BK.std(0).max()) if len(score) > 1 else math.nan
    mean = float(score_BK.mean())
    if target is None or not bool((target >= 0).any()):
        return Judgement(len(score), mean, std, *[math.nan] * 4)
    score, target = score[target >= 0], target[target >= 0]
    _, _, predicted_B, classes = _compare(score, target)
    count_K = torch.bincount(predicted_B, minlength=classes)
    margin_B, truth_B = _against_the_rest(score, target, int(count_K.argmax()))
    share = float(count_K.max()) / len(score)
    positive = float(truth_B.mean())
    entropy = _entropy(positive)
    loss = float(F.binary_cross_entropy_with_logits(margin_B, truth_B))
    minority = min(positive, 1 - positive)
    return Judgement(len(score), mean, std, share, minority, _correlate(margin_B, truth_B), loss - entropy)


def _against_the_rest(score: Tensor, target: Tensor, chosen: int) -> tuple[Tensor, Tensor]:
    """Reduce any classifier to `the chosen class or not`: a logit [B] and a truth [B]."""
    if score.ndim == 1:
        return (score if chosen else -score), (target > 0.5).double() if chosen else (target <= 0.5).double()
    others = score.clone()
    others[:, chosen] = -math.inf
    return score[:, chosen] - others.logsumexp(1), (target.long() == chosen).double()


def _entropy(share: float) -> float:
    return -sum(p * math.log(p) for p in (share, 1 - share) if p > 0)


def _correlate(a_B: Tensor, b_B: Tensor) -> float:
    a_B, b_B = a_B - a_B.mean(), b_B - b_B.mean()
    scale = float(a_B.norm() * b_B.norm())
    return float(a_B @ b_B) / scale if scale > 0 else 0.0
