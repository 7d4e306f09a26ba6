"""Two processes on the CPU train as one does, with fewer rows, less memory or no rows on one of them."""

import socket
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.runs import Classify, cpu
from engine.worker import context, make_masked_stage, run_rank
from tocsin.engine.checkpoint import read_weights
from tocsin.engine.history import read_evaluations
from tocsin.engine.loop import FitOptions, FitResult, fit


def run_two(folder: Path, change: str = "") -> list[dict[str, Tensor]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = [
        context().Process(target=run_rank, args=(str(folder), port, rank, 2, change)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    return [read_weights(folder / f"rank{rank}.safetensors") for rank in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> FitResult:
    stage = make_masked_stage(Classify(dropout=0.0))
    return fit(cpu(), stage, tmp_path_factory.mktemp("alone"), FitOptions(seed=1))


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max(float((a[k] - b[k]).abs().max()) for k in a)


@pytest.mark.parametrize("change", ["", "memory"])
def test_two_are_one(tmp_path, alone, change):
    ranks = run_two(tmp_path, change)
    assert largest_difference(ranks[0], ranks[1]) == 0
    assert largest_difference(ranks[0], alone.best) < 1e-5
    ours, theirs = read_evaluations(tmp_path / "fit"), alone.history
    for a, b in zip(ours, theirs, strict=True):
        for name in ("step", "train_loss", "val_loss", "val_accuracy"):
            assert a[name] == pytest.approx(b[name], rel=1e-4)


def test_without_the_common_count_they_are_not(tmp_path, alone):
    """The control: each device divides by its own count, as if its batch were all there is."""
    ranks = run_two(tmp_path, "uncounted")
    assert largest_difference(ranks[0], alone.best) > 1e-3


def test_a_reason_to_stop_on_one_stops_both_and_both_resume(tmp_path, alone):
    run_two(tmp_path, "stopped")
    assert [(tmp_path / f"rank{rank}.txt").read_text() for rank in range(2)] == ["9 enough", "9 enough"]
    for path in (tmp_path / "fit" / "checkpoints").glob("step-000000009.ckpt"):
        path.unlink()
    ranks = run_two(tmp_path, "resume")
    assert largest_difference(ranks[0], ranks[1]) == 0
    assert largest_difference(ranks[0], alone.best) < 1e-5
    assert torch.is_tensor(next(iter(ranks[0].values())))
