"""What a service counts, for Prometheus; labels are few, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

from curate.guard.decision import Decision
from curate.serving.served_policies import ServedPolicy

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ServiceMetrics:
    """A registry of its own, so that it holds what is named here and nothing else.

    Args:
        engine: the engine's counters.
    """

    def __init__(self, engine: Callable[[], Mapping[str, float]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Engine(engine))
        self._requests = Counter(
            "curate_requests", "Requests by endpoint and status", ["endpoint", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "curate_request_seconds", "Time to an answer", ["endpoint"], buckets=_SECONDS, registry=self._registry
        )
        self._decisions = Counter(
            "curate_decisions",
            "Pictures by policy, category and whether they were blocked",
            ["policy", "category", "blocked"],
            registry=self._registry,
        )
        self._unjudged = Counter("curate_unjudged", "Pictures without a label", ["reason"], registry=self._registry)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A level that is looked at when somebody asks."""
        Gauge(name, what, registry=self._registry).set_function(value)

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """One request."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def decided(self, decision: Decision, served: ServedPolicy) -> None:
        """One picture."""
        if not decision.judged:
            self._unjudged.labels("partly_judged" if decision.rating else decision.status).inc()
            return
        category = served.counted_as if served.own else decision.category or ""
        self._decisions.labels(served.counted_as, category, str(decision.blocked).lower()).inc()

    def text(self) -> bytes:
        """In Prometheus' format."""
        return generate_latest(self._registry)


class _Engine(Collector):
    def __init__(self, counters: Callable[[], Mapping[str, float]]) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        for name, value in self._counters().items():
            yield UntypedMetricFamily(f"curate_engine_{name}", f"The engine's own: {name}", value=value)
