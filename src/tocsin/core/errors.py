"""Errors that a user can act on, and the exit codes that they end the program with.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a check failed: the work was done and the answer is no |
| 2 | bad input: a file, row, key or value, or a file that cannot be used; before the first fit it leaves no trace |
| 3 | training collapsed; `collapse_report.json` says why |
| 4 | stopped by a signal after a checkpoint; run again with `--resume` |
| 5 | a process of several was lost: killed, or out of memory; run again with `--resume` |
| 10 | `tocsin scan` found something: at least one target is positive, even if others could not be read |
"""

from difflib import get_close_matches

FOUND = 10
"""Exit code of a scan that found something: not an error, so no exception has it."""


class TocsinError(Exception):
    """An error with a one-line message for the user; anything else that escapes is a bug."""

    exit_code: int = 2


class InputError(TocsinError):
    """Bad input. The message names the file, row, key or value."""


class CheckFailed(TocsinError):
    """A check was carried out and did not pass."""

    exit_code = 1


class TrainingCollapsed(TocsinError):
    """The collapse guard stopped a run. The message names the report."""

    exit_code = 3


class Interrupted(TocsinError):
    """A signal stopped a run after its checkpoint was written."""

    exit_code = 4


class ProcessLost(TocsinError):
    """A process of several that train together is gone."""

    exit_code = 5


class Told(TocsinError):
    """The leading process failed and has said why: this one only ends with the same code."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = code


def did_you_mean(word: str, known: list[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or an empty string."""
    nearest = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
