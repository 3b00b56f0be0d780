"""Tasks for Label Studio, and its export read back.

Formats: https://labelstud.io/guide/tasks (import) and https://labelstud.io/guide/export (JSON).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

PREFIX = "/data/local-files/?d="
"""What Label Studio serves local files under; behind it the path below its document root."""

_CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="rating" toName="image" choice="single" required="true" showInline="true">
    <Choice value="Safe" hotkey="1"/>
    <Choice value="Unsafe" hotkey="2"/>
  </Choices>
  <Choices name="category" toName="image" choice="single" visibleWhen="choice-selected" whenTagName="rating"
           whenChoiceValue="Unsafe">
{categories}
  </Choices>
  <TextArea name="reason" toName="image" rows="1" maxSubmissions="1" placeholder="Why (optional)"/>
</View>
"""


def config(categories: Mapping[str, str]) -> str:
    """The labelling interface; `categories` are names by code."""
    choices = [f"    <Choice value={quoteattr(code)} hint={quoteattr(name)}/>" for code, name in categories.items()]
    return _CONFIG.format(categories="\n".join(choices))


def tasks(rows: Sequence[Mapping[str, Any]], folder: str, model: str | None) -> str:
    """The import file.

    Args:
        rows: with task, images and, where there are to be predictions, rating, category and p_unsafe.
        folder: of the images, below Label Studio's document root.
        model: whose predictions are shown; None shows none, so that reviewers are not led.
    """
    return json.dumps([_task(row, folder, model) for row in rows], indent=1, ensure_ascii=False) + "\n"


def verdicts(exported: bytes) -> Iterator[dict[str, str]]:
    """Task, rating, category, reviewer, time and reason of each annotation that was not cancelled.

    Raises:
        ValueError: this is no export of Label Studio.
    """
    try:
        for task in json.loads(exported):
            for annotation in task["annotations"]:
                if not annotation.get("was_cancelled"):
                    yield {"task": str(task["data"]["task"]), **_said(annotation)}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no export of Label Studio in its JSON format ({error!r})") from error


def _task(row: Mapping[str, Any], folder: str, model: str | None) -> dict[str, Any]:
    task: dict[str, Any] = {"data": {"image": f"{PREFIX}{folder}/{row['images'][0]}", "task": row["task"]}}
    if model is not None:
        results = [_choice("rating", row["rating"])]
        results += [_choice("category", row["category"])] if row["rating"] == "Unsafe" else []
        task["predictions"] = [{"model_version": model, "score": row["p_unsafe"], "result": results}]
    return task


def _choice(name: str, value: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": [value]}}


def _said(annotation: Mapping[str, Any]) -> dict[str, str]:
    found = {one["from_name"]: one["value"] for one in annotation["result"]}
    who = annotation.get("completed_by", "")
    return {
        "rating": _first(found.get("rating"), "choices"),
        "category": _first(found.get("category"), "choices"),
        "reviewer": str(who.get("email", who.get("id", "")) if isinstance(who, dict) else who),
        "time": str(annotation.get("updated_at") or annotation.get("created_at") or ""),
        "reason": _first(found.get("reason"), "text"),
    }


def _first(value: Mapping[str, Any] | None, key: str) -> str:
    entries = value.get(key, []) if value else []
    return str(entries if isinstance(entries, str) else next(iter(entries), ""))
