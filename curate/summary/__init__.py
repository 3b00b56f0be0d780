"""What `run` ends with, on one screen.

Law: it fits a terminal of 24 rows, and the commands that it offers work when they are pasted.

| module | does |
|---|---|
| summary | what was found, what failed and why, where it lies |
| examples, example_rows | three pictures that tell something about the run |
| unjudged | samples without a label, and what would help |
| next_steps | commands that make sense now, as they are typed |
"""

__all__ = ("summary",)
