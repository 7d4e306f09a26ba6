"""The kind of a detector: what it answers with. The code that proves a kind stands in `workflows/kinds/<name>`."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Decision:
    """A verdict: the positive or the negative class, at a threshold.

    Example: `Decision(positive="phishing", negative="legitimate")`.
    """

    positive: str
    negative: str
    name: ClassVar[str] = "decision"


@dataclass(frozen=True)
class Answer:
    """A text that a language model writes, with its sources."""

    name: ClassVar[str] = "answer"


Kind = Decision | Answer
