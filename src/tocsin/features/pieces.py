"""A vocabulary of word pieces with bytes to fall back on: every text has tokens and no text is unknown.

A word is cut greedily into the longest pieces that the vocabulary has; letters that it lacks become bytes.
The vocabulary is learned by pruning: all frequent substrings of the training words are candidates, and those
that greedy cutting uses least are dropped until it fits.

Source: the cutting is that of WordPiece (Wu et al. 2016, "Google's Neural Machine Translation System",
section 4.1), the bytes are those of SentencePiece; the pruning is this project's own.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tocsin.features.folding import MARKS

PAD, HIDDEN, BREAK = range(3)
"""Token of the padding, of what is hidden from the model, and between subject and text."""
FIRST_BYTE = 3
FIRST_PIECE = FIRST_BYTE + 256
LONGEST_PIECE = 10
LONGEST_WORD = 24
"""Characters that are cut as one word: longer runs, as of Thai, are cut every so often."""
MOST_WORDS = 80_000
"""Distinct words that a vocabulary is learned from, the most frequent ones."""
CACHED = 1 << 17
"""Words whose pieces are remembered."""
INNER = "\x00"
"""Before a piece that goes on inside a word."""

_LONE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and Han: a character is a word
_SIGN = "!-/:-@\\[-`{-~\u00a1-\u00bf\u2010-\u2bff\u3000-\u303f"
WORDS = re.compile(rf"[{MARKS}]|[{_LONE}]|0+|([{_SIGN}])\1*|[^\s{MARKS}{_LONE}{_SIGN}0]{{1,{LONGEST_WORD}}}")


class Pieces:
    """A vocabulary: `tokens(text)` cuts folded text into ids, from 3 up to `size`."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = tuple(pieces)
        self._ids = {piece: FIRST_PIECE + i for i, piece in enumerate(self.pieces)}
        self._cut: dict[str, tuple[int, ...]] = {}

    @property
    def size(self) -> int:
        """How many ids there are."""
        return FIRST_PIECE + len(self.pieces)

    def tokens(self, text: str) -> list[int]:
        """Return the ids of folded text, in its order."""
        found: list[int] = []
        for match in WORDS.finditer(text):
            word = match[0] if match[1] is None else match[0][:3]
            ids = self._cut.get(word)
            found.extend(self._remember(word) if ids is None else ids)
        return found

    def spell(self, tokens: Iterable[int]) -> str:
        """Return the folded text that ids stand for, bytes that are no UTF-8 replaced."""
        raw = bytearray()
        for token in tokens:
            if token >= FIRST_PIECE:
                piece = self.pieces[token - FIRST_PIECE]
                raw += piece[1:].encode() if piece.startswith(INNER) else b" " + piece.encode()
            elif token >= FIRST_BYTE:
                raw.append(token - FIRST_BYTE)
        return raw.decode("utf-8", "replace").strip()

    def _remember(self, word: str) -> tuple[int, ...]:
        if len(self._cut) >= CACHED:
            self._cut.clear()
        ids = self._cut[word] = tuple(self._ids_of(word))
        return ids

    def _ids_of(self, word: str) -> Iterable[int]:
        for piece in cut(word, self._ids):
            known = self._ids.get(piece)
            if known is not None:
                yield known
            else:
                yield from (FIRST_BYTE + byte for byte in piece.lstrip(INNER).encode("utf-8", "replace"))


def cut(word: str, known: "dict[str, int] | Counter[str]") -> list[str]:
    """Cut a word into the longest known pieces; a character that no piece begins with is a piece of its own."""
    found, start, size = [], 0, len(word)
    while start < size:
        before = INNER if start else ""
        for stop in range(min(size, start + LONGEST_PIECE), start, -1):
            piece = before + word[start:stop]
            if piece in known:
                break
        else:
            stop, piece = start + 1, before + word[start]
        found.append(piece)
        start = stop
    return found


def learn_pieces(texts: Iterable[str], size: int, min_count: int = 5) -> Pieces:
    """Learn a vocabulary of at most `size` ids from folded texts; the same texts give the same one."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(match[0] if match[1] is None else match[0][:3] for match in WORDS.finditer(text))
    frequent = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS]
    room = max(0, size - FIRST_PIECE)
    kept = _candidates(frequent, min_count)
    for target in (4 * room, 2 * room, room):
        used: Counter[str] = Counter()
        for word, count in frequent:
            for piece in cut(word, kept):
                used[piece] += count
        kept = Counter(dict(_most_used(used, kept, target, min_count)))
    return Pieces([piece for piece, _ in _most_used(kept, kept, room, min_count)])


def _candidates(words: Sequence[tuple[str, int]], min_count: int) -> "Counter[str]":
    """Count every substring up to LONGEST_PIECE characters; those too rare to matter are left out."""
    found: Counter[str] = Counter()
    for word, count in words:
        size = len(word)
        for start in range(size):
            before = INNER if start else ""
            for stop in range(start + 1, min(size, start + LONGEST_PIECE) + 1):
                found[before + word[start:stop]] += count
    return Counter({piece: count for piece, count in found.items() if count >= min_count})


def _most_used(
    used: "Counter[str]", known: "Counter[str]", room: int, min_count: int
) -> list[tuple[str, int]]:
    """Return the most used pieces; single characters first, since longer ones fall back on them."""
    fit = [(p, n) for p, n in used.items() if n >= min_count and p in known]
    return sorted(fit, key=lambda item: (len(item[0].lstrip(INNER)) > 1, -item[1], item[0]))[:room]
