"""The command line: argument parsing and printing only. Everything heavy is imported by the verb that needs it."""

from tocsin.cli.app import main

__all__ = ["main"]
