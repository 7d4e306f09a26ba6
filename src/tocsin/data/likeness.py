"""Likeness of texts: signatures whose agreement estimates the share of character 5-grams that two texts share.

Case, digits, punctuation and the form of letters (NFKC) make no difference. Shapes: N texts, S bins.
Source: Li, Owen and Zhang 2012, "One Permutation Hashing"; empty bins take the next one's value as in
Shrivastava and Li 2014. Bands as in Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from tocsin.data.fingerprint import mix

BINS = 64
BANDS = 16
"""Keys of a text: texts that share half of their 5-grams share one of 16 keys more often than not."""
GRAM = 5
MOST_CHARACTERS = 20_000
"""Characters of a text that are looked at."""

_STARTS = np.arange(BINS, dtype=np.uint64) << np.uint64(64 - BINS.bit_length() + 1)


def signatures(texts: Sequence[str | None]) -> np.ndarray:
    """Return uint64 [N, S]: the share of equal bins of two texts estimates how alike they are."""
    out = np.zeros((len(texts), BINS), dtype=np.uint64)
    for place, text in enumerate(texts):
        out[place] = _signature(fold(text or ""))
    return out


def fold(text: str) -> str:
    """Return what is compared: letters in one case and form, digits as 0, all else one space."""
    plain = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).casefold()
    return re.sub(r"[\W_]+", " ", re.sub(r"\d+", "0", plain)).strip()


def band_keys(signature: np.ndarray) -> list[np.ndarray]:
    """Return BANDS arrays of uint64 [N], as `clusters.connect` takes them: likely equal where texts are alike."""
    keys = []
    for band in np.split(signature, BANDS, axis=1):
        key = np.zeros(len(band), dtype=np.uint64)
        for values in band.T:
            key = mix(key ^ values)
        keys.append(key)
    return keys


def _signature(text: str) -> np.ndarray:
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if len(letters) < GRAM:
        letters = np.pad(letters, (0, GRAM - len(letters)))
    windows = np.lib.stride_tricks.sliding_window_view(letters, GRAM)
    grams = np.zeros(len(windows), dtype=np.uint64)
    for place in range(GRAM):
        grams = mix(grams ^ windows[:, place])
    grams.sort()
    # The least hash of each bin; of an empty one the search finds that of the next bin that is not.
    least: np.ndarray = grams[np.searchsorted(grams, _STARTS) % len(grams)]
    return least
