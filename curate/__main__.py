"""`python -m curate`."""

from __future__ import annotations

import os
import sys

from curate.cli import main

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written and closed. Native thread pools of third parties are known to abort a process whose work is
    # done while the interpreter takes it down, which would turn a good exit code into a bad one.
    os._exit(code)
