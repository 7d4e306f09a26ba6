"""The model section of the recipe."""

from pydantic import BaseModel, ConfigDict, Field


class PairConfig(BaseModel):
    """A small network that reads a text with a criterion in mind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(32, ge=1, le=256, description="numbers of a word")
