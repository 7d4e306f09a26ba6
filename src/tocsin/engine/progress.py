"""A fit on the screen: a bar for people at a terminal, one plain line per evaluation elsewhere."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tocsin.engine.events import Ended, EvalDone, Event, Started, StepDone


class ProgressBar:
    """An observer that shows how far a stage is."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress: Progress | None = None
        self._stage = ""

    def __call__(self, event: Event) -> None:
        """Move the bar, or write the line of an evaluation."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, StepDone) and self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=event.step, loss=event.result.loss)
        elif isinstance(event, EvalDone):
            self.console.print(describe(self._stage, event), highlight=False, markup=False, soft_wrap=True)
        elif isinstance(event, Ended):
            self.close()

    def close(self) -> None:
        """Leave the screen as it is; a fit that fails never says that it ended."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _start(self, event: Started) -> None:
        self.close()
        self._stage = event.stage
        if not self.console.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        loss = TextColumn("loss {task.fields[loss]:.4f}")
        self._progress = Progress(*columns, loss, TimeRemainingColumn(), console=self.console, transient=True)
        self._progress.add_task(event.stage, total=event.total_steps, completed=event.step, loss=float("nan"))
        self._progress.start()


def describe(stage: str, event: EvalDone) -> str:
    """Return the line of an evaluation."""
    best = "  best so far" if event.improved else ""
    return (
        f"{stage}: epoch {event.epoch:g}, step {event.step}: train loss {event.train_loss:.4f}, "
        f"validation loss {event.loss:.4f}, value {event.report.value:.4f}{best}"
    )
