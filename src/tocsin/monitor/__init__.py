"""Reference statistics and drift."""
