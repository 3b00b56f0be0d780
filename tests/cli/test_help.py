"""The list of commands: complete, and shown without importing what the commands need."""

from __future__ import annotations

import subprocess
import sys

from curate.cli.command_names import NAMES

SHOW = "import sys; from curate.cli.program import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"


def test_the_list_of_commands_imports_none_of_them() -> None:
    shown = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in shown.stdout and f"python -m curate {name} " in shown.stdout for name in NAMES)
    for heavy in ("hydra", "polars", "pyarrow", "numpy", "PIL"):
        assert f"'{heavy}'" not in shown.stderr
