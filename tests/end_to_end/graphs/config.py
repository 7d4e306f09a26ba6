"""The model section of the recipe."""

from pydantic import BaseModel, ConfigDict, Field


class GraphConfig(BaseModel):
    """A small relational network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(24, ge=1, le=256, description="numbers of a node's state")
    rounds: int = Field(5, ge=1, le=16, description="how far a node hears")
    typed: bool = Field(True, description="read the kinds of edges; without them nothing can be told here")
