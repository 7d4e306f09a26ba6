"""The runtime `chat`: a language model that answers each sample with a text. What generates is the detector's own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tocsin.artifact.manifest import GOLDEN
from tocsin.core.detector import Detector
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.language import GOLDEN_LIMITS, LanguageModel
from tocsin.core.plugins import resolve
from tocsin.core.types import Files, Sample
from tocsin.serve.answer import STREAM, Desk, Replies, Reply, answer_endpoint, write
from tocsin.serve.body import Reader
from tocsin.serve.problems import Problem
from tocsin.serve.route import FROM_SAMPLES, Route, reference, samples_body
from tocsin.serve.service import Offer, Watch
from tocsin.serve.state import ServerState

BY_EVENTS = {
    "name": "stream",
    "in": "query",
    "required": False,
    "description": (
        f"`?{STREAM.decode()}` answers by server-sent events, one a token with the data `{{sample, text}}`; the"
        " last is `answers`, with what is answered otherwise, or `problem`"
    ),
    "schema": {"type": "integer", "enum": [1]},
}

EVENT = {
    "type": "object",
    "properties": {"event": {"enum": ["answers", "problem"]}, "data": {"type": "string"}},
    "required": ["data"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Golden:
    """A sample, and the text that the model answered when it was proved."""

    sample: Sample
    answer: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sample: dict[str, Any]
    answer: str


class ChatService:
    """An artifact and, once its golden answers were written again, its language model."""

    answers: ClassVar[tuple[type[BaseModel], ...]] = (Replies, Reply)

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.golden = 0
        self._model: LanguageModel | None = None

    @property
    def is_ready(self) -> bool:
        """Tell whether the golden samples were answered with the same texts as when the model was proved."""
        return self._model is not None

    def load(self, watch: Watch = lambda _stage, _seconds: None) -> None:  # noqa: ARG002 - answers are timed as a whole
        """Load the model and write the golden answers again.

        Errors: InputError when the detector or the golden answers are no good, CheckFailed when a text differs.
        """
        model = loader_of(self.offer.detector)(dict(self.offer.artifact.files))
        golden = read_golden(self.offer.artifact.files.get(GOLDEN, b""), self.offer.schema.sample)
        replay(golden, model)
        self.golden, self._model = len(golden), model

    def routes(self, state: ServerState) -> Iterator[Route]:
        """Yield `answer`."""
        most = state.settings.max_answers
        desk = Desk(state, self.offer, Reader(self.offer.schema.sample, most), self._ready)
        yield Route(
            "POST",
            f"/v1/{self.offer.address}/answer",
            answer_endpoint(desk),
            f"{self.offer.detector.summary}: one sample or a short list",
            reference("Replies"),
            event=EVENT,
            body=samples_body(self.offer, most),
            parameters=[BY_EVENTS],
            problems=FROM_SAMPLES,
        )

    def card(self) -> dict[str, Any]:
        """Return how it answers."""
        return {"decoding": "greedy", "streams": True}

    def _ready(self) -> LanguageModel:
        if self._model is None:
            raise Problem("not-ready")
        return self._model


def loader_of(detector: Detector) -> Callable[[Files], LanguageModel]:
    """Return what makes a detector's language model; InputError where there is none, or it cannot be imported."""
    if detector.answer is None:
        raise InputError(f"detector {detector.name!r} has no language model: its `answer` names none")
    try:
        return cast(Callable[[Files], LanguageModel], resolve(detector.answer))
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the language model of {detector.name!r} cannot be imported here: {error}"
        ) from None


def read_golden(content: bytes, sample: type[Sample]) -> tuple[Golden, ...]:
    """Parse lines of `{"sample", "answer"}`; InputError names the line, and a file without lines is refused."""
    adapter = TypeAdapter(sample)
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            raw = _Line.model_validate_json(line)
            found.append(Golden(adapter.validate_python(raw.sample), raw.answer))
        except ValidationError:
            raise InputError(f"{GOLDEN}:{number}: not a golden answer to a {sample.__name__}") from None
    if not found:
        raise InputError(
            f"{GOLDEN} is missing or empty: nothing shows that this model still answers as it did"
        )
    return tuple(found)


def replay(golden: Sequence[Golden], model: LanguageModel) -> None:
    """Write the golden answers again; CheckFailed names the first line whose text differs."""
    for number, line in enumerate(golden, start=1):
        if "".join(write(model, line.sample, GOLDEN_LIMITS)) != line.answer:
            raise CheckFailed(f"{GOLDEN}:{number}: the answer is not what it was when the model was proved")
