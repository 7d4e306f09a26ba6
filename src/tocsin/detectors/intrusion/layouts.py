"""The files of the publishers as their own samples: column names, labels, what is mended, what is denied."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tocsin.core.errors import did_you_mean
from tocsin.core.schema import Layout, Row, truth_of
from tocsin.core.types import Sample, field_names, is_numeric
from tocsin.detectors.intrusion.sample import NslKddConnection, UnswFlow
from tocsin.detectors.intrusion.sample_cicids import CicidsFlow

TRUTH = "the truth itself"
IDENTIFIER = "names a host or a connection of one laboratory, not a behaviour"
CLOCK = "attacks were run at known hours: the clock gives the label away"

FAMILIES = {
    "DoS": "apache2 back land mailbomb neptune pod processtable smurf teardrop udpstorm worm",
    "Probe": "ipsweep mscan nmap portsweep saint satan",
    "R2L": "ftp_write guess_passwd httptunnel imap multihop named phf sendmail snmpgetattack snmpguess spy "
    "warezclient warezmaster xlock xsnoop",
    "U2R": "buffer_overflow loadmodule perl ps rootkit sqlattack xterm",
}
"""NSL-KDD: family -> its attack types. Source: Tavallaee et al. 2009, table of attack types."""

FAMILY = {kind: family for family, kinds in FAMILIES.items() for kind in kinds.split()}
"""NSL-KDD: attack type -> family."""

UNSW_ATTACKS = (
    *("Analysis", "Backdoor", "DoS", "Exploits", "Fuzzers"),
    *("Generic", "Reconnaissance", "Shellcode", "Worms"),
)

CICIDS_ATTACKS = (
    *("Bot", "DDoS", "DoS GoldenEye", "DoS Hulk", "DoS Slowhttptest", "DoS slowloris", "FTP-Patator"),
    *("Heartbleed", "Infiltration", "PortScan", "SSH-Patator"),
    *("Web Attack Brute Force", "Web Attack Sql Injection", "Web Attack XSS"),
)


def text(value: Any) -> str:
    """Return a label as stripped text; ValueError if it is missing: a row without truth is no attack."""
    if value is None or value != value or not str(value).strip():
        raise ValueError("the label is missing")
    return str(value).strip()


def binary(value: Any) -> bool:
    """Read 0 or 1 from a number or its text."""
    spoken = {"0": False, "0.0": False, "False": False, "1": True, "1.0": True, "True": True}
    if text(value) not in spoken:
        raise ValueError(f"label {value!r} is neither 0 nor 1")
    return spoken[text(value)]


def known(kind: str, kinds: Sequence[str]) -> str:
    """Return an attack's name; ValueError if it is none of those published: a foreign row is no attack."""
    if kind not in kinds:
        raise ValueError(f"label {kind!r} is not known{did_you_mean(kind, list(kinds))}")
    return kind


def mend(columns: tuple[str, ...], negative: bool = False) -> Callable[[Row], Iterator[str]]:
    """Make a repair that turns what is no number, and negative numbers if asked, into missing values."""

    def repair(row: Row) -> Iterator[str]:
        for name in columns:
            value = row[name]
            try:
                number = 0.0 if value is None else float(value)
            except ValueError:
                continue  # validation refuses the row and says why
            if not math.isfinite(number):
                row[name] = None
                yield f"{name}: {'NaN' if number != number else 'Infinity'} -> missing"
            elif negative and number < 0:
                row[name] = None
                yield f"{name}: negative -> missing"

    return repair


def numbers(sample: type[Sample]) -> tuple[str, ...]:
    """Return the publisher's names of the columns that hold numbers."""
    return tuple(column for name, column in columns(sample).items() if is_numeric(sample, name))


def columns(sample: type[Sample]) -> Mapping[str, str]:
    """Return field -> the publisher's name for it: the field's title, or else the field itself."""
    return {name: sample.model_fields[name].title or name for name in field_names(sample)}


def unsw_label(row: Row) -> Row:
    """Read `label` and `attack_cat`; ValueError where they contradict each other."""
    if "label" not in row:
        return truth_of(None)
    positive, kind = (
        binary(row["label"]),
        text(row.get("attack_cat", "Normal")).replace("Backdoors", "Backdoor"),
    )
    if positive == (kind == "Normal"):
        raise ValueError(f"label {row['label']!r} contradicts attack_cat {kind!r}")
    return truth_of(positive, known(kind, UNSW_ATTACKS) if positive else None)


def nsl_kdd_label(row: Row) -> Row:
    """Read the attack type as the category, so that reports tell known types from unseen ones."""
    if "label" not in row:
        return truth_of(None)
    kind = text(row["label"]).rstrip(".")
    return truth_of(False) if kind == "normal" else truth_of(True, known(kind, tuple(FAMILY)))


def cicids_label(row: Row) -> Row:
    """Read the label; the dash in `Web Attack - XSS` is mangled in most copies, so ends are compared."""
    if "Label" not in row:
        return truth_of(None)
    kind = text(row["Label"])
    if kind.startswith("Web Attack"):
        ends = [name for name in CICIDS_ATTACKS if name.startswith("Web") and kind.endswith(name[10:])]
        kind = ends[0] if ends else kind
    return truth_of(False) if kind == "BENIGN" else truth_of(True, known(kind, CICIDS_ATTACKS))


def port(value: Any) -> str | None:
    """Return a port number as text: 80, 80.0 and "80" are one; ValueError beyond 0 to 65535."""
    if value is None:
        return None
    number = float(value)
    if not (number.is_integer() and 0 <= number <= 65535):
        raise ValueError(f"{value!r} is not a port")
    return str(int(number))


def cicids_record(row: Row) -> Row:
    """Return the fields of a CicidsFlow."""
    record = {name: row[column] for name, column in _CICIDS.items()}
    record["destination_port"] = port(record["destination_port"])
    return record


_CICIDS = columns(CicidsFlow)

UNSW = Layout(
    name="unsw",
    columns=frozenset(columns(UnswFlow).values()) | {"id", "attack_cat", "label"},
    record=lambda row: {name: row[name] for name in UnswFlow.model_fields},
    truth=unsw_label,
    denied={"id": IDENTIFIER, "attack_cat": TRUTH, "label": TRUTH},
    repair=mend(numbers(UnswFlow)),
)

NSL_KDD = Layout(
    name="nsl_kdd",
    columns=frozenset(columns(NslKddConnection).values()) | {"label"},
    record=lambda row: {name: row[name] for name in NslKddConnection.model_fields},
    truth=nsl_kdd_label,
    denied={"label": TRUTH, "difficulty": "made from the votes of classifiers that knew the label"},
    header=(*columns(NslKddConnection).values(), "label", "difficulty"),
    repair=mend(numbers(NslKddConnection)),
)

CICIDS = Layout(
    name="cicids",
    columns=frozenset(_CICIDS.values()) | {"Label"},
    record=cicids_record,
    truth=cicids_label,
    denied={
        "Label": TRUTH,
        "Fwd Header Length.1": "the same column a second time",
        **dict.fromkeys(("Flow ID", "Source IP", "Destination IP", "Source Port"), IDENTIFIER),
        "Timestamp": CLOCK,
        "Protocol": "only in some copies of the files",
    },
    repair=mend(numbers(CicidsFlow), negative=True),
    encoding="cp1252",
)
