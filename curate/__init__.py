"""curate: judge image data sets under a written safety policy, and split them without losing a byte."""

__version__ = "0.1.0"
