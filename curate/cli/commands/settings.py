"""Every setting with its default, type and sentence, and the names that can be chosen in each group.

`settings` lists all of them, `settings model` one group, `settings model.dtype` one setting with what the files of the
group say of it.
"""

from __future__ import annotations

from curate.cli.settings_page import listing, page
from curate.console.output import say
from curate.core.errors import ExitCode, InputError

SUMMARY = "list every setting with its default, type and meaning, and what can be chosen"
EXAMPLE = "settings model"
WORDS = "*"
ARGUMENTS = """
markdown=true|false       whether all of it is printed as docs/settings.md
"""


def main(argv: list[str]) -> ExitCode:
    """Print them.

    Raises:
        InputError: there is no such group or setting.
    """
    flags = [argument for argument in argv if "=" in argument]
    places = [argument for argument in argv if "=" not in argument]
    wrong = next((flag for flag in flags if flag not in ("markdown=true", "markdown=false")), None)
    if wrong or len(places) > 1:
        raise InputError(f"{wrong or places[1]}: `settings` takes one group or setting, and markdown=true or false")
    if "markdown=true" in flags:
        say(page().rstrip("\n"))
    else:
        say(*listing(*places))
    return ExitCode.DONE
