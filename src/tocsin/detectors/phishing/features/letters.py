"""Letters of a text for a model of character n-grams: each letter with marks of which n-grams from it are new.

An n-gram counts once in a text, however often it is in it: a linear model of presence is as good as one of TF-IDF
(docs/log.md), and a graph can add it up without sorting. Bucket numbers are computed here and, in the same steps, by
`detectors/phishing/baselines/ngrams.py` inside the shipped graph.

Shapes: B texts, C places for letters, G n-grams of all texts.
"""

from collections.abc import Sequence

import numpy as np

from tocsin.features.excerpt import shorten

LETTERS = "letters"
"""Name of the array: int32 [B, C], code point + CODES * marks; bit n - 1 of the marks is that of the n-gram."""
LETTER_COUNT = "letter_count"
"""Name of the array with each row's number of places in it, int64 [B]."""
LONGEST = 6
"""Letters of the longest n-gram; the shortest has one."""
CODES = 1 << 21
"""More than any code point."""
PRIME, FACTOR = 2_147_483_647, 1_000_003_393
BUCKETS = 1 << 21
SALTS = (1_597_334_677, 625_341_585, 461_845_907, 1_540_483_477, 668_265_263, 374_761_393)
"""One odd factor for each length, so that n-grams of unlike lengths fall into unlike buckets."""
CHUNK = 2_000


def mark_letters(texts: Sequence[str], places: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int32 [B, C], the letters of each text between two spaces, and int64 [B], how many they are.

    A text that is too long is cut in the middle.
    """
    found = np.zeros((len(texts), places), dtype=np.int32)
    framed = [f" {shorten(text, places - 2)} " for text in texts]
    for start in range(0, len(texts), CHUNK):
        _mark(framed[start : start + CHUNK], found[start : start + CHUNK])
    return found, np.array([len(text) for text in framed], dtype=np.int64)


def _mark(framed: Sequence[str], out_BC: np.ndarray) -> None:
    size = np.array([len(text) for text in framed])
    code_G = np.frombuffer("".join(framed).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    row_G = np.repeat(np.arange(len(framed)), size)
    column_G = np.arange(len(code_G)) - np.repeat(np.cumsum(size) - size, size)
    marks_G = np.zeros(len(code_G), dtype=np.int64)
    for length, hash_G in _hashes(code_G):
        whole = np.flatnonzero(column_G + length <= size[row_G])
        key = row_G[whole] * PRIME + hash_G[whole]
        first = whole[np.unique(key, return_index=True)[1]]
        marks_G[first] |= 1 << (length - 1)
    out_BC[row_G, column_G] = code_G + CODES * marks_G


def _hashes(code_G: np.ndarray) -> "list[tuple[int, np.ndarray]]":
    """Return (length, hash of the n-gram that begins at each place); what lies behind the end counts as 0."""
    hash_G, found = np.zeros_like(code_G), []
    for length in range(1, LONGEST + 1):
        ahead_G = np.zeros_like(code_G)
        ahead_G[..., : max(code_G.shape[-1] - length + 1, 0)] = code_G[..., length - 1 :]
        hash_G = (hash_G * FACTOR + ahead_G + 1) % PRIME
        found.append((length, hash_G))
    return found


def find_buckets(letters_BC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (row, bucket) of every n-gram that counts, int64 [G] each, rows rising."""
    code_BC, marks_BC = letters_BC % CODES, letters_BC // CODES
    rows, buckets = [], []
    for (length, hash_BC), salt in zip(_hashes(code_BC.astype(np.int64)), SALTS, strict=True):
        row, column = np.nonzero(marks_BC >> (length - 1) & 1)
        rows.append(row)
        buckets.append(hash_BC[row, column] * salt % PRIME % BUCKETS)
    row_G = np.concatenate(rows)
    order = np.argsort(row_G, kind="stable")
    return row_G[order], np.concatenate(buckets)[order]
