"""Data set cards: what lets `datasets` load a run's folder, and what tells a person how it came about.

Noun: configuration (what `load_dataset(folder, NAME)` takes).
Law: a card points to complete files only, and carries a digest of what it points to.
"""

__all__ = ("card",)
