import re
import subprocess
import sys
from pathlib import Path

from curate.core.types import Status
from curate.runs.annotation_table import SCHEMA

PAGE = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text(encoding="utf-8")


def test_the_page_describes_every_column_in_its_order():
    lists = {"frames": "list of int32", "category_scores": "list of category and score"}
    columns = re.findall(r"^\| (\w+) \| (string|float|int32|int64|list of [a-z0-9 ]+) \| \S", PAGE, re.MULTILINE)
    assert columns == [(field.name, lists.get(field.name, str(field.type))) for field in SCHEMA]


def test_the_page_describes_every_status():
    table = PAGE.split("| status | means")[1]
    described = {name for cell in re.findall(r"^\| ([a-z_, ]+) \|", table, re.MULTILINE) for name in cell.split(", ")}
    assert described == {status.value for status in Status}


def test_the_schema_is_there_before_pandas_is():
    shown = "import sys, curate.runs.annotation_table; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()
    assert "pandas" not in loaded
