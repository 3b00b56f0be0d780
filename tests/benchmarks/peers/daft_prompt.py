"""Daft: a data frame of picture files, their bytes, and its `prompt` expression on an OpenAI-compatible server."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import daft
from daft.ai.openai.provider import OpenAIProvider
from daft.functions import prompt


def main(task: dict) -> dict:
    """Answers by file stem, and the seconds they took."""
    started = time.perf_counter()
    files = sorted(Path(task["folder"]).iterdir())
    frame = daft.from_pydict({"key": [f.stem for f in files], "path": [str(f) for f in files]})
    frame = frame.with_column("image", daft.col("path").download())
    answer = prompt(
        [daft.lit(task["text"]), daft.col("image")],
        provider=OpenAIProvider(name="served", base_url=task["url"], api_key="none"),
        model=task["model"],
        use_chat_completions=True,
        **task["options"],
    )
    rows = frame.select("key", answer.alias("answer")).to_pydict()
    answers = dict(zip(rows["key"], rows["answer"], strict=True))
    return {"seconds": time.perf_counter() - started, "answers": answers}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
