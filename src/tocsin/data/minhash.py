"""Near-duplicate texts: MinHash finds pairs that may be alike, the shingles themselves decide.

What is compared is the text without letter case and accents, with spaces collapsed and every digit alike; and again
without the sentences and lines that many texts share (greetings, footers, licence headers), so that a copy in another
wrapping is found too. Source: Broder 1997, "On the resemblance and containment of documents"; one permutation with
rotation: Shrivastava and Li 2014, "Densifying One Permutation Hashing via Rotation for Fast Near Neighbor Search".

Shapes: D documents, S shingles of all of them, K bins, P pairs.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tocsin.data.fingerprint import mix, text_keys

WIDTH = 5
"""Characters of a shingle: short enough for texts of one line, and for scripts without spaces."""
ALIKE = 0.6
"""Share of common shingles (Jaccard) from which two texts are near-duplicates."""
LONGEST = 20_000
"""Characters of a text that are looked at."""
BANDS, ROWS = 64, 4
BINS = BANDS * ROWS
"""A pair at 0.6 shares one of 64 bands of 4 with a probability of 0.9999, a pair at 0.1 with one of 0.006."""
WINDOW = 6
"""Neighbours that a text is compared with in a bucket; each band orders its buckets anew."""
LONG = 2 * BINS
"""Characters from which signatures decide (standard error 0.03 at 0.6); shingles of shorter texts are counted."""
MIDDLE, HOPELESS = 128, 0.35
"""Characters from which a signature is good enough (standard error 0.05 at 0.6) to see that a pair is not worth it."""
COMMON, LEAST_COMMON = 0.001, 10
"""Share, and number, of texts that hold a sentence, from which it is boilerplate."""
LEFT, LEFT_SHARE = 60, 0.1
"""Characters, and share, of a text that must be left without its boilerplate to be compared."""
CHUNK = 2048
EMPTY = np.uint32(0xFFFFFFFF)

_SENTENCE = re.compile(r"[\r\n]+|(?<=[.!?])\s+|(?<=[。！？।])")
_SPACE, _DIGIT, _ACCENT = re.compile(r"\s+"), re.compile(r"\d"), re.compile("[\u0300-\u036f]+")


@dataclass(frozen=True)
class _Documents:
    """Distinct normalised texts."""

    texts: tuple[str, ...]
    signatures: np.ndarray
    """uint32 [D, K]."""
    lengths: np.ndarray
    """Characters, int64 [D]."""
    content: np.ndarray
    """uint64 [D]: the same for a text in whatever order texts come."""


def cluster_texts(texts: Sequence[str | None]) -> np.ndarray:
    """Return keys, uint64 [N]: equal for texts that are near-duplicates, directly or over others.

    Each text that is missing or blank has a key of its own. The same texts give the same clusters in whatever order
    they come, but for chance among more than `WINDOW` texts that are alike in part.
    """
    known = [text or "" for text in texts]
    plain = [_normalise(text) for text in known]
    bare = _without_boilerplate(known, plain)
    numbers: dict[str, int] = {}
    whole, stripped = ([numbers.setdefault(t, len(numbers)) for t in side] for side in (plain, bare))
    documents = _describe(tuple(numbers))
    label = _merge(np.arange(len(numbers)), np.array(whole, np.int64), np.array(stripped, np.int64))
    for band in range(BANDS):
        a, b = _candidates(documents, band, label)
        sure = _alike(documents, a, b)
        label = _merge(label, a[sure], b[sure])
    keys = _least_content(label, documents.content)[np.array(whole, dtype=np.int64)]
    blank = np.flatnonzero([not words for words in plain])
    keys[blank] = mix(blank.astype(np.uint64), seed=1)
    return keys


def jaccard(one: str, other: str) -> float:
    """Return the share of common shingles of two texts, as they are compared here."""
    (a, _), (b, _) = (_shingles([_normalise(text)]) for text in (one, other))
    return len(np.intersect1d(a, b)) / max(len(np.union1d(a, b)), 1)


def _normalise(text: str) -> str:
    folded = _SPACE.sub(" ", _fold(text[:LONGEST])).strip()
    alike = _DIGIT.sub("0", folded)
    return alike if 2 * alike.count("0") < len(alike) else folded  # a number is what its digits are


def _fold(text: str) -> str:
    """Take away letter case and accents; a dotless i is an i, since its capital is that of i."""
    if text.isascii():
        return text.casefold()
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text.casefold())).replace("\u0131", "i")
    return unicodedata.normalize("NFKC", plain)


def _without_boilerplate(texts: Sequence[str], plain: Sequence[str]) -> list[str]:
    """Return each text normalised and without what many texts share; as it was where little would be left."""
    firsts = dict(zip(plain, texts, strict=True))
    parts = {
        words: list(filter(None, map(_normalise, _SENTENCE.split(text[:LONGEST]))))
        for words, text in firsts.items()
    }
    counts = Counter(part for found in parts.values() for part in set(found))
    least = max(LEAST_COMMON, COMMON * len(parts))
    bare = {}
    for words, found in parts.items():
        left = " ".join(part for part in found if counts[part] < least)
        bare[words] = left if len(left) >= max(LEFT, LEFT_SHARE * len(words)) else words
    return [bare[words] for words in plain]


def _describe(texts: tuple[str, ...]) -> _Documents:
    starts = range(0, len(texts), CHUNK)
    signatures = [_sign(texts[start : start + CHUNK]) for start in starts]
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    return _Documents(
        texts, np.concatenate([np.zeros((0, BINS), np.uint32), *signatures]), lengths, text_keys(texts)
    )


def _shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of all shingles, uint64 [S], and the text that each is of, int64 [S]."""
    padded = [text.ljust(WIDTH) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    lengths = np.array([len(text) for text in padded])
    owner = np.repeat(np.arange(len(texts)), lengths)
    ends = np.cumsum(lengths)[owner]
    whole = np.flatnonzero(np.arange(len(codes)) + WIDTH <= ends)
    hashes = np.zeros(len(whole), dtype=np.uint64)
    for place in range(WIDTH):
        hashes = mix(hashes ^ codes[whole + place])
    return hashes, owner[whole]


def _sign(texts: Sequence[str]) -> np.ndarray:
    """Return one signature per text, uint32 [D, K]: the least hash of each bin, empty bins filled by rotation."""
    hashes, owner = _shingles(texts)
    least = np.full(len(texts) * BINS, EMPTY)
    bins = owner * BINS + (hashes % np.uint64(BINS)).astype(np.int64)
    np.minimum.at(least, bins, (hashes >> np.uint64(33)).astype(np.uint32))
    signs = least.reshape(len(texts), BINS)
    places = np.where(np.tile(signs != EMPTY, 2), np.arange(2 * BINS), 4 * BINS)
    following = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1][:, :BINS]
    steps = (following - np.arange(BINS)).astype(np.uint32)
    filled: np.ndarray = np.take_along_axis(signs, following % BINS, axis=1) + steps * np.uint32(0x9E3779B1)
    return filled


