"""The `model:` section of an intrusion recipe; plain, so that recipes are checked without torch."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Dropout = Annotated[float, Field(ge=0, lt=1)]


class IntrusionConfig(BaseModel):
    """The encoder, the transformer and its pretraining."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    architecture: Literal["ft-transformer", "tab-transformer"] = Field(
        "ft-transformer", description="tokens of all features, or of the categorical ones only"
    )
    width: int = Field(128, ge=8, le=1024, description="width D of a feature's token; a multiple of `heads`")
    layers: int = Field(4, ge=1, le=24, description="transformer blocks")
    heads: int = Field(8, ge=1, le=32, description="attention heads")
    feedforward: int = Field(384, ge=8, le=8192, description="hidden width of the ReGLU layer of each block")
    attention_dropout: Dropout = Field(0.2, description="share of the attention weights dropped, in [0, 1)")
    feedforward_dropout: Dropout = Field(0.1, description="share of the ReGLU layer dropped, in [0, 1)")
    residual_dropout: Dropout = Field(0.0, description="share of each block's result dropped, in [0, 1)")
    numeric_scaling: Literal["quantile", "standard", "log"] = Field(
        "quantile", description="to a normal by ranks; by mean and deviation; or by those after a signed log"
    )
    numeric_embedding: Literal["linear", "piecewise"] = Field(
        "linear", description="a number times a vector, or its place between `bins` edges times vectors"
    )
    bins: int = Field(16, ge=2, le=256, description="piecewise: bins between quantiles of the training rows")
    category_min_count: int = Field(
        10, ge=1, le=1_000_000, description="a text value seen less often in training becomes `unknown`"
    )
    mask_share: float = Field(
        0.15, gt=0, lt=1, description="pretraining: share of the features hidden and restored"
    )
    category_weight: float = Field(
        0.5,
        ge=0,
        le=10,
        description="weight of the attack family's loss beside the binary loss; 0 leaves it out",
    )
    hide_share: float = Field(
        0.0, ge=0, lt=0.5, description="fine-tuning: mean share of the features hidden at random"
    )
    outlier_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="fine-tuning: share of the normal rows made into attacks by cells of other rows",
    )
    outlier_cells: float = Field(
        0.5, gt=0, le=1, description="fine-tuning: largest share of such an attack's cells from other rows"
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
