import pytest
from pydantic import BaseModel, ValidationError

from tocsin.core import recipe
from tocsin.core.recipe import Recipe, Section, StageSection

SECTIONS = [kind for kind in vars(recipe).values() if isinstance(kind, type) and issubclass(kind, Section)]


def complete(**changes: object) -> dict[str, object]:
    return {
        "detector": "x",
        "name": "x",
        "data": {"sample": "s", "train": ["a"]},
        "model": {},
        "stages": {},
    } | changes


def test_every_key_is_described():
    fields = [(kind, name, field) for kind in SECTIONS for name, field in kind.model_fields.items()]
    assert len(fields) > 60
    assert not [f"{kind.__name__}.{name}" for kind, name, field in fields if not field.description]


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_number_has_bounds(kind: type[Section]):
    """A number without a bound is a typing error that trains for a week."""
    unbounded = []
    for name, prop in kind.model_json_schema().get("properties", {}).items():
        for part in prop.get("anyOf", [prop]):
            part = part.get("items", part) if isinstance(part.get("items"), dict) else part
            if (
                part.get("type") in ("number", "integer")
                and not {"minimum", "exclusiveMinimum"} & part.keys()
            ):
                unbounded.append(f"{kind.__name__}.{name}")
    assert not unbounded


@pytest.mark.parametrize("kind", SECTIONS)
def test_sections_are_closed_and_frozen(kind: type[Section]):
    assert kind.model_config["extra"] == "forbid"
    assert kind.model_config["frozen"] is True
    with pytest.raises(ValidationError, match="nonsense"):
        kind.model_validate({"nonsense": 1})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 2, 1]}, "1 is there twice"),
        ({"seeds": [-1]}, "seeds"),
        ({"name": "Über"}, "name"),
        ({"name": "../x"}, "name"),
        ({"stages": {"fit": {"length": "2 epochs", "evaluate_every": "0 steps"}}}, "no interval"),
        ({"stages": {"fit": {"length": "2 epochs", "checkpoint_every": "0 epochs"}}}, "no interval"),
        ({"stages": {"fit": {}}}, "length"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], complaint: str):
    Recipe[BaseModel].model_validate(complete())
    with pytest.raises(ValidationError, match=complaint):
        Recipe[BaseModel].model_validate(complete(**changes))


def test_a_stage_of_no_length_is_skipped_not_refused():
    assert StageSection(length="0 epochs").length.count == 0  # type: ignore[arg-type]
