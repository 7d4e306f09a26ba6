"""Letters and marks: every n-gram of a text counts once, alone as among others, whatever the letters are."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tocsin.detectors.phishing.features.letters import BUCKETS, CODES, LONGEST, find_buckets, mark_letters

TEXT = st.text(st.characters(), max_size=40)


def grams(text: str) -> set[str]:
    framed = f" {text} "
    return {framed[i : i + n] for n in range(1, LONGEST + 1) for i in range(len(framed) - n + 1)}


@given(st.lists(TEXT, max_size=4))
def test_every_gram_counts_once(texts):
    rows, buckets = find_buckets(mark_letters(texts, 64)[0])
    assert np.bincount(rows, minlength=len(texts)).tolist() == [len(grams(text)) for text in texts]
    assert all(0 <= bucket < BUCKETS for bucket in buckets.tolist())
    assert all(a <= b for a, b in pairwise(rows.tolist()))


@given(TEXT, TEXT)
def test_a_text_alone_is_a_text_among_others(text, other):
    alone, together = mark_letters([text], 64)[0], mark_letters([other, text], 64)[0]
    assert (alone[0] == together[1]).all()
    assert sorted(find_buckets(alone)[1]) == sorted(find_buckets(together)[1][find_buckets(together)[0] == 1])


@given(TEXT, TEXT)
def test_shared_grams_share_buckets(one, other):
    rows, buckets = find_buckets(mark_letters([one, other], 64)[0])
    shared = set(buckets[rows == 0]) & set(buckets[rows == 1])
    same = grams(one) & grams(other)
    assert bool(shared) == bool(same)
    assert len(same) <= len(shared) + 2, "but for a rare collision inside one text"


def test_a_long_text_keeps_its_beginning_and_its_end():
    letters = mark_letters(["a" * 500 + "b" * 500], 100)[0][0] % CODES
    assert "".join(map(chr, letters[1:70])) == "a" * 69
    assert "".join(map(chr, letters[-20:])) == "b" * 19 + " "


def test_letters_are_counted():
    letters, count = mark_letters(["", "one two", "a" * 500], 100)
    assert count.tolist() == [2, 9, 100]
    assert [int((row > 0).sum()) for row in letters] == count.tolist()
