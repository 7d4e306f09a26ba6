"""The model's answers for all rows of a source.

Shape legend: N rows.
"""

from collections.abc import Callable, Mapping

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tocsin.core.axes import join
from tocsin.core.heads import axes_of
from tocsin.core.types import Arrays
from tocsin.engine.batch import Batch, BatchSource
from tocsin.engine.step import MicroBatches, bare, is_out_of_memory
from tocsin.engine.task import Task

Scored = tuple[Arrays, Arrays, float, float]
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

    What differs in size from batch to batch is padded as the task's axes say.

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
    scores, targets = _join(task, parts)
    return scores, targets, loss


def _score_batch(fabric: Fabric, task: Task, module: nn.Module, batch: Batch, micro: MicroBatches) -> Scored:
    parts: list[Scored] = []
    while not parts:
        try:
            parts = [_score(fabric, task, module, piece) for piece in micro.split(batch)]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            micro.halve(len(batch), str(error).splitlines()[0])
    scores, targets = _join(task, parts)
    return scores, targets, sum(part[2] for part in parts), sum(part[3] for part in parts)


@torch.inference_mode()
def _score(fabric: Fabric, task: Task, module: nn.Module, batch: Batch) -> Scored:
    moved = batch.to(fabric.device)
    output = task.step(module, moved.inputs, moved.targets)
    return _to_arrays(output.scores), _to_arrays(batch.targets), float(output.loss_sum), batch.count


def _to_arrays(tensors: Mapping[str, Tensor]) -> Arrays:
    return {name: (v.float() if v.is_floating_point() else v).cpu().numpy() for name, v in tensors.items()}


def _join(task: Task, parts: list[Scored]) -> tuple[Arrays, Arrays]:
    if not parts:
        return {}, {}
    scores = join([part[0] for part in parts], axes_of(task.heads))
    return scores, join([part[1] for part in parts], task.target_axes)


def _gather(fabric: Fabric, parts: list[Scored]) -> list[Scored]:
    """Collect every device's parts, and bring them back into the order of the source."""
    if fabric.world_size == 1:
        return parts
    gathered: list[list[Scored]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(gathered, parts)
    longest = max(len(part) for part in gathered)
    return [part[i] for i in range(longest) for part in gathered if i < len(part)]
