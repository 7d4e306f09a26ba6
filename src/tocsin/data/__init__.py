"""Rows in: sources, datasets, splits and fingerprints. No torch."""
