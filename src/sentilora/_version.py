"""The version, stated once: the build and the command line both read it here."""

__version__ = "0.1.0"
