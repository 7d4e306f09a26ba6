"""Baselines that read arrays that only messages have."""
