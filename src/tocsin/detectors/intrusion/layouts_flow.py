"""The files of all publishers seen as one flow, so that a model of one is tried on another.

Publishers count different things; here all count payload. UNSW-NB15 (Argus) counts from the IP header on:
its smallest ARP packets have 28 bytes, and its DNS queries mostly 57 to 73, where CICIDS2017 counts 29 to 45.
So 28 bytes a packet are taken off for UDP and 40 for TCP; TCP options, up to 12 bytes a packet, stay in.
Rates are computed again from the counts. What has no meaning (the mean size of no packets, the time between
packets when there is one) is missing, although publishers write 0.
"""

from dataclasses import dataclass, replace
from typing import Any

from tocsin.core.schema import Layout, Row, truth_of
from tocsin.detectors.intrusion.layouts import (
    CICIDS,
    CLOCK,
    IDENTIFIER,
    NSL_KDD,
    TRUTH,
    UNSW,
    binary,
    columns,
    mend,
    numbers,
    port,
    text,
)
from tocsin.detectors.intrusion.sample import Flow

HEADERS = {"tcp": 40, "udp": 28, "arp": 28}
"""Protocol -> bytes of the headers that Argus counts in a packet; 20 for the others, which are bare IP."""

PORTS = {
    "dns": (53, 5353), "http": (80, 8080), "tls": (443, 8443), "ssh": (22,), "ftp": (21,), "ftp-data": (20,),
    "smtp": (25, 465, 587), "pop3": (110, 995), "snmp": (161, 162), "dhcp": (67, 68), "radius": (1812, 1813),
    "irc": (6667,), "ntp": (123,), "ldap": (389, 636, 3268), "netbios": (137, 138, 139), "smb": (445,),
    "kerberos": (88,),
}  # fmt: skip

ALIASES = {
    "dns": ("domain", "domain_u"), "http": ("http_8001",), "tls": ("ssl", "http_443"), "pop3": ("pop_3",),
    "netbios": ("netbios_dgm", "netbios_ns", "netbios_ssn"), "ntp": ("ntp_u",), "ftp-data": ("ftp_data",),
    "irc": ("IRC",),
}  # fmt: skip

SERVICES = {
    **{service: service for service in PORTS},
    **{alias: service for service, aliases in ALIASES.items() for alias in aliases},
    **{str(number): service for service, numbers in PORTS.items() for number in numbers},
}
"""Port or a publisher's service -> service; all others are `other`."""


@dataclass(frozen=True)
class Side:
    """What one side of a flow sent; None is unknown."""

    packets: float | None
    payload: float | None
    gap_ms: float | None = None
    """Mean time between packets."""


def measure(seconds: float | None, forward: Side, backward: Side, service: str | None) -> Row:
    """Return the fields of a Flow; rates and means are computed here for every publisher alike."""
    row: Row = {"duration_seconds": seconds, "service": service}
    for name, side in (("forward", forward), ("backward", backward)):
        row[f"{name}_packets"] = side.packets
        row[f"{name}_bytes"] = side.payload
        row[f"{name}_mean_size"] = divide(side.payload, side.packets)
        row[f"{name}_interarrival_ms"] = side.gap_ms if (side.packets or 0) >= 2 else None
    row["packets_per_second"] = divide(add(forward.packets, backward.packets), seconds)
    row["bytes_per_second"] = divide(add(forward.payload, backward.payload), seconds)
    return row


def add(a: float | None, b: float | None) -> float | None:
    """Return a + b, or None where one is unknown."""
    return None if a is None or b is None else a + b


def divide(a: float | None, b: float | None) -> float | None:
    """Return a / b, or None where one is unknown or b is 0."""
    return None if a is None or not b else a / b


def number(value: Any, unit: float = 1.0) -> float | None:
    """Return a number times its unit; text is read."""
    return None if value is None else float(value) * unit


def spare(size: float | None, packets: float | None, header: int) -> float | None:
    """Return the payload of packets whose headers were counted, at least 0."""
    return None if size is None or packets is None else max(0.0, size - packets * header)


def unsw_flow(row: Row) -> Row:
    """Read UNSW-NB15: seconds, milliseconds, headers counted."""
    header = HEADERS.get(row["proto"], 20)
    sent, answered = number(row["spkts"]), number(row["dpkts"])
    return measure(
        number(row["dur"]),
        Side(sent, spare(number(row["sbytes"]), sent, header), number(row["sinpkt"])),
        Side(answered, spare(number(row["dbytes"]), answered, header), number(row["dinpkt"])),
        SERVICES.get(row["service"], "other"),
    )


def nsl_kdd_flow(row: Row) -> Row:
    """Read NSL-KDD: whole seconds and payload; it counts no packets."""
    forward, backward = Side(None, number(row["src_bytes"])), Side(None, number(row["dst_bytes"]))
    return measure(number(row["duration"]), forward, backward, SERVICES.get(row["service"], "other"))


def cicids_flow(row: Row) -> Row:
    """Read CICIDS2017: microseconds and payload; the service is that of the destination port."""
    at = port(row["Destination Port"])
    sides = [
        Side(number(row[packets]), number(row[size]), number(row[gap], 1e-3))
        for packets, size, gap in (
            ("Total Fwd Packets", "Total Length of Fwd Packets", "Fwd IAT Mean"),
            ("Total Backward Packets", "Total Length of Bwd Packets", "Bwd IAT Mean"),
        )
    ]
    service = None if at is None else SERVICES.get(at, "other")
    return measure(number(row["Flow Duration"], 1e-6), sides[0], sides[1], service)


def flow_label(row: Row) -> Row:
    """Read `label`, 0 or 1 or normal or attack, and `category` where there is one."""
    if "label" not in row:
        return truth_of(None)
    spoken = {"normal": False, "attack": True}
    positive = spoken[text(row["label"])] if text(row["label"]) in spoken else binary(row["label"])
    return truth_of(positive, row.get("category") if positive else None)


FLOW = Layout(
    name="flow",
    columns=frozenset(columns(Flow)) | {"label"},
    record=lambda row: {name: row[name] for name in Flow.model_fields},
    truth=flow_label,
    denied={
        "label": TRUTH,
        "category": TRUTH,
        "origin": "says where the row comes from, not what it is",
        "host": IDENTIFIER,
        "time": CLOCK,
    },
    repair=mend(numbers(Flow)),
)


FLOW_LAYOUTS = (
    FLOW,
    replace(UNSW, record=unsw_flow),
    replace(NSL_KDD, record=nsl_kdd_flow),
    replace(CICIDS, record=cicids_flow),
)
