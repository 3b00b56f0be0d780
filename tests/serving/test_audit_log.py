"""Decisions on record, and nothing of the pictures."""

from __future__ import annotations

import hashlib
import json
import stat

import pytest

from curate.core.errors import InputError
from curate.serving.audit_log import AuditLog
from tests.support.services import gif, png, serving


def test_every_decision_has_a_line_also_of_pictures_that_were_not_judged(tmp_path):
    path = tmp_path / "audit.jsonl"
    with serving("policy=llavaguard", audit=str(path)) as service:
        answer = service.moderate(png(1), png(2), rationale=True)
        assert service.moderate(png(3), gif()).status_code == 422
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["sha256"] for line in lines] == [
        hashlib.sha256(image).hexdigest() for image in (png(1), png(2), png(3), gif())
    ]
    decisions = [result["curate"] for result in answer.json()["results"]]
    assert [line["p_unsafe"] for line in lines[:2]] == [decision["p_unsafe"] for decision in decisions]
    assert lines[3]["blocked"] is True
    assert all("rationale" not in line and line["policy_hash"] for line in lines)
    assert answer.headers["x-request-id"] == lines[0]["request"] == lines[1]["request"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_recorded_is_not_decided():
    with serving("policy=llavaguard", audit="/dev/full") as service:
        response = service.judge(png(1))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "audit_failed")


def test_a_file_that_cannot_be_written_is_told_at_the_start(tmp_path):
    with pytest.raises(InputError, match=r"serve\.audit"):
        AuditLog(str(tmp_path / "nowhere" / "audit.jsonl"))
