"""AdamW with settings per group of parameters, averaged weights, and corrections for rare classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np
import structlog
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.recipe import GroupSection, LossSection, OptimSection
from tocsin.nn.losses import balanced_weights

log = structlog.get_logger(__name__)


def make_optimizer(
    model: nn.Module, optim: OptimSection, rate: float, *, fused: bool = True
) -> torch.optim.AdamW:
    """Return AdamW over the parameters that train; parameters whose rate is scaled by 0 are frozen.

    The last glob of `optim.groups` that matches a name decides; InputError for a glob that matches none.
    Without a weight decay of its own in a group, a parameter decays only if it is a layer's matrix: biases,
    norms and embeddings do not. Each group carries `scale`, what `set_rate` multiplies the rate by.
    `fused` must be False with an fp16 loss scaler, which has to see the gradients before the update.
    """
    _check_globs(model, optim)
    groups: dict[tuple[float, float], list[tuple[str, nn.Parameter]]] = {}
    spared = _undecayed(model)
    for name, parameter in model.named_parameters():
        section = _section_of(name, optim)
        if section.learning_rate_scale == 0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            decay = 0.0 if name in spared else optim.weight_decay
            decay = decay if section.weight_decay is None else section.weight_decay
            groups.setdefault((section.learning_rate_scale, decay), []).append((name, parameter))
    if not groups:
        raise InputError("optim.groups: every parameter is frozen, so there is nothing to train")
    named = [{"params": members, "weight_decay": d, "scale": s} for (s, d), members in groups.items()]
    return torch.optim.AdamW(named, lr=rate, betas=optim.betas, fused=fused)


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the rate of every group, keeping the ratios between them."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def _check_globs(model: nn.Module, optim: OptimSection) -> None:
    names = [name for name, _ in model.named_parameters()]
    for pattern in optim.groups:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(f"optim.groups: {pattern!r} matches no parameter{_nearest(pattern, names)}")


def _section_of(name: str, optim: OptimSection) -> GroupSection:
    matching = [section for pattern, section in optim.groups.items() if fnmatchcase(name, pattern)]
    return matching[-1] if matching else GroupSection()


def _undecayed(model: nn.Module) -> set[str]:
    """Return the names of embeddings, and of what is not a matrix: biases, norms, gains."""
    embeddings = {
        f"{prefix}.{name}".lstrip(".")
        for prefix, module in model.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for name, _ in module.named_parameters(recurse=False)
    }
    return embeddings | {name for name, p in model.named_parameters() if p.ndim < 2}


def _nearest(pattern: str, names: Iterable[str]) -> str:
    known = set(names)
    for name in names:
        parts = name.split(".")
        known |= {".".join([*parts[:depth], "*"]) for depth in range(1, len(parts))}
    return did_you_mean(pattern, sorted(known))


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of the model whose parameters follow as an exponential average; buffers are copied."""
    averaging = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=averaging)


@dataclass(frozen=True)
class Corrections:
    """What a recipe's `loss` section means for the labels at hand."""

    weight_K: Tensor | None
    """float32 [K] for the loss and for `loss_terms`, or None."""
    draw: Literal["shuffle", "weighted"]
    """How `ArrayBatches` draws."""
    gamma: float
    smoothing: float
    warnings: tuple[str, ...]
    """Already logged; for the report."""


def make_corrections(loss: LossSection, label: np.ndarray, classes: int) -> Corrections:
    """Turn the `loss` section into class weights, sampler, focal exponent and smoothing; label is [N], or -1.

    Two or more corrections for rare classes correct the same twice: a warning, logged and returned.
    """
    named = {
        "class_weights: balanced": loss.class_weights == "balanced",
        "sampler: weighted": loss.sampler == "weighted",
        f"focal_gamma: {loss.focal_gamma:g}": loss.focal_gamma > 0,
    }
    stacked = [name for name, is_on in named.items() if is_on]
    warnings: tuple[str, ...] = ()
    if len(stacked) > 1:
        warnings = (
            f"{len(stacked)} corrections for rare classes are stacked and overshoot: {', '.join(stacked)}",
        )
        log.warning("stacked corrections", corrections=stacked, hint="keep one of them")
    weight_K = (
        balanced_weights(torch.from_numpy(label), classes) if loss.class_weights == "balanced" else None
    )
    return Corrections(weight_K, loss.sampler, loss.focal_gamma, loss.label_smoothing, warnings)