def _candidates(documents: _Documents, band: int, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs, int64 [P] twice, that share a band and not yet a cluster."""
    bins = _BIN_ORDER[band * ROWS : (band + 1) * ROWS]
    keys = np.zeros(len(label), dtype=np.uint64)
    for place in bins:
        keys = mix(keys ^ documents.signatures[:, place].astype(np.uint64))
    order = np.lexsort((mix(documents.content, band), keys))
    first = np.flatnonzero(np.diff(keys[order], prepend=keys[order][:1] + np.uint64(1)))
    leader = np.repeat(order[first], np.diff(np.append(first, len(order))))
    found = [(leader, order)] + [(order[:-step], order[step:]) for step in range(1, WINDOW + 1)]
    a, b = (np.concatenate(side) for side in zip(*found, strict=True))
    apart = (keys[a] == keys[b]) & (label[a] != label[b])
    return _distinct(a[apart], b[apart], len(label))


def _distinct(a: np.ndarray, b: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.unique(np.minimum(a, b) * size + np.maximum(a, b))
    return pairs // size, pairs % size


def _alike(documents: _Documents, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Tell of each pair, bool [P], whether the texts share enough of their shingles."""
    least, most = (pick(documents.lengths[a], documents.lengths[b]) for pick in (np.minimum, np.maximum))
    possible = least >= ALIKE * most / 2
    agree = np.ones(len(a))
    for part in _parts(np.flatnonzero(possible & (least >= MIDDLE))):
        agree[part] = (documents.signatures[a[part]] == documents.signatures[b[part]]).mean(axis=1)
    alike: np.ndarray = possible & (least >= LONG) & (agree >= ALIKE)
    for part in _parts(np.flatnonzero(possible & (least < LONG) & (agree >= HOPELESS))):
        alike[part] = _resemblance(documents, a[part], b[part]) >= ALIKE
    return alike


def _parts(index: np.ndarray) -> Iterator[np.ndarray]:
    for start, end in pairwise([*range(0, len(index), CHUNK), len(index)]):
        yield index[start:end]


def _resemblance(documents: _Documents, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Jaccard similarity of each pair of texts, float64 [P]."""
    used, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    hashes, owner = _shingles([documents.texts[i] for i in used])
    sets = np.sort(owner.astype(np.uint64) << np.uint64(32) | hashes >> np.uint64(32))
    sets = sets[
        np.diff(sets, prepend=sets[:1] + np.uint64(1)) != 0
    ]  # np.unique hashes, ten times slower on these
    sizes = np.bincount((sets >> np.uint64(32)).astype(np.int64), minlength=len(used))
    starts = np.cumsum(sizes) - sizes
    sides = [_gather(sets, starts[side], sizes[side]) for side in (places[: len(a)], places[len(a) :])]
    both = np.sort(np.concatenate(sides))
    shared = both[1:][both[1:] == both[:-1]]
    common = np.bincount((shared >> np.uint64(32)).astype(np.int64), minlength=len(a))
    total = sizes[places[: len(a)]] + sizes[places[len(a) :]]
    resemblance: np.ndarray = common / (total - common)
    return resemblance


def _gather(sets: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the shingles of the texts of so many pairs, each under the number of its pair."""
    pair = np.repeat(np.arange(len(starts)), sizes)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(starts, sizes)
    found: np.ndarray = sets[place] & np.uint64(0xFFFFFFFF) | pair.astype(np.uint64) << np.uint64(32)
    return found


def _merge(label: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Join the clusters of pairs; `label` [D] names for each document the least document of its cluster."""
    label = label.copy()
    while True:
        one, other = label[a], label[b]
        if np.array_equal(one, other):
            return label
        least = np.minimum(one, other)
        np.minimum.at(label, one, least)
        np.minimum.at(label, other, least)
        while not np.array_equal(label, label[label]):
            label = label[label]


def _least_content(label: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Name each cluster by the least content key in it, which does not depend on the order of rows."""
    least = content.copy()
    np.minimum.at(least, label, content)
    named: np.ndarray = least[label]
    return named


_BIN_ORDER = np.argsort(mix(np.arange(BINS, dtype=np.uint64)))
