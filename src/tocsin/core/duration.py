"""Lengths of training that say their unit: `3 epochs`, `2000 steps`."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_PATTERN = r"^\s*(\d+)\s*(epoch|step)s?\s*$"


@dataclass(frozen=True, order=False)
class Duration:
    """A whole number of epochs or of optimizer steps; written as `3 epochs` or `2000 steps`."""

    count: int
    unit: Literal["epochs", "steps"]

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read `3 epochs` or `2000 steps`; ValueError names what was given."""
        found = re.match(_PATTERN, text)
        if not found:
            raise ValueError(f"{text!r} is not a duration such as '3 epochs' or '2000 steps'")
        return cls(int(found[1]), "epochs" if found[2] == "epoch" else "steps")

    def steps(self, steps_per_epoch: int) -> int:
        """Return the length in optimizer steps."""
        return self.count * (steps_per_epoch if self.unit == "epochs" else 1)

    def __str__(self) -> str:
        return f"{self.count} {self.unit if self.count != 1 else self.unit[:-1]}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from text and write as text."""
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema()),
            python_schema=core_schema.no_info_plain_validator_function(cls._accept),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the text form for editors."""
        return {"type": "string", "pattern": _PATTERN, "examples": ["3 epochs", "2000 steps"]}

    @classmethod
    def _accept(cls, value: object) -> "Duration":
        if isinstance(value, Duration):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(f"{value!r} has no unit; write '{value} epochs' or '{value} steps'")
