"""Made messages in six languages whose label no word, link or length gives away.

Every message says what to do in two cases: it was you, or it was somebody else. One case asks for nothing,
the other for a secret. It is phishing where the secret is asked of whom knows nothing of the matter. Both
kinds of messages are made of the same phrases, in either order: only which belongs to which tells them apart.
"""

import csv
import io
import random
from pathlib import Path
from typing import Any

import yaml

from tocsin.core.durable import write_text

PHRASES = Path(__file__).with_name("demo_phrases.yaml")
NAMES = ("Amani", "Li", "Olga", "Diego", "Jonas", "Grace", "Mei", "Ivan", "Lucia", "Anna")
KINDS = ("credentials", "credentials", "credentials", "fee")
"""Kind of a positive by the place of its phrase in `act`."""
COLUMNS = (
    "text", "subject", "language", "channel", "label", "category", "source", "origin", "group", "sender_domain", "time",
)  # fmt: skip
LISTED = (10, 15)
"""How many things a message lists, at least, and one more than at most."""
WRONG = 0.02
"""Share of the labels that are wrong, as in every collection."""
DAY = 1_760_000_000


def make(folder: Path, seed: int, rows: int = 6_000) -> Path:
    """Write `made-messages.csv` in the layout `message`; the same seed writes the same bytes."""
    rng = random.Random(seed)
    phrases = yaml.safe_load(PHRASES.read_text(encoding="utf-8"))
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(make_message(number, phrases, rng) for number in range(rows))
    path = folder / "made-messages.csv"
    write_text(path, out.getvalue())
    return path


def make_message(number: int, phrases: dict[str, dict[str, list[str]]], rng: random.Random) -> dict[str, Any]:
    """Return one message as a row."""
    language = rng.choice(list(phrases))
    own = phrases[language]
    positive = rng.random() < 0.4
    label = positive != (rng.random() < WRONG)
    place = rng.randrange(len(own["act"]))
    advice = [rng.choice(own["rest"]), own["act"][place]]
    cases = [rng.choice(own[name]) for name in (("did", "not") if positive else ("not", "did"))]
    halves = [f"{case} {rng.choice(own['filler'])} {what}" for case, what in zip(cases, advice, strict=True)]
    rng.shuffle(halves)
    listed = _list_items(own["items"], rng)
    detail = rng.choice(own["detail"]).format(items=listed)
    parts = [
        rng.choice(own["opening"]),
        rng.choice(own["event"]),
        *halves,
        detail,
        rng.choice(own["closing"]),
    ]
    channel = rng.choice(["email", "sms", "chat"])
    return {
        "text": _fill(" ".join(parts), rng),
        "subject": _fill(rng.choice(own["event"]), rng) if channel == "email" else "",
        "language": language,
        "channel": channel,
        "label": int(label),
        "category": KINDS[place] if label else "",
        "source": f"made-{rng.randrange(4)}",
        "origin": "made",
        "group": number,
        "sender_domain": f"sender-{rng.randrange(40)}.example",
        "time": DAY + 60 * number,
    }


def _list_items(items: list[str], rng: random.Random) -> str:
    """List what a message is about: half of its letters, or all messages would be near-duplicates of each other."""
    glue = ", " if items[0].isalpha() and items[0][0] < "\u2e80" else "、"
    return glue.join(rng.sample(items, rng.randrange(*LISTED)))


def _fill(text: str, rng: random.Random) -> str:
    host = rng.choice(["service", "login", "portal", "help"]) + str(rng.randrange(100))
    return text.format(
        name=rng.choice(NAMES),
        amount=f"{rng.randrange(5, 900)}.{rng.randrange(100):02d} €",
        link=f"https://{host}.example/{rng.choice(['a', 'id', 'x'])}{rng.randrange(1000)}",
    )
