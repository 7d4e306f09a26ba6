"""Metrics with intervals, thresholds, calibration, and the evaluation that a run reports."""
