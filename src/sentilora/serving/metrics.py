"""Numbers for Prometheus: load, and what the answers look like, where drift shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sentilora.inference import Prediction

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "sentilora_requests", "Requests answered.", ["endpoint", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "sentilora_request_seconds", "Time to answer.", ["endpoint"], buckets=_SECONDS, registry=self._registry
        )
        self._queue = Gauge("sentilora_queue_tokens", "Tokens waiting for a worker.", registry=self._registry)
        self._truncated = Counter(
            "sentilora_truncated", "Texts too long to be read whole.", ["adapter"], registry=self._registry
        )
        self._labels = Counter(
            "sentilora_labels", "Texts by the label they got.", ["adapter", "label"], registry=self._registry
        )
        self._confidence = Histogram(
            "sentilora_confidence",
            "Probability of the label; its sum by its count is the mean.",
            ["adapter"],
            buckets=(0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
            registry=self._registry,
        )

    def watch_queue(self, queued: Callable[[], int]) -> None:
        """Read the length of the queue from `queued` whenever it is asked for."""
        self._queue.set_function(queued)

    def count_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def count_predictions(self, adapter: str, predictions: Sequence[Prediction]) -> None:
        """Count what an adapter answered."""
        for prediction in predictions:
            self._labels.labels(adapter, prediction.label).inc()
            self._confidence.labels(adapter).observe(prediction.confidence)
            if prediction.truncated:
                self._truncated.labels(adapter).inc()

    def exposition(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
