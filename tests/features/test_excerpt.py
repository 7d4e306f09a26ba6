"""What is too long keeps its beginning and its end, and parts share what room there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.features.excerpt import keep_ends, share_places, shorten


@given(st.text(max_size=80), st.integers(4, 60))
def test_a_text_keeps_its_ends(text: str, most: int) -> None:
    found = shorten(text, most)
    if len(text) <= most:
        assert found == text
        return
    head, _, tail = found[: int(0.75 * most)], found[int(0.75 * most)], found[int(0.75 * most) + 1 :]
    assert len(found) == most
    assert text.startswith(head)
    assert text.endswith(tail)


@given(st.lists(st.integers(), max_size=60), st.integers(0, 40))
def test_items_keep_their_ends(items: list[int], most: int) -> None:
    found = keep_ends(items, most)
    assert len(found) == min(len(items), most)
    head = int(0.75 * most) if len(items) > most else len(items)
    assert found[:head] == items[:head]
    assert found[head:] == items[len(items) - len(found) + head :]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=4), st.integers(0, 200))
def test_no_place_is_wasted_and_no_part_starves(sizes: list[int], places: int) -> None:
    found = share_places(sizes, places)
    assert all(0 <= got <= size for got, size in zip(found, sizes, strict=True))
    assert sum(found) == min(sum(sizes), places)
    fair = places // len(sizes)
    assert all(got >= min(size, fair) for got, size in zip(found, sizes, strict=True))


@pytest.mark.parametrize(("sizes", "places", "wanted"), [((50, 2, 90), 60, [29, 2, 29]), ((5,), 3, [3])])
def test_what_a_small_part_leaves_goes_to_the_others(sizes, places: int, wanted: list[int]) -> None:
    assert share_places(sizes, places) == wanted
