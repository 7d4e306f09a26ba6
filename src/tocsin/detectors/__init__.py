"""One folder per detector; nothing else."""
