"""Simpler models that a model must beat, one a file: what it reads, its fit, and its graph if it can be shipped."""
