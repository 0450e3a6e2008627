"""The one place that holds the version of all four distributions."""

__version__ = "1.0.0.dev0"
