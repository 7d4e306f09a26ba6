"""The run's own history: two CSV files and a JSON file that an interrupted and resumed run leaves the same.

`steps_history.csv` has a line every `log_every` steps, `metrics_history.csv` a line per evaluation,
`history.json` the evaluations. Only the columns `*seconds` differ between two runs of one recipe
and seed on a CPU.
"""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tocsin.core.durable import write_json, write_text
from tocsin.engine.checkpoint import writing
from tocsin.engine.events import Ended, EvalDone, Event, Saving, Started, StepDone

Row = dict[str, Any]
STEPS, EVALUATIONS = "steps_history.csv", "metrics_history.csv"


class Table:
    """A CSV file that grows by rows with a `step`; the first row decides the columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._columns: list[str] = []

    def truncate(self, step: int) -> None:
        """Drop the rows after a step, and a last row that was cut short by a crash."""
        self.close()
        rows = [row for row in read_table(self.path) if int(row["step"]) <= step]
        if not rows:
            self.path.unlink(missing_ok=True)
            return
        self._columns = list(rows[0])
        write_text(self.path, _format([self._columns, *[list(row.values()) for row in rows]]))

    def append(self, row: Row) -> None:
        """Add a row; a value without a column of its own is left out, a missing one is empty."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8", newline="")
            if not self._file.tell():
                self._columns = list(row)
                self._file.write(_format([self._columns]))
        self._file.write(_format([[row.get(name, "") for name in self._columns]]))
        self._file.flush()

    def sync(self) -> None:
        """Bring every row to the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let the file go; the next row opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the complete rows of a history file; no file is no rows."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if None not in row.values()]


def _format(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


class History:
    """An observer that writes the history of one stage into its folder."""

    def __init__(self, folder: Path, log_every: int) -> None:
        self.folder, self.log_every = folder, log_every
        self.steps = Table(folder / STEPS)
        self.evaluations = Table(folder / EVALUATIONS)

    def __call__(self, event: Event) -> None:
        """Write what happened, or forget what a resumed run will do again; a TocsinError names the folder."""
        with writing(self.folder):
            self._follow(event)

    def _follow(self, event: Event) -> None:
        if isinstance(event, StepDone) and event.step % self.log_every == 0:
            self.steps.append(step_row(event))
        elif isinstance(event, EvalDone):
            self.evaluations.append(evaluation_row(event))
        elif isinstance(event, Started):
            for table in (self.steps, self.evaluations):
                table.truncate(event.step)
        elif isinstance(event, Saving):
            self._sync()
        elif isinstance(event, Ended):
            try:
                self._sync()
            finally:
                self.steps.close()
                self.evaluations.close()

    def _sync(self) -> None:
        self.steps.sync()
        self.evaluations.sync()
        write_json(self.folder / "history.json", read_evaluations(self.folder))


def read_evaluations(folder: Path) -> list[Row]:
    """Return the evaluations of a stage from its folder."""
    rows = read_table(folder / EVALUATIONS)
    return [{name: _number(text) for name, text in row.items()} for row in rows]


def _number(text: str) -> float | int | str | None:
    if text in ("", "nan", "inf", "-inf"):
        return text or None
    return int(text) if text.lstrip("-").isdigit() else float(text)


def step_row(event: StepDone) -> Row:
    """Return the line of a step."""
    result = event.result
    return {
        "step": event.step,
        "epoch": round(event.epoch, 6),
        "loss": result.loss,
        "accuracy": accuracy(event),
        "learning_rate": event.rate,
        "norm_before": result.norm_before,
        "norm_after": result.norm_after,
        "skipped": int(result.skipped),
        "data_seconds": event.data_seconds,
        "step_seconds": result.seconds,
    }


def evaluation_row(event: EvalDone) -> Row:
    """Return the line of an evaluation; the report's metrics follow in the order of their names."""
    fixed = {
        "step": event.step,
        "epoch": round(event.epoch, 6),
        "train_loss": event.train_loss,
        "val_loss": event.loss,
        "value": event.report.value,
        "improved": int(event.improved),
        "learning_rate": event.rate,
        "duration_seconds": event.seconds,
    }
    return fixed | {f"val_{name}": value for name, value in sorted(event.report.metrics.items())}


def accuracy(event: StepDone) -> float:
    """Return the share of right predictions of the first output that has a target; NaN without one."""
    known = [o.accuracy for o in event.result.outputs.values() if o.accuracy == o.accuracy]
    return known[0] if known else float("nan")


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among some values, for trackers that take no others."""
    found = {name: float(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value - value == 0}
