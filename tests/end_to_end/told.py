"""Made messages that one word tells apart: what a model of letters or tokens learns in a few steps."""

from pathlib import Path

import polars as pl

from tocsin.detectors.phishing.demo import make

WORD = "zvx"


def make_told(folder: Path, rows: int) -> Path:
    """Write made messages of which the phishing ones, and no others, end in WORD."""
    path = make(folder, 3, rows=rows)
    told = pl.when(pl.col("label") == "1").then(pl.col("text") + f" {WORD}").otherwise(pl.col("text"))
    pl.read_csv(path, infer_schema=False).with_columns(told.alias("text")).write_csv(path)
    return path
