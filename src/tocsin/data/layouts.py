"""Which layout a file has, known by the names of its columns."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.schema import Layout, Schema

SHOWN = 5
"""How many names an error lists."""


@dataclass(frozen=True)
class Fit:
    """A layout that a file has, and the names under which its columns are read."""

    layout: Layout
    names: tuple[str, ...]
    headerless: bool = False

    @property
    def unknown(self) -> list[str]:
        """Columns that the layout does not know."""
        known = self.layout.columns | self.layout.optional | self.layout.denied.keys()
        return [name for name in self.names if name not in known]


def fit_layout(first: Sequence[str], schema: Schema, wanted: str, labelled: bool) -> Fit:
    """Find the layout of a file by its first row; `wanted` is a layout's name or `auto`.

    InputError names the nearest layout, and what is missing, unexpected or there twice.
    """
    layouts = _candidates(schema, wanted)
    names = _distinguish(first)
    fits = [Fit(layout, _spell(names, layout)) for layout in layouts]
    sound = [fit for fit in fits if not _missing(fit, labelled)]
    sound = sound or [
        Fit(layout, layout.header, headerless=True)
        for layout in layouts
        if layout.header and len(layout.header) == len(first) and not layout.columns.intersection(names)
    ]
    if not sound:
        raise InputError(_explain(min(fits, key=lambda fit: len(_missing(fit, labelled))), schema, labelled))
    best = max(sound, key=_nearness)
    _refuse_doubt(best, sound)
    return best


def check_denied(schema: Schema) -> None:
    """Refuse a sample that has a denied column among its fields, however it is spelled."""
    fields = {_letters(name): name for name in schema.sample.model_fields}
    for layout in schema.layouts.values():
        for name, reason in layout.denied.items():
            if _letters(name) in fields:
                found = f"field {fields[_letters(name)]!r} of sample {schema.name!r}"
                raise InputError(f"{found} is denied by layout {layout.name!r}: {reason}")


def _candidates(schema: Schema, wanted: str) -> list[Layout]:
    if wanted == "auto":
        return list(schema.layouts.values())
    if wanted not in schema.layouts:
        known = sorted(schema.layouts)
        hint = did_you_mean(wanted, known)
        raise InputError(f"no layout {wanted!r} of {schema.name!r}{hint} (there are: {', '.join(known)})")
    return [schema.layouts[wanted]]


def _distinguish(first: Iterable[str]) -> list[str]:
    seen: Counter[str] = Counter()
    names = []
    for name in (text.strip() for text in first):
        names.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def _spell(names: Iterable[str], layout: Layout) -> tuple[str, ...]:
    known = {name.strip(): name for name in (*layout.denied, *layout.columns, *layout.optional)}
    return tuple(known.get(name, name) for name in names)


def _missing(fit: Fit, labelled: bool) -> list[str]:
    needed = fit.layout.columns if labelled else fit.layout.columns - fit.layout.denied.keys()
    return sorted(needed.difference(fit.names))


def _refuse_doubt(best: Fit, sound: Sequence[Fit]) -> None:
    rivals = [f.layout.name for f in sound if _nearness(f) == _nearness(best)]
    if len(rivals) > 1:
        raise InputError(f"fits the layouts {' and '.join(sorted(rivals))}: set `data.layout` to one of them")
    twice = [name for name, count in Counter(best.names).items() if count > 1]
    numbered = [name.rpartition(".") for name in best.unknown]
    twice += [name for name, _, number in numbered if name in best.names and number.isdecimal()]
    if twice:
        raise InputError(f"column {twice[0]!r} is there more than once")


def _nearness(fit: Fit) -> tuple[int, int]:
    """Return how well a layout fits: first what is there of its label and denied columns, then how many it has."""
    return -len(_missing(fit, labelled=True)), len(fit.layout.columns)


def _explain(fit: Fit, schema: Schema, labelled: bool) -> str:
    missing, unknown = _missing(fit, labelled), sorted(fit.unknown)
    guess = next((f"{m!r} is missing{g}" for m in missing if (g := did_you_mean(m, unknown))), "")
    return (
        f"no layout of {schema.name!r} has these columns; the nearest is {fit.layout.name!r}: "
        f"missing {_list(missing)}; unexpected {_list(unknown)}" + (f"; {guess}" if guess else "")
    )


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:SHOWN]) or "nothing"
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
