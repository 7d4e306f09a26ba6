"""The model's answers for all rows of a source.

Shape legend: N rows.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tocsin.core.types import Arrays
from tocsin.engine.batch import Batch, BatchSource
from tocsin.engine.step import MicroBatches, bare, is_out_of_memory
from tocsin.engine.task import Task

Part = tuple[Arrays, Arrays, float, float]
"""Scores, targets, sum of the loss, count."""


def predict(
    fabric: Fabric,
    task: Task,
    model: nn.Module,
    source: BatchSource,
    micro: MicroBatches | None = None,
    interrupt: Callable[[], None] = lambda: None,
) -> tuple[Arrays, Arrays, float]:
    """Return named scores [N, ...], named targets [N, ...] and the mean loss, in the order of the source.

    The model runs as the exported one will: in its own precision, without autocast, in evaluation mode.
    Several devices share the batches and each gets all rows. `interrupt` runs between batches, and may raise.
    """
    module, micro = bare(model), micro or MicroBatches()
    was_training = module.training
    module.eval()
    try:
        parts = []
        for index in range(fabric.global_rank, len(source), fabric.world_size):
            interrupt()
            parts.append(_score_batch(fabric, task, module, source[index], micro))
    finally:
        module.train(was_training)
    parts = _gather(fabric, parts)
    count = sum(part[3] for part in parts)
    loss = sum(part[2] for part in parts) / (count or 1.0)
    return _concatenate([part[0] for part in parts]), _concatenate([part[1] for part in parts]), loss


def _score_batch(fabric: Fabric, task: Task, module: nn.Module, batch: Batch, micro: MicroBatches) -> Part:
    parts: list[Part] = []
    while not parts:
        try:
            parts = [_score(fabric, task, module, piece) for piece in micro.split(batch)]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            micro.halve(len(batch), str(error).splitlines()[0])
    scores, targets = _concatenate([part[0] for part in parts]), _concatenate([part[1] for part in parts])
    return scores, targets, sum(part[2] for part in parts), sum(part[3] for part in parts)


@torch.inference_mode()
def _score(fabric: Fabric, task: Task, module: nn.Module, batch: Batch) -> Part:
    moved = batch.to(fabric.device)
    output = task.step(module, moved.inputs, moved.targets)
    return _to_arrays(output.scores), _to_arrays(batch.targets), float(output.loss_sum), batch.count


def _to_arrays(tensors: Mapping[str, Tensor]) -> Arrays:
    return {name: (v.float() if v.is_floating_point() else v).cpu().numpy() for name, v in tensors.items()}


def _concatenate(parts: list[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _gather(fabric: Fabric, parts: list[Part]) -> list[Part]:
    """Collect every device's parts, and bring them back into the order of the source."""
    if fabric.world_size == 1:
        return parts
    gathered: list[list[Part]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(gathered, parts)
    longest = max(len(part) for part in gathered)
    return [part[i] for i in range(longest) for part in gathered if i < len(part)]
