"""Turn the gold pictures into gold rows: each under a policy, and each unsafe one again where its category is allowed.

The rows carry the policy as text, so that `run` judges each under its own (`dataset.policy_column=policy`) and
`evaluate` measures policy exceptions end to end. Runs in the environment of the package itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from curate.judges.prompts import render_policy
from curate.policies.policy import Policy, load_policy
from curate.tuning.policy_augmentation import relax

HERE = Path(__file__).resolve().parent / "safeguard"
POLICY = HERE.parent.parent / "conf" / "policy" / "drawings.yaml"
ADDED = pa.schema([("policy", pa.string()), ("exception", pa.bool_()), ("relaxed", pa.string())])
ROWS_PER_GROUP = 64

SplitOf = Callable[[Mapping[str, Any]], str]


def gold_rows(pictures: pa.Table, policy: Policy) -> Iterator[dict[str, Any]]:
    """The rows of `pictures` under `policy`, and behind each unsafe one its policy exception.

    Args:
        pictures: with the columns `rating` and `category`.
        policy: enforces every category that a picture violates.
    """
    default = render_policy(policy)
    allowed: Mapping[str, str] = {code: render_policy(relax(policy, [code])) for code in policy.categories}
    for row in pictures.to_pylist():
        yield {**row, "policy": default, "exception": False, "relaxed": ""}
        if row["rating"] == "Unsafe":
            code = row["category"]
            yield {**row, "rating": "Safe", "policy": allowed[code], "exception": True, "relaxed": code}


def write_gold_rows(pictures: Path, policy: Policy, out: Path, split: SplitOf | None = None) -> tuple[int, int]:
    """Write the gold rows of `pictures` under `policy` to `out`; how many there are, and how many are exceptions.

    Args:
        pictures: Parquet file of gold pictures.
        policy: as for `gold_rows`.
        out: Parquet file to write.
        split: what stands in the column `split` of a row; None leaves it as it is.
    """
    table = pq.read_table(pictures)
    rows = [row if split is None else {**row, "split": split(row)} for row in gold_rows(table, policy)]
    out.parent.mkdir(parents=True, exist_ok=True)
    filled = pa.Table.from_pylist(rows, pa.schema([*table.schema, *ADDED]))
    pq.write_table(filled, out, row_group_size=ROWS_PER_GROUP)
    return len(rows), sum(row["exception"] for row in rows)


def read_policy(path: Path) -> Policy:
    """The policy in a YAML file."""
    return load_policy(yaml.safe_load(path.read_text(encoding="utf-8")))


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=HERE / "gold" / "gold.parquet")
    parser.add_argument("--policy", type=Path, default=POLICY, help="YAML file of a policy")
    parser.add_argument("out", type=Path, help="Parquet file to write")
    arguments = parser.parse_args()
    policy = read_policy(arguments.policy)
    rows, exceptions = write_gold_rows(arguments.pictures, policy, arguments.out)
    print(f"{rows} rows, {exceptions} of them policy exceptions, under policy {policy.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
