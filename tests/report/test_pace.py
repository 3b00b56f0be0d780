"""Throughput over time, from lines as workers write them."""

from __future__ import annotations

import json

import pytest

from curate.report.pace import BINS, read_pace
from curate.storage.local_store import LocalStore


def written(folder, lines, workers=1):
    """Measurements of workers that each wrote `lines`: (time, samples, waited)."""
    store = LocalStore(folder)
    for worker in range(workers):
        text = "".join(f"{json.dumps({'time': t, 'samples': n, 'waited': w})}\n" for t, n, w in lines)
        store.replace(f"metrics/seconds/w{worker}.0000.jsonl", text.encode())
        metrics = {"workers": 1, "samples": sum(n for _, n, _ in lines), "elapsed": float(len(lines))}
        record = {"worker": f"w{worker}", "setup": "s", "time": 0, "metrics": metrics}
        store.replace(f"metrics/workers/w{worker}.json", json.dumps(record).encode())
    return store


def test_all_workers_together_and_the_mean_of_their_idle_time(tmp_path):
    pace = read_pace(written(tmp_path, [(1000.0 + n, 4, 0.25) for n in range(40)], workers=3))
    assert pace.rate == pytest.approx([12.0] * 40)
    assert pace.waited == pytest.approx([0.25] * 40)
    assert (pace.files, pace.files_read, pace.pauses) == (3, 3, 0)
    assert pace.metrics.samples == 480


def test_time_in_which_nobody_worked_is_left_out(tmp_path):
    lines = [(1000.0 + n, 4, 0.0) for n in range(30)] + [(90_000.0 + n, 4, 0.0) for n in range(30)]
    pace = read_pace(written(tmp_path, lines))
    assert pace.pauses == 1
    assert pace.seconds[-1] < 61
    assert sum(pace.rate) == pytest.approx(240)


def test_a_long_run_has_no_more_bins_than_can_be_seen(tmp_path):
    pace = read_pace(written(tmp_path, [(1000.0 + n, 2, 0.5) for n in range(5000)]))
    assert len(pace.seconds) <= BINS + 1
    assert pace.rate[3] == pytest.approx(2.0)


def test_lines_that_a_kill_cut_off_are_passed_over(tmp_path):
    store = written(tmp_path, [(1000.0 + n, 2, 0.5) for n in range(10)])
    name = "metrics/seconds/w0.0000.jsonl"
    store.replace(name, store.read(name)[:-9])
    assert len(read_pace(store).rate) == 9


def test_where_nothing_was_measured_there_is_none(tmp_path):
    assert read_pace(LocalStore(tmp_path)) is None
