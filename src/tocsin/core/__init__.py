"""Nouns and primitives that everything else is written in. No torch, no I/O but durable files."""
