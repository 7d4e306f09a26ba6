"""Weights as named tensors: taken from a model, and copied into the model of a later stage."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from tocsin.core.errors import InputError, did_you_mean
from tocsin.engine.task import WarmStart

Weights = dict[str, Tensor]
"""Name in the state dict -> tensor on the CPU."""


def take_weights(module: nn.Module, adapters_only: bool = False) -> Weights:
    """Copy a module's state to the CPU; with `adapters_only` without the parameters that do not train."""
    frozen = (
        {name for name, p in module.named_parameters() if not p.requires_grad} if adapters_only else set()
    )
    state = module.state_dict()
    return {name: value.detach().cpu().clone() for name, value in state.items() if name not in frozen}


def put_weights(module: nn.Module, weights: Mapping[str, Tensor], adapters_only: bool = False) -> None:
    """Load a module's state; with `adapters_only` frozen parameters may be missing."""
    missing, unexpected = module.load_state_dict(dict(weights), strict=False)
    frozen = (
        {name for name, p in module.named_parameters() if not p.requires_grad} if adapters_only else set()
    )
    wrong = [*unexpected, *(name for name in missing if name not in frozen)]
    if wrong:
        raise InputError(
            f"the weights do not fit the model: {wrong[0]!r} and {len(wrong) - 1} more names differ"
        )


def warm_start(module: nn.Module, init: Sequence[WarmStart], warm: Mapping[str, Mapping[str, Tensor]]) -> int:
    """Copy what each WarmStart includes and the model has; return how many tensors were copied.

    InputError for an unknown stage, for an `include` that copies nothing, and for a shape that differs.
    """
    copied = 0
    own = module.state_dict()
    for start in init:
        if start.stage not in warm:
            raise InputError(f"no weights of stage {start.stage!r}{did_you_mean(start.stage, list(warm))}")
        given = warm[start.stage]
        names = [name for name in given if fnmatchcase(name, start.include) and name in own]
        if not names:
            raise InputError(
                f"{start.include!r} matches no weights that stage {start.stage!r} and this model share"
            )
        for name in names:
            _copy(name, own[name], given[name])
        copied += len(names)
    return copied


@torch.no_grad()
def _copy(name: str, into: Tensor, value: Tensor) -> None:
    if into.shape != value.shape:
        raise InputError(f"{name}: shape {tuple(value.shape)} does not fit {tuple(into.shape)}")
    into.copy_(value)
