"""One optimizer step: the only place in tocsin where gradients are made.

The loss of a step is the sum over all micro-batches of all devices, divided by the count of its terms. The
count is known before the first forward pass, so accumulation, ragged batches, data parallelism and smaller
micro-batches after an out-of-memory error all give the same gradient.

Shape legend: P parameters with a gradient.
"""

import gc
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tocsin.core.errors import InputError
from tocsin.core.recipe import OptimSection
from tocsin.engine.batch import Batch
from tocsin.engine.summary import OutputSummary, Seen, keep, read_summaries, summarise
from tocsin.engine.task import StepOutput, Task

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did. Loss, count and norms are of all devices, `outputs` of this one."""

    loss: float
    """Mean over the terms."""
    count: float
    norm_before: float
    """Global gradient norm before clipping."""
    norm_after: float
    blocks: Mapping[str, float]
    """Top-level prefix of the parameters' names -> gradient norm before clipping."""
    skipped: bool
    """The gradient was not finite, so the weights were left alone."""
    scale: float | None
    """fp16: what the loss was multiplied by; None otherwise."""
    outputs: Mapping[str, OutputSummary]
    seconds: float


def train_step(
    fabric: Fabric, task: Task, model: nn.Module, optimizer: Any, window: Sequence[Batch], optim: OptimSection
) -> StepResult:
    """Make one optimizer step from this device's micro-batches, at least one, which may have zero rows.

    `model` and `optimizer` come from `fabric.setup`. A step whose gradient is not finite changes nothing.
    Raises torch.OutOfMemoryError, on every device, if the forward pass of any device ran out of memory.
    """
    started = time.perf_counter()
    count = _sum_over_devices(fabric, float(sum(batch.count for batch in window)))
    optimizer.zero_grad()
    # Data parallelism averages gradients over devices; the count is already theirs together.
    loss_sum, seen = _accumulate(fabric, task, model, window, fabric.world_size / (count or 1.0))
    precision = fabric.strategy.precision
    scaler = getattr(precision, "scaler", None)
    scale = None if scaler is None else float(scaler.get_scale())
    precision.unscale_gradients(getattr(optimizer, "optimizer", optimizer))
    names, norms = block_norms(model)
    rows, summaries = summarise(seen)
    # The one wait for the device in a step.
    parts = (loss_sum.double().reshape(1), norms, summaries.to(norms.device).flatten())
    loss, *numbers = torch.cat(parts).tolist()
    norm, tail = numbers[len(names)], numbers[len(names) + 1 :]
    taken = _update(model, optimizer, scaler, norm, optim.clip_norm)
    return StepResult(
        loss=_sum_over_devices(fabric, loss) / (count or 1.0),
        count=count,
        norm_before=norm,
        norm_after=min(norm, optim.clip_norm or norm) if taken else norm,
        blocks=dict(zip(names, numbers, strict=False)),
        skipped=not taken,
        scale=scale,
        outputs=read_summaries(rows, tail),
        seconds=time.perf_counter() - started,
    )


def block_norms(model: nn.Module) -> tuple[list[str], Tensor]:
    """Return top-level prefixes of parameters with a gradient, and [blocks + 1] norms, global last."""
    named = [(name, p.grad) for name, p in bare(model).named_parameters() if p.grad is not None]
    if not named:
        return [], torch.zeros(1, dtype=torch.float64)
    # A module lists its parameters block after block.
    blocks = Counter(name.partition(".")[0] for name, _ in named)
    square_P = torch.stack(torch._foreach_norm([grad for _, grad in named])).double().square()
    squares = [square_P.sum(), *(part.sum() for part in torch.split(square_P, list(blocks.values())))]
    return list(blocks), torch.stack([*squares[1:], squares[0]]).sqrt()


def bare(model: nn.Module) -> nn.Module:
    """Return the module that Fabric wrapped, or the module itself."""
    original = getattr(model, "_original_module", None)
    return original if isinstance(original, nn.Module) else model


