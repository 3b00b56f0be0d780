"""What is counted, and that what is asked makes no new names."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.test_judge_endpoint import TEXT
from tests.support.services import gif, png, serving


def samples(service):
    text = service.client.get("/metrics").text
    return {
        (s.name, *sorted(s.labels.values())): s.value for f in text_string_to_metric_families(text) for s in f.samples
    }


@pytest.mark.slow
def test_requests_decisions_levels_and_the_engines_own():
    with serving("policy=llavaguard", own_policies=True) as service:
        rows = [service.judge(png(n)).json() for n in range(10)]
        service.judge(gif())
        service.judge(png(1), policy=TEXT)
        service.client.get("/any/path/at/all")
        found = samples(service)
    blocked = sum(v for k, v in found.items() if k[0] == "curate_decisions_total" and "true" in k and "own" not in k)
    assert blocked == sum(row["blocked"] for row in rows)
    assert found["curate_unjudged_total", "partly_judged"] == 1
    assert found["curate_requests_total", "/v1/judge", "200"] == 11
    assert found["curate_requests_total", "/v1/judge", "422"] == 1
    assert found["curate_requests_total", "404", "other"] == 1
    assert found["curate_request_seconds_count", "/v1/judge"] == 12
    assert found["curate_images_held",] == 0
    assert found["curate_engine_requests",] == 15  # ten, three frames, a text, and the one that a start judges
    assert {k for k in found if "text-" in str(k)} == set()
