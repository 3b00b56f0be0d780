"""The edge: `python -m curate COMMAND`.

Law: Hydra is known to one module; an error is one line and an exit code.

| module | does |
|---|---|
| program | finds the command; errors to lines and exit codes |
| commands/, command_names | one file each, and their names |
| hydra_config, overrides | what is typed to `Settings` |
| argument_hints | what other tools' users type, told how it is written here |
| help, tab_completion, inspection, settings_page | what the program says of itself |
| remarks | what is to be known before a model judges |
| data_access | how commands without settings reach a run's data |
| path_values | paths as they are typed: any character, quotes, `~`, lists |
| run_argument | `output.dir=` of commands without settings |
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = (
    "hydra_config",
    "program",
    "remarks",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The program as a function: runs one command in this process, and returns its exit code. Light to import."""
    from curate.cli.program import main as run

    return run(argv)
