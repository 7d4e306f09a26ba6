"""Sealed artifacts at work: predict, scan, serve, verify."""
