"""Checks of the data before training, and the simpler models that a model has to beat."""
