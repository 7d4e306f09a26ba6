"""The encoder of flows: numbers scaled, names to codes."""

from pydantic import BaseModel

from tocsin.core.schema import Schema
from tocsin.core.types import field_names, is_numeric
from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.features.tabular import TabularEncoder, TabularOptions


def make_encoder(config: BaseModel, schema: Schema) -> TabularEncoder:
    """Return the encoder that the `model:` section asks for, not fitted yet."""
    assert isinstance(config, IntrusionConfig)
    names = field_names(schema.sample)
    numeric = [name for name in names if is_numeric(schema.sample, name)]
    options = TabularOptions(
        scaling=config.numeric_scaling, min_count=config.category_min_count, bins=config.bins
    )
    return TabularEncoder(numeric, [name for name in names if name not in numeric], options)
