"""Checks of the split: duplicates, near-duplicates, groups and times that are on both sides of it."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from tocsin.audit.findings import Finding
from tocsin.audit.sides import EXAMPLES, Sides, examples

MANY = 0.1
"""Share of training rows that repeat others from which it is a warning."""
PUBLISHED = "they come with the published test set: say so"


def check_duplicates(sides: Sides) -> Iterator[Finding]:
    """Rows whose features repeat, within training and, which is worse, on the other side of the split."""
    keys = sides.keys
    repeated = len(keys["train"]) - len(np.unique(keys["train"]))
    if repeated:
        share = repeated / len(keys["train"])
        message = f"{repeated:,} training rows ({share:.1%}) repeat the features of an earlier one"
        many = share >= MANY
        yield Finding(
            severity="warning" if many else "info",
            name="duplicates",
            message=message,
            action="a repeated row counts as often in every score: say so, or keep one of each"
            if many
            else "",
        )
    for side in ("valid", "test"):
        found = np.flatnonzero(np.isin(keys[side], keys["train"]))
        if len(found):
            amount = f"{len(found):,} of {len(keys[side]):,} {side} rows ({len(found) / len(keys[side]):.2%})"
            message = f"{amount} repeat a training row"
            yield _across(sides, "duplicates across the split", side, found, message)


def check_near_duplicates(sides: Sides) -> Iterator[Finding]:
    """Rows that nearly repeat a training row: numbers alike when rounded, texts alike in most of what they say."""
    for side in ("valid", "test"):
        near = np.isin(sides.clusters[side], sides.clusters["train"])
        found = np.flatnonzero(near & ~np.isin(sides.keys[side], sides.keys["train"]))
        if len(found):
            message = f"{len(found):,} of {len(near):,} {side} rows nearly repeat a training row, none of them exactly"
            yield _across(sides, "near-duplicates across the split", side, found, message)


def _across(sides: Sides, name: str, side: str, found: np.ndarray, message: str) -> Finding:
    published = side == "test" and sides.official is not None
    return Finding(
        severity="warning" if published else "error",
        name=name,
        message=message,
        rows=examples(sides.parts[side], found),
        action=PUBLISHED if published else "split by near-duplicates (split.near_duplicates: true)",
    )


def check_conflicts(sides: Sides) -> Iterator[Finding]:
    """Rows with the same features and different labels: no model can get all of them right."""
    keys = np.concatenate(list(sides.keys.values()))
    label = np.concatenate([part.label for part in sides.parts.values()])
    ids = np.concatenate([part.ids for part in sides.parts.values()])
    _, place = np.unique(keys, return_inverse=True)
    least, most = np.full(place.max(initial=0) + 1, 2), np.full(place.max(initial=0) + 1, -2)
    np.minimum.at(least, place, label)
    np.maximum.at(most, place, label)
    found = np.flatnonzero((least != most)[place])
    if len(found):
        share = len(found) / len(label)
        message = f"{len(found):,} rows ({share:.2%}) have the features of a row with another label"
        shown = tuple(str(i) for i in ids[found[np.argsort(place[found], kind="stable")][:EXAMPLES]])
        action = "look for a missing feature or wrong labels"
        yield Finding(
            severity="warning", name="conflicting labels", message=message, rows=shown, action=action
        )


def check_groups(sides: Sides) -> Iterator[Finding]:
    """No group on two sides."""
    train = sides.parts["train"].group
    for side in ("valid", "test"):
        group = sides.parts[side].group
        if train is None or group is None:
            continue
        found = np.flatnonzero(np.isin(group.astype(str), train.astype(str)))
        if len(found):
            message = f"{len(found):,} {side} rows belong to a group that is in training"
            yield _across(sides, "groups across the split", side, found, message)


def check_time(sides: Sides) -> Iterator[Finding]:
    """No training row is newer than the oldest row that it is tested on, when the split is one in time."""
    train, test = sides.parts["train"], sides.parts["test"]
    if sides.stated.split.time is None or train.time is None or test.time is None or not len(test):
        return
    found = np.flatnonzero(train.time > test.time.min())
    if not len(found):
        return
    moved = sum(sides.fold.facts.get("straddling_moved_to_train", {}).values())
    severity: Literal["error", "info"] = "info" if len(found) <= moved else "error"
    message = f"{len(found):,} training rows are newer than the oldest test row"
    if severity == "info":
        message += ": near-duplicates and groups that reach into the past, kept whole on the side of training"
    action = "" if severity == "info" else "train on what is older than the test"
    rows = examples(train, found)
    yield Finding(severity=severity, name="time across the split", message=message, rows=rows, action=action)
