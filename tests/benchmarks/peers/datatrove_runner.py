"""datatrove: a document for each picture file, its `InferenceRunner` on an OpenAI-compatible server, JSON lines out."""

from __future__ import annotations

import base64
import gzip
import json
import sys
import tempfile
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.writers import JsonlWriter


def main(task: dict) -> dict:
    """Answers by file stem, and the seconds they took."""
    started = time.perf_counter()
    options = {k: v for k, v in task["options"].items() if k != "extra_body"} | task["options"].get("extra_body", {})

    async def rollout(document: Document, generate) -> str:
        image = base64.b64encode(Path(document.text).read_bytes()).decode()
        parts = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{image}"}},
            {"type": "text", "text": task["text"]},
        ]
        return (await generate({"messages": [{"role": "user", "content": parts}], **options})).text

    documents = [Document(text=str(f), id=f.stem) for f in sorted(Path(task["folder"]).iterdir())]
    with tempfile.TemporaryDirectory() as folder:
        runner = InferenceRunner(
            rollout_fn=rollout,
            config=InferenceConfig(
                server_type="endpoint",
                endpoint_url=task["url"].removesuffix("/v1"),
                model_name_or_path=task["model"],
                max_concurrent_generations=task["in_flight"],
            ),
            output_writer=JsonlWriter(f"{folder}/out"),
        )
        LocalPipelineExecutor(pipeline=[documents, runner], logging_dir=f"{folder}/logs").run()
        answers = dict(_answers(Path(folder) / "out"))
        return {"seconds": time.perf_counter() - started, "answers": answers}


def _answers(folder: Path):
    for path in folder.glob("*.jsonl.gz"):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                document = json.loads(line)
                yield document["id"], document["metadata"]["rollout_results"][0]


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
