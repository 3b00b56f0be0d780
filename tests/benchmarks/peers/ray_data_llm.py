"""Ray Data LLM: a data set of picture files through its HTTP processor on an OpenAI-compatible server.

Its own vLLM stage reserves a GPU for each engine; the server is the same engine without that.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

import ray
from ray.data.llm import HttpRequestProcessorConfig, build_processor

LOGICAL_CPUS = 8  # with no more than there are cores, the stages wait for each other for ever
QUERIES_A_SECOND = 1000  # without a number requests go out one after the other


def main(task: dict) -> dict:
    """Answers by file stem, and the seconds they took; Ray's own start does not count."""
    ray.init(num_cpus=LOGICAL_CPUS, include_dashboard=False, log_to_driver=False)
    started = time.perf_counter()
    options = {k: v for k, v in task["options"].items() if k != "extra_body"} | task["options"]["extra_body"]

    def ask(row: dict) -> dict:
        image = base64.b64encode(Path(row["path"]).read_bytes()).decode()
        parts = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{image}"}},
            {"type": "text", "text": task["text"]},
        ]
        payload = {"model": task["model"], "messages": [{"role": "user", "content": parts}], **options}
        return {"key": row["key"], "payload": payload}

    def read(row: dict) -> dict:
        return {"key": row["key"], "answer": row["http_response"]["choices"][0]["message"]["content"]}

    config = HttpRequestProcessorConfig(
        url=f"{task['url']}/chat/completions", qps=QUERIES_A_SECOND, batch_size=task["in_flight"], concurrency=1
    )
    files = sorted(Path(task["folder"]).iterdir())
    rows = ray.data.from_items([{"key": f.stem, "path": str(f)} for f in files])
    answered = build_processor(config, preprocess=ask, postprocess=read)(rows).take_all()
    answers = {row["key"]: row["answer"] for row in answered}
    return {"seconds": time.perf_counter() - started, "answers": answers}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
