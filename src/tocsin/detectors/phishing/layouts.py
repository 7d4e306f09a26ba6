"""The files that messages come in: our own columns, and the collection of public sources, by two truths."""

from collections.abc import Callable, Iterator
from typing import Any

from tocsin.core.private_data import mask_secrets
from tocsin.core.schema import Layout, Row, truth_of
from tocsin.detectors.phishing.language import identify

TRUTH = "the truth itself"
SENDER = "who sent it, cheap to change; only to keep senders on one side of a split"
COLLECTION = "which collection the message came from, which gives its label away"
PUBLISHED = "says how the collection was divided"

POSITIVE = frozenset({"1", "1.0", "true", "yes", "phishing", "spam", "smishing", "fraud", "scam", "bad"})
NEGATIVE = frozenset({"0", "0.0", "false", "no", "legitimate", "legit", "ham", "good"})

FIELDS = ("text", "subject", "language", "channel")
_MEASURED = ("truncated", "has_html", "n_urls", "year")


def read_label(value: Any) -> bool:
    """Read a label in the words that people use; ValueError for any other."""
    word = str(value).strip().lower()
    if value is None or word not in POSITIVE | NEGATIVE:
        raise ValueError(
            "the label is missing" if value is None else f"label {value!r} is neither yes nor no"
        )
    return word in POSITIVE


def own_label(row: Row) -> Row:
    """Read `label` and, where it is there, `category`."""
    if "label" not in row:
        return truth_of(None)
    positive = read_label(row["label"])
    return truth_of(positive, (row.get("category") or None) if positive else None)


def loose_label(row: Row) -> Row:
    """Phishing, smishing, fraud and spam against legitimate."""
    if "label" not in row:
        return truth_of(None)
    positive = read_label(row["label"])
    return truth_of(positive, row.get("category") if positive else None)


def strict_label(row: Row) -> Row:
    """Phishing and smishing against everything else, spam too."""
    if "is_phishing_strict" not in row:
        return truth_of(None)
    positive = read_label(row["is_phishing_strict"])
    return truth_of(positive, row.get("category") if positive else None)


def name_language(row: Row) -> str:
    """Return the language that a file states, else the one that the text looks like."""
    return str(row.get("language") or "") or identify(str(row["text"] or ""))


def record(row: Row) -> Row:
    """Return the fields of a Message; what a file does not have is missing."""
    return {name: row.get(name) for name in FIELDS}


def skip_links(row: Row) -> str | None:
    """Leave out rows that are a bare link: they are another task."""
    return "a bare link, not a message" if row.get("channel") == "url" else None


def skip_translated(row: Row) -> str | None:
    """Leave out bare links, and machine translations: what they translate stands in other sources."""
    is_translated = row.get("text_origin") == "machine_translated"
    return skip_links(row) or ("a machine translation" if is_translated else None)


def skip_undecided(row: Row) -> str | None:
    """Leave out bare links, and rows whose strict truth nobody knows."""
    unknown = row.get("is_phishing_strict", 0) is None
    return skip_links(row) or ("nobody knows whether it is phishing" if unknown else None)


def hide_secrets(row: Row) -> Iterator[str]:
    """Mask keys and tokens: some messages are sealed with the artifact, and models remember."""
    for name in ("text", "subject"):
        if (text := row.get(name)) and (masked := mask_secrets(text)) != text:
            row[name] = masked
            yield "a key or token -> [secret]"


_FACETS = {
    "source": "source",
    "language": "language",
    "channel": "channel",
    "origin": "text_origin",
    "split": "split",
}
_DENIED = {
    "label": TRUTH,
    "is_phishing_strict": TRUTH,
    "category": TRUTH,
    "source_label": TRUTH,
    "label_quality": COLLECTION,
    "source": COLLECTION,
    "id": COLLECTION,
    "group": "names near-duplicates",
    "split": PUBLISHED,
    "text_origin": COLLECTION,
    "language_basis": COLLECTION,
    **dict.fromkeys(_MEASURED, "measured on the raw files of some collections only"),
}
_COLUMNS = frozenset({"text", "language", "channel", *_DENIED})

OWN = Layout(
    name="message",
    columns=frozenset({"text", "label"}),
    optional=frozenset({"subject", "language", "channel"}),
    record=record,
    truth=own_label,
    repair=hide_secrets,
    denied={
        "label": TRUTH,
        "category": TRUTH,
        "source": COLLECTION,
        "origin": COLLECTION,
        "group": "names near-duplicates",
        "sender_domain": SENDER,
        "time": "when it was sent",
        "split": PUBLISHED,
    },
    facets={
        "source": "source",
        "language": name_language,
        "channel": "channel",
        "origin": "origin",
        "split": "split",
    },
)


def _collection(name: str, truth: Callable[[Row], Row], skip: Callable[[Row], str | None]) -> Layout:
    """Return a view of the collection of public sources: under which truth, without which rows."""
    return Layout(
        name=name,
        columns=_COLUMNS,
        record=record,
        truth=truth,
        repair=hide_secrets,
        denied=_DENIED,
        facets=_FACETS,
        skip=skip,
    )


MESSAGES = _collection("messages", loose_label, skip_links)
STRICT = _collection("messages_strict", strict_label, skip_undecided)
ORIGINAL = _collection("messages_original", loose_label, skip_translated)

LAYOUTS = (OWN, MESSAGES, STRICT, ORIGINAL)
