"""Artifacts judged on rows: evaluate, compare, replay."""
