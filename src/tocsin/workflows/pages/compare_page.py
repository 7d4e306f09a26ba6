"""The files of a comparison: compare.json, and one page that stands alone."""

from base64 import b64encode
from pathlib import Path

from tocsin.core.durable import write_json, write_text
from tocsin.metrics.pairs import Pair, SliceChange
from tocsin.workflows.judging.compare import NAMES, Comparison
from tocsin.workflows.judging.sentences import WORDS
from tocsin.workflows.pages.figures import METRIC_WORDS, draw_changes, draw_reliability, draw_roc, png
from tocsin.workflows.pages.report import page_environment

PAGE, CONTENT = "compare.html", "compare.json"


def write_comparison(folder: Path, comparison: Comparison) -> Path:
    """Write compare.json and compare.html into a folder; returns the page."""
    write_json(folder / CONTENT, comparison)
    models = dict(zip(NAMES, comparison.pair.evaluations, strict=True))
    drawn = {
        "changes": draw_changes({WORDS[c.metric]: c.difference for c in comparison.pair.metrics}),
        "roc": draw_roc(models),
        "reliability": draw_reliability(models),
    }
    figures = {name: "data:image/png;base64," + b64encode(png(f)).decode() for name, f in drawn.items()}
    page = page_environment().get_template("compare.html.j2")
    facts = {
        "found": comparison,
        "pair": comparison.pair,
        "models": models,
        "slices": order_slices(comparison.pair),
    }
    words = {"words": METRIC_WORDS, "short": WORDS, "title": "A", "figures": figures}
    write_text(folder / PAGE, page.render(**facts, **words))
    return folder / PAGE


def order_slices(pair: Pair) -> list[SliceChange]:
    """Return the slices, the least likely by chance first."""
    return sorted(pair.slices, key=lambda s: (1.0 if s.p is None else s.p, -s.rows))
