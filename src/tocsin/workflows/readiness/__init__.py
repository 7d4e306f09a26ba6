"""Whether an artifact may be used: the scorecard and what it must see running."""
