"""Checks of the data before training, and the readiness scorecard."""
