import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tocsin.core.duration import Duration

ADAPTER = TypeAdapter(Duration)


@given(st.builds(Duration, st.integers(0, 10**9), st.sampled_from(["epochs", "steps"])))
def test_what_is_written_is_read_back(duration: Duration):
    assert Duration.parse(str(duration)) == duration
    assert ADAPTER.validate_json(ADAPTER.dump_json(duration)) == duration
    assert ADAPTER.validate_python(duration) is duration


@pytest.mark.parametrize(
    ("text", "steps"), [("3 epochs", 30), ("1 epoch", 10), ("7 steps", 7), (" 2epochs ", 20), ("0 steps", 0)]
)
def test_length_in_steps(text: str, steps: int):
    assert Duration.parse(text).steps(steps_per_epoch=10) == steps


@pytest.mark.parametrize(
    "value", ["3", "epochs", "-1 epochs", "1.5 epochs", "3 days", "", "9" * 5000 + " steps", None, True]
)
def test_anything_else_is_refused(value):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(value)


def test_a_bare_number_is_told_to_name_its_unit():
    with pytest.raises(ValidationError, match="write '3 epochs' or '3 steps'"):
        ADAPTER.validate_python(3)


def test_editors_learn_the_form():
    schema = ADAPTER.json_schema()
    assert schema["type"] == "string"
    assert "3 epochs" in schema["examples"]
