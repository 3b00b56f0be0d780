"""`python -m curate`."""

from __future__ import annotations

from typing import NoReturn

from curate.processes.interruption import ending, leave, listen


def program() -> NoReturn:
    """The program: `curate.cli.program.main` as a process of its own.

    It obeys signals before anything else is loaded.
    """
    try:
        listen()
        from curate.cli.program import main

        leave(main())
    except BaseException:
        if not ending():
            raise
        leave(1)  # whatever came of being cut off in the middle


if __name__ == "__main__":
    program()
