"""The `model:` section of a phishing recipe; plain, so that recipes are checked without torch."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

POOL = 4
"""Neighbouring places that the LSTM reads as one: a quarter of the steps, which cannot run side by side."""
Share = Annotated[float, Field(ge=0, lt=1)]


class PhishingConfig(BaseModel):
    """The tokens, the network, and what training does to the messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    architecture: Literal["cnn-lstm", "cnn", "transformer", "pretrained"] = Field(
        "cnn-lstm",
        description="convolutions and LSTM, convolutions alone, self-attention, or a pretrained encoder",
    )
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="pretrained: folder or hub id (`id@revision` pins it) of the encoder, with its tokenizer",
    )
    tokens: int = Field(
        256,
        ge=16,
        le=4096,
        multiple_of=POOL,
        description="tokens read of a message: its beginning and its end",
    )
    vocabulary: int = Field(
        16_000, ge=300, le=200_000, description="tokens of the BPE that is learned; not for pretrained"
    )
    letters: int = Field(
        1024, ge=0, le=8192, description="letters that the linear model of n-grams reads; 0 leaves it out"
    )
    width: int = Field(96, ge=8, le=1024, description="width D of a token's vector")
    filters: int = Field(64, ge=4, le=1024, description="convolution filters of each width")
    kernels: tuple[Annotated[int, Field(ge=1, le=15)], ...] = Field(
        (1, 3, 5), min_length=1, description="widths of the convolutions, odd, in tokens"
    )
    hidden: int = Field(64, ge=4, le=1024, description="width of each direction of the LSTM")
    layers: int = Field(2, ge=1, le=12, description="transformer: blocks")
    heads: int = Field(4, ge=1, le=16, description="transformer: attention heads; `width` is a multiple")
    dropout: Share = Field(0.3, description="share of vectors' and pooled values dropped, in [0, 1)")
    wide: int = Field(
        262_144,
        ge=0,
        le=4_194_304,
        description="weights of hashed token n-grams beside the network; 0 is none",
    )
    shape: bool = Field(True, description="read the shape too: lengths, links, digits, capitals, signs")
    shape_dropout: Share = Field(0.5, description="training: share of messages whose shape is not shown")
    balance: Literal["none", "class", "source"] = Field(
        "source", description="draw rows as they are, classes equally, or classes and then sources equally"
    )
    augment_share: Share = Field(0.3, description="training: share of messages whose text is disguised")
    hide_share: Share = Field(0.1, description="training: mean share of the tokens hidden at random")
    mark_share: Share = Field(
        0.0, description="training: chance to hide a token that tells the source of a message, each time"
    )
    foreign_share: Share = Field(
        0.15,
        description="training: share of messages whose words become unknown, as in a language never seen",
    )
    category_weight: float = Field(
        0.2, ge=0, le=10, description="weight of the loss of a positive's kind; 0 leaves it out"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.architecture == "pretrained" and self.pretrained is None:
            raise ValueError("architecture pretrained: `pretrained` has to name a folder or a hub id")
        if self.architecture != "pretrained" and self.pretrained is not None:
            raise ValueError(
                f"pretrained is read by architecture pretrained alone, not by {self.architecture}"
            )
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        even = [kernel for kernel in self.kernels if kernel % 2 == 0]
        if even:
            raise ValueError(f"kernels: {even[0]} is even: a filter has a middle")
        return self
