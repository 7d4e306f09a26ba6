"""A sealed model that is open. It answers rows and raw files, and tells what is sealed with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, overload

from tocsin.artifact.manifest import Manifest
from tocsin.core.encoder import Calibration
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.types import Sample, Verdict, field_names
from tocsin.face.rows import names_of, read_samples
from tocsin.serve.predictor import Predictor
from tocsin.workflows.using.stores import Source

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from tocsin.face.estimator import SealedClassifier
    from tocsin.metrics.evaluation import EvaluationReport
    from tocsin.workflows.using.scanned import Scanned

    Rows: TypeAlias = Iterable[Mapping[str, Any]] | pl.DataFrame | pd.DataFrame

CARD = "card.md"


@dataclass(frozen=True)
class Opened(Source):
    """A source that is open already. A workflow that gets it uses the same model, and loads nothing again."""

    loaded: Predictor = field(kw_only=True, repr=False)

    def predictor(self) -> Predictor:
        """Return the model that was loaded, verified and replayed once."""
        return self.loaded


def open(  # noqa: A001 - `tocsin.open`, as in `gzip.open`
    artifact: str | Path,
    *,
    store: str | Path = "store",
    key: str | Path | None = None,
    require_signature: bool = False,
) -> "Model":
    """Open an artifact. Every byte is checked, and the model must answer its golden samples as it did.

    `artifact` is a folder, or `detector@alias` or `detector:version` in the folder `store`. `key` is a public key
    (PEM), and the artifact must be signed with it. `require_signature` refuses to go on without a key.
    InputError where the artifact cannot be read or was changed. CheckFailed where an answer differs.

    >>> import tocsin
    >>> model = tocsin.open("runs/tiny/seed_1/artifact")
    >>> model
    Model(intrusion 'tiny', sample 'flow', digest ...)
    """
    source = Source(str(artifact), Path(store), None if key is None else Path(key), require_signature)
    return Model(Opened(**vars(source), loaded=source.predictor()))


@dataclass(frozen=True, repr=False, eq=False)
class Model:
    """One sealed model. It never changes, so a copy is the model itself, and a pickle is its name and digest.

    >>> import tocsin
    >>> model = tocsin.open("runs/tiny/seed_1/artifact")
    >>> verdict = model.predict(model.examples[0], explain=2)
    >>> verdict.label in model.classes, len(verdict.evidence)
    (True, 2)
    """

    source: Opened

    @property
    def manifest(self) -> Manifest:
        """Version, inputs and outputs, data, metrics and provenance, as they are sealed.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").manifest.detector
        'intrusion'
        """
        return self._predictor.artifact.manifest

    @property
    def digest(self) -> str:
        """The sha256 that stands for every byte in the artifact. Each verdict carries it.

        >>> import tocsin
        >>> len(tocsin.open("runs/tiny/seed_1/artifact").digest)
        64
        """
        return self._predictor.artifact.digest

    @property
    def sample(self) -> type[Sample]:
        """The class of a row. `sample.model_json_schema()` has each field with its type, bounds and meaning.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").sample.model_fields["service"].description
        'service, such as dns, http, tls or other; null if unknown'
        """
        return self._predictor.schema.sample

    @property
    def fields(self) -> list[str]:
        """The names of a row's fields in their order. `frame[model.fields]` leaves the other columns out.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").fields[:2]
        ['duration_seconds', 'forward_packets']
        """
        return field_names(self.sample)

    @property
    def classes(self) -> tuple[str, str]:
        """The two labels of a verdict, the negative one first.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").classes
        ('normal', 'attack')
        """
        return self.calibration.negative, self.calibration.positive

    @property
    def calibration(self) -> Calibration:
        """How a score becomes a verdict, such as by its threshold and the thresholds of slices.

        >>> import tocsin
        >>> model = tocsin.open("runs/tiny/seed_1/artifact")
        >>> 0 < model.calibration.threshold < 1
        True
        """
        return self.manifest.calibrated

    @property
    def examples(self) -> list[dict[str, Any]]:
        """The rows that are sealed with the model. Each was answered again when the model was opened.

        >>> import tocsin
        >>> sorted(tocsin.open("runs/tiny/seed_1/artifact").examples[0])[:2]
        ['backward_bytes', 'backward_interarrival_ms']
        """
        return [sample.model_dump() for sample in self._predictor.golden_samples()]

    @property
    def card(self) -> str:
        """The model card in Markdown. It says what the model answers, what was measured, and its limits.

        >>> import tocsin
        >>> print(tocsin.open("runs/tiny/seed_1/artifact").card.splitlines()[0])
        ---
        """
        if CARD not in self._predictor.artifact.files:
            raise InputError(f"{self.source.name}: the artifact holds no {CARD}")
        return self._predictor.artifact.files[CARD].decode()

    @property
    def report(self) -> "EvaluationReport":
        """The sealed evaluation of this model and its baselines on the same test rows. It needs the extra `train`.

        >>> import tocsin
        >>> report = tocsin.open("runs/tiny/seed_1/artifact").report
        >>> report.models[report.primary].metrics["roc_auc"].value > 0.5
        True
        """
        from tocsin.workflows.judging.answers import sealed_report

        return sealed_report(self._predictor.artifact)

    @overload
    def predict(self, rows: Mapping[str, Any], explain: int = 0) -> Verdict: ...

    @overload
    def predict(self, rows: "Rows", explain: int = 0) -> list[Verdict]: ...

    def predict(self, rows: "Mapping[str, Any] | Rows", explain: int = 0) -> Verdict | list[Verdict]:
        """Return the verdict on one dict, or a list of verdicts on dicts or a frame of polars or pandas.

        A row gets the same verdict alone and among others, here and from the server. `explain` is how many reasons
        each verdict has, the strongest first; the model then runs many times a row.
        InputError names the row, counted from 0, and the field that cannot be read.

        >>> import tocsin
        >>> model = tocsin.open("runs/tiny/seed_1/artifact")
        >>> [verdict.label in model.classes for verdict in model.predict(model.examples[:2])]
        [True, True]
        >>> model.predict({"duration": 3.5})
        Traceback (most recent call last):
        tocsin.core.errors.InputError: row 0: 'duration' is no field of 'flow'; did you mean ...
        """
        if explain < 0:
            raise InputError(f"explain is how many reasons a verdict has, 0 or more, not {explain}")
        if isinstance(rows, Mapping):
            return self.predict([rows], explain)[0]
        blocks = read_samples(rows, self._predictor.schema)
        return [verdict for block in blocks for verdict in self._predictor.predict(block, explain)]

    def scan(self, files: str | Path | Iterable[str | Path], explain: int = 0) -> "Iterator[Scanned]":
        """Yield what was found for each thing in raw files, such as each message of a mailbox for `phishing`.

        A message that cannot be read has a reason and no verdict. Only what is positive or is to
        go to a person, gets `explain` reasons. InputError where the detector reads no raw files.

            for found in tocsin.open("phishing@champion").scan("inbox.mbox", explain=3):
                print(found.name, found.verdict.label if found.verdict else found.reason)

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").scan("flows.pcap")
        Traceback (most recent call last):
        tocsin.core.errors.InputError: detector 'intrusion' reads no raw files...
        """
        from tocsin.workflows.using.scan import Scan

        run = Scan(self.source, names_of(files), explain)
        _ = run.reader  # refuses now, and not when the first finding is asked for
        return run.results()

    def estimator(self, classes: tuple[Any, Any] | None = None) -> "SealedClassifier":
        """Return the model as a classifier of scikit-learn that is fitted already.

        `classes` says how the truth is written, negative first, such as (0, 1). Without it, as in `Model.classes`.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").estimator(classes=(0, 1)).classes_
        array([0, 1])
        """
        from tocsin.face.estimator import SealedClassifier

        return SealedClassifier(self, classes)

    @property
    def _predictor(self) -> Predictor:
        return self.source.loaded

    def __repr__(self) -> str:
        made = self.manifest
        return f"Model({made.detector} {made.name!r}, sample {made.sample!r}, digest {self.digest[:12]})"

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        given = {name: value for name, value in vars(self.source).items() if name != "loaded"}
        return _reopen, (Source(**given), self.digest)


def _reopen(source: Source, digest: str) -> Model:
    """Open the same artifact in another process. CheckFailed where its name stands for another one by now."""
    model = Model(Opened(**vars(source), loaded=source.predictor()))
    if model.digest != digest:
        raise CheckFailed(f"{source.name} is no longer the artifact {digest[:12]}, but {model.digest[:12]}")
    return model