def _update(model: nn.Module, optimizer: Any, scaler: Any, norm: float, clip_norm: float | None) -> bool:
    """Clip and step; tell whether the weights changed."""
    if not math.isfinite(norm):
        if scaler is not None:
            scaler.update()
        return False
    if clip_norm is not None and norm > clip_norm:
        grads = [p.grad for p in bare(model).parameters() if p.grad is not None]
        torch._foreach_mul_(grads, clip_norm / norm)
    optimizer.step()
    return True


def _accumulate(
    fabric: Fabric, task: Task, model: nn.Module, window: Sequence[Batch], scale: float
) -> tuple[Tensor, list[Seen]]:
    """Add up the gradient over the window; return the sum of the loss and what the outputs were."""
    loss_sums: list[Tensor] = []
    seen: list[Seen] = []

    def forward(batch: Batch) -> StepOutput:
        batch = batch.to(fabric.device)
        output = task.step(model, batch.inputs, batch.targets)
        loss_sums.append(output.loss_sum.detach())
        seen.append(keep(output.scores, batch.targets, task.heads))
        return output

    def descend(output: StepOutput) -> None:
        fabric.backward(output.loss_sum * scale, model=model)  # type: ignore[arg-type]

    last: StepOutput | None = None
    try:
        for batch in window[:-1]:
            with fabric.no_backward_sync(model):  # type: ignore[arg-type]
                descend(forward(batch))
        last = forward(window[-1])
    except RuntimeError as error:
        if fabric.world_size == 1 or not is_out_of_memory(error):
            raise
    failed = last is None
    if last is None:  # the other devices wait for this one's part of the sum
        last = forward(window[-1].slice(0, 0))
    descend(last)
    if agree(fabric, failed):
        raise torch.OutOfMemoryError("out of memory on one of the devices")
    return torch.stack(loss_sums).sum(), seen


def _sum_over_devices(fabric: Fabric, value: float) -> float:
    if fabric.world_size == 1:
        return value
    total = fabric.all_reduce(torch.tensor(value, dtype=torch.float64, device=fabric.device), reduce_op="sum")
    return float(total)  # type: ignore[arg-type]


def agree(fabric: Fabric, flag: bool) -> bool:
    """Tell whether the flag is set on any device; every device must ask."""
    return bool(_sum_over_devices(fabric, float(flag)))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the device's, or the machine's, memory is full."""
    texts = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def free_memory() -> None:
    """Give back what a failed step held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass
class MicroBatches:
    """How many rows go through the model at once: halved for good when they do not fit."""

    rows: int | None = None

    def split(self, batch: Batch) -> list[Batch]:
        """Cut a batch into micro-batches, at least one."""
        size = self.rows or max(len(batch), 1)
        return [batch.slice(start, start + size) for start in range(0, max(len(batch), 1), size)]

    def halve(self, rows: int, error: str) -> None:
        """Remember half of what was tried for a batch of so many rows; InputError if that was one row."""
        tried = min(self.rows or rows, rows)
        if tried <= 1:
            raise InputError(f"one row at a time does not fit into memory: {error}")
        self.rows = (tried + 1) // 2
        log.warning("out of memory: smaller micro-batches", tried=tried, now=self.rows)
        free_memory()


@dataclass
class Stepper:
    """Steps from whole batches: each device takes its rows, in micro-batches that fit."""

    fabric: Fabric
    task: Task
    model: nn.Module
    optimizer: Any
    optim: OptimSection
    micro: MicroBatches = field(default_factory=MicroBatches)

    def __call__(self, batch: Batch) -> StepResult:
        """Make one step; after an out-of-memory error once more, with half of the rows at once."""
        share = self._share(batch)
        while True:
            try:
                window = self.micro.split(share)
                return train_step(self.fabric, self.task, self.model, self.optimizer, window, self.optim)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                message = str(error).splitlines()[0]
            # All devices count alike, or their sizes would drift apart.
            self.micro.halve(-(-len(batch) // self.fabric.world_size), message)

    def _share(self, batch: Batch) -> Batch:
        rank, world = self.fabric.global_rank, self.fabric.world_size
        return (
            batch if world == 1 else batch.slice(len(batch) * rank // world, len(batch) * (rank + 1) // world)
        )
