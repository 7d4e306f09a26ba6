"""Intrusion."""
