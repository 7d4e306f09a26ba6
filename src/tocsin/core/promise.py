"""What an augmenter promises about labels and spans. Gate F10: one that says nothing is not trained with."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tocsin.core.errors import InputError

_WORST = ("none", "kept", "moved", "remade")


@dataclass(frozen=True)
class Promise:
    """What stays true of a row that was augmented; a contract test holds every augmenter to it."""

    labels: Literal["kept", "remade"]
    """`kept`: the label is still true. `remade`: where the change made it false, the augmenter wrote a true one."""
    spans: Literal["none", "kept", "moved"]
    """`none`: such rows have no spans. `kept`: offsets still hold. `moved`: they were moved along with the text."""


def promised(augmenter: object) -> Promise:
    """Return what an augmenter promises; InputError when it promises nothing."""
    found = getattr(augmenter, "promise", None)
    if not isinstance(found, Promise):
        name = getattr(augmenter, "__name__", type(augmenter).__name__)
        raise InputError(
            f"augmenter {name!r} does not say whether it keeps labels and spans: give it a `promise`"
        )
    return found


def join_promises(promises: Iterable[Promise]) -> Promise:
    """Return what several augmenters promise together."""
    known = [Promise("kept", "none"), *promises]
    labels = max(known, key=lambda promise: _WORST.index(promise.labels)).labels
    return Promise(labels, max(known, key=lambda promise: _WORST.index(promise.spans)).spans)
