"""The commands of `python -m curate`, one file each.

A command is SUMMARY, EXAMPLE and `main(argv) -> ExitCode`, with ARGUMENTS, SETTINGS or WORDS for what it takes; its
name stands in `curate.cli.command_names`.
"""

__all__ = ()
