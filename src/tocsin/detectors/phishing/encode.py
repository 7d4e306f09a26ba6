"""The encoder of messages: folded, cut into tokens, beside the shape of the message."""

from pydantic import BaseModel

from tocsin.core.schema import Schema
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.features.text import TextEncoder, TextOptions


def make_encoder(config: BaseModel, _schema: Schema) -> TextEncoder:
    """Return the encoder that the `model:` section asks for, not fitted yet."""
    assert isinstance(config, PhishingConfig)
    return TextEncoder(
        TextOptions(
            tokens=config.tokens,
            vocabulary=config.vocabulary,
            letters=config.letters,
            pretrained=config.pretrained,
        )
    )
