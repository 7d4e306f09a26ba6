import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.errors import InputError
from tocsin.core.yaml_text import parse_mapping, parse_value


def test_data_and_the_line_of_every_key():
    data, lines = parse_mapping("a: 1\nb:\n  c: [1, 2]\n  d: {e: x}\n", "f.yaml")
    assert data == {"a": 1, "b": {"c": [1, 2], "d": {"e": "x"}}}
    assert lines == {"a": 1, "b": 2, "b.c": 3, "b.d": 4, "b.d.e": 4}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\na: 2", "f.yaml:2: key 'a' is there twice"),
        ("b: {a: 1, a: 2}", "f.yaml:1: key 'a' is there twice"),
        ("b: [{a: 1, a: 2}]", "f.yaml:1: key 'a' is there twice"),
        ("x: 1\n3: 4", "f.yaml:2: key 3 is not text"),
        ("no: 4", "f.yaml:1: key no is not text"),
        ("[a]: 4", "f.yaml:1: key ... is not text"),
        ("a: &x 1\nb: *x", "f.yaml:2: an alias"),
        ("a: &x\n  b: 1\nc:\n  <<: *x", "f.yaml:4: an alias"),
        ("a: !!python/object/apply:os.system [ls]", "f.yaml:1: could not determine a constructor"),
        ("a: [1", "f.yaml:1: "),
        ("a: b: c", "f.yaml:1: mapping values are not allowed"),
        ("- 1", "f.yaml: list where keys"),
        ("just words", "f.yaml: str where keys"),
        ("a: \x00", "f.yaml: not YAML"),
        ("a: " + "[" * 5000, "f.yaml"),
        ("a: 1\n---\nb: 2", "f.yaml:2: "),
        ("a: 2026-13-45", "f.yaml: not YAML: month must be"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: str, complaint: str):
    with pytest.raises(InputError) as caught:
        parse_mapping(text, "f.yaml")
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_an_empty_mapping():
    assert parse_mapping("# nothing\n", "f.yaml") == ({}, {})


@pytest.mark.parametrize("text", ["1e-4", "-1E+4", "1.e3", ".5e2", "1.5e-10", "1.0e-4"])
def test_numbers_in_scientific_notation_are_numbers(text: str):
    assert parse_value(text, "--set x") == float(text)


@pytest.mark.parametrize("text", ["1e", "e4", "x1e-4", "1e4x", "'1e-4'"])
def test_words_that_look_like_them_are_not(text: str):
    assert isinstance(parse_value(text, "--set x"), str)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab:- #e1.", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abno-1", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), PLAIN, max_size=4))
def test_what_yaml_writes_is_read_back(data):
    assert parse_mapping(yaml.safe_dump(data), "f.yaml")[0] == data
