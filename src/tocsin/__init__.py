"""tocsin trains, proves, ships and watches security models."""

__version__ = "0.1.0"
