"""Made requests and the rules that they ask for; no file of the real world is like it."""

import csv
import random
from pathlib import Path

SERVICES = {
    "ssh": 22, "telnet": 23, "mail": 25, "dns": 53, "web": 80, "ntp": 123, "ldap": 389, "rdp": 3389
}  # fmt: skip
ZONES = {
    "guests": 10, "printers": 20, "cameras": 30, "labs": 40, "offices": 50, "kiosks": 60, "doors": 70, "phones": 80
}  # fmt: skip
WORDINGS = {
    "pass": ("let {zone} use {service}", "open {service} for {zone}", "{zone} may use {service}"),
    "block": ("keep {zone} off {service}", "close {service} to {zone}", "{zone} must not use {service}"),
}
BEFORE = ("", "please ")


def make(folder: Path, seed: int, *, shuffled: bool = False) -> Path:
    """Write every wording for each zone and service; shuffled rules have nothing to do with their requests."""
    rng = random.Random(seed)
    rows = [
        (
            before + wording.format(zone=zone, service=service),
            f"{verb} {port} vlan {vlan}",
            f"{zone} {service}",
        )
        for service, port in SERVICES.items()
        for zone, vlan in ZONES.items()
        for verb, wordings in WORDINGS.items()
        for wording in wordings
        for before in BEFORE
    ]
    requests, rules, pairs = zip(*rng.sample(rows, len(rows)), strict=True)
    if shuffled:
        rules = rng.sample(rules, len(rules))
    path = folder / "requests.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("request", "rule", "pair"), *zip(requests, rules, pairs, strict=True)])
    return path
