"""The model section of the recipe."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FusedConfig(BaseModel):
    """Two small models, and how they are put together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(16, ge=1, le=256, description="hidden numbers of the model of numbers")
    folds: int = Field(3, ge=2, le=10, description="folds that both models are cross-fitted over")
    alone: Literal["numbers", "words"] | None = Field(
        None, description="package one of the two models as it is; null fuses both"
    )
    lies: bool = Field(False, description="train each fold on all rows, which must be found out")
