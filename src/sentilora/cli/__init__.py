"""The command line: one module a command, each parses, calls one function, and prints."""

from sentilora.cli.app import main

__all__ = ["main"]
