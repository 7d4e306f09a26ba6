"""The sealed artifact: immutable, signed, torch-free. What is served is what was proved."""
