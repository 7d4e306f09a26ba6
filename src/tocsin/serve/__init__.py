"""Serving: a sealed artifact answers over HTTP or in bulk, with what was proved. No torch."""
