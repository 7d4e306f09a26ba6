"""A fit in a process of its own, which dies at a chosen moment."""

import os
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch

from engine.runs import Classify, cpu, make_rows, make_section, make_stage
from tocsin.core.duration import Duration
from tocsin.core.errors import Interrupted, TocsinError
from tocsin.core.recipe import ComputeSection, OptimSection
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.crew import Crew, find_place, joined
from tocsin.engine.events import Event, StepDone
from tocsin.engine.hardware import make_fabric
from tocsin.engine.loop import FitOptions, FitResult, fit
from tocsin.engine.task import Stage

SETTINGS: dict[str, Any] = {
    "length": Duration(4, "epochs"),
    "evaluate_every": Duration(5, "steps"),
    "checkpoint_every": Duration(3, "steps"),
    "ema": 0.9,
    "optim": OptimSection(learning_rate=1e-2, schedule="plateau", plateau_patience=0),
}
STEPS = 28


def context() -> ForkServerContext:
    """Processes that start fast: torch is imported once, in the server they are forked from."""
    import multiprocessing

    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["torch", "tocsin.engine.loop"])
    return found


def fit_here(folder: Path, resume: bool = False, observers: Any = (), **changes: Any) -> FitResult:
    stage = make_stage(Classify(), **(SETTINGS | changes))
    return fit(cpu(), stage, folder, FitOptions(seed=11, resume=resume, observers=observers, micro_batch=20))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: tuple[str, int]) -> list[Any]:
    """Arrange for the process to die: after a step, or in the n-th call of a system function."""
    where, n = moment
    if where == "step":
        return [lambda event: die() if isinstance(event, StepDone) and event.step == n else None]
    calls = 0

    def counted(real: Any) -> Any:
        def call(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == n:
                # Half of the bytes of a file that is not yet complete arrived; what was synced before stays.
                if where == "half" and Path(f"/proc/self/fd/{args[0]}").readlink().suffix == ".tmp":
                    os.truncate(args[0], os.fstat(args[0]).st_size // 2)
                die()
            return real(*args)

        return call

    name = "replace" if where == "replace" else "fsync"
    setattr(os, name, counted(getattr(os, name)))
    return []


def run(folder: str, resume: bool, moment: tuple[str, int] | None, slow: float = 0.0) -> None:
    """The process's main function: exits with the code that the command line would."""
    torch.set_num_threads(1)
    structlog.configure(processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent())])

    def wait(event: Event) -> None:
        if slow and isinstance(event, StepDone):
            Path(folder, "going").touch()
            time.sleep(slow)

    try:
        fit_here(Path(folder), resume, [wait, *(arm(moment) if moment else [])])
    except Interrupted as error:
        Path(folder, "message").write_text(str(error))
        raise SystemExit(error.exit_code) from None
    except TocsinError as error:
        raise SystemExit(error.exit_code) from None


def run_rank(folder: str, port: int, rank: int, world: int, change: str) -> None:
    """One of the processes that torchrun would start; writes its final weights."""
    from tocsin.engine import step
    from tocsin.engine.checkpoint import write_weights

    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    if change == "uncounted":
        step._sum_over_devices = lambda fabric, value: value
    place = find_place()
    assert place is not None
    with joined(place) as crew:
        result = fit_beside(crew, Path(folder), change)
    write_weights(Path(folder, f"rank{rank}.safetensors"), result.best)
    Path(folder, f"rank{rank}.txt").write_text(f"{result.steps} {result.stopped}")


def fit_beside(crew: Crew, folder: Path, change: str) -> FitResult:
    fabric = make_fabric(ComputeSection(device="cpu", devices=crew.size, precision="32", threads=1), crew)
    task = Classify(dropout=0.0, largest=3 if change == "memory" and crew.rank == 1 else None)
    stops = [lambda event: "enough" if isinstance(event, StepDone) and event.step == 9 else None]
    options = FitOptions(seed=1, micro_batch=5, observers=stops if change == "stopped" else ())
    resumed = FitOptions(seed=1, micro_batch=5, resume=True)
    return fit(fabric, make_masked_stage(task), folder / "fit", resumed if change == "resume" else options)


def make_masked_stage(task: Classify) -> Stage:
    """Rows of which a third has no term; the last batch has one row, so that one of two devices has none."""
    inputs, targets = make_rows(97)
    targets["mask"] = (np.arange(97) % 3 > 0).astype(np.int64)
    section = make_section(batch_size=16, length=Duration(2, "epochs"), checkpoint_every=Duration(5, "steps"))
    train = ArrayBatches(inputs, targets, 16, seed=4, terms=targets["mask"])
    valid = ArrayBatches(*make_rows(50, 9), 7, draw="sequential")
    return Stage("masked", task, train, valid, section)
