"""A script that completes commands, groups and settings where TAB is pressed, for `curate` and `python -m curate`.

bash: `eval "$(python -m curate completion bash)"` in ~/.bashrc; zsh: the same with zsh in ~/.zshrc;
fish: `python -m curate completion fish | source` in ~/.config/fish/config.fish.
"""

from __future__ import annotations

from curate.cli.tab_completion import SHELLS
from curate.console.output import say
from curate.core.errors import ExitCode, InputError
from curate.core.package_files import PACKAGE

SUMMARY = "print a script that completes commands and settings in bash, zsh or fish"
EXAMPLE = "completion bash"
WORDS = "bash zsh fish"


def main(argv: list[str]) -> ExitCode:
    """Print it.

    Raises:
        InputError: no shell is named, or one that there is no script for.
    """
    if len(argv) != 1 or argv[0] not in SHELLS:
        raise InputError(f"completion: name the shell, one of {', '.join(SHELLS)}, as in: python -m curate {EXAMPLE}")
    say((PACKAGE / "cli" / "completions" / f"curate.{argv[0]}").read_text(encoding="utf-8").rstrip("\n"))
    return ExitCode.DONE
