"""Raw records to named arrays; no torch."""
