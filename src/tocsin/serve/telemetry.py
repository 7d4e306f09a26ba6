"""What the server counts, for Prometheus: base units, names with the prefix `tocsin_`, no unbounded label.

Services are told apart by `detector` and `alias`, which only the start of the server chooses.
"""

import os
from collections import Counter as Tally
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from time import time
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client import values as storage
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from tocsin.core.types import Verdict
from tocsin.serve.lane import Lane
from tocsin.serve.service import Key, Offer

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
RATIOS = tuple(i / 20 for i in range(1, 21))
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SERVICE = Key._fields
"""Labels of what belongs to one service."""


def share_between_processes(folder: Path) -> None:
    """Make this process keep its numbers in a folder, where every process of the server reads all of them."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    storage.ValueClass = storage.MultiProcessValue()  # type: ignore[no-untyped-call]


def retire_process(pid: int, folder: Path) -> None:
    """Take the gauges of a process that has ended out of the sums; what it counted stays."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class Telemetry:
    """The metrics of one application, in a registry of its own."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        if folder is None:
            ProcessCollector(registry=self._registry)
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self._requests = counter("http_requests", "Answered requests.", "route", "method", "code")
        self._durations = histogram("http_request_duration_seconds", "Time to answer.", SECONDS, "route")
        self._stages = histogram(
            "inference_stage_duration_seconds", "Time of a stage.", SECONDS, *SERVICE, "stage"
        )
        self._batch = histogram("inference_batch_size", "Samples in a request.", ROWS)
        self._in_flight = gauge("inference_in_flight_requests", "Requests not answered yet.", "livesum")
        self._queue = gauge("inference_queue_requests", "Jobs that wait for a thread.", "livesum")
        self._shed = counter("requests_shed", "Requests refused for lack of capacity.", "reason")
        self._rejected = counter(
            "inputs_rejected", "Requests refused for what they hold.", *SERVICE, "reason"
        )
        self._predictions = counter("predictions", "Verdicts.", *SERVICE, "model_version", "decision")
        self._scores = histogram("prediction_score_ratio", "Calibrated probabilities.", RATIOS, *SERVICE)
        self._abstentions = counter("abstentions", "Verdicts left to a person.", *SERVICE)
        self._nonfinite = counter("nonfinite_outputs", "Answers that were no numbers.", *SERVICE)
        self._texts = counter("answers", "Texts of language models.", *SERVICE, "model_version", "stopped")
        self._tokens = counter("llm_tokens", "Tokens of language models.", *SERVICE, "kind")
        self._model = gauge("model_info", "What is served.", "max", *SERVICE, "version", "digest")
        self._trained = gauge("model_trained_timestamp_seconds", "When it was made.", "max", *SERVICE)
        self._heartbeat = gauge("engine_heartbeat_timestamp_seconds", "Last sign of life.", "livemin")
        self._child = cache(_labelled)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"tocsin_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"tocsin_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str, mode: Any, *labels: str) -> Gauge:
        return Gauge(f"tocsin_{name}", text, labels, registry=self._registry, multiprocess_mode=mode)

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count an answered request."""
        self._child(self._requests, route, method if method in METHODS else "other", str(code)).inc()
        self._child(self._durations, route).observe(seconds)

    def stage(self, key: Key, stage: str, seconds: float) -> None:
        """Count the time of one stage of inference."""
        self._child(self._stages, *key, stage).observe(seconds)

    def shed(self, reason: str) -> None:
        """Count a request that was refused for lack of capacity."""
        self._child(self._shed, reason).inc()

    def rejected(self, key: Key, reason: str) -> None:
        """Count a request that was refused for what it holds."""
        self._child(self._rejected, *key, reason).inc()

    def nonfinite(self, key: Key) -> None:
        """Count an answer that was no number."""
        self._child(self._nonfinite, *key).inc()

    def verdicts(self, offer: Offer, verdicts: Sequence[Verdict]) -> Tally[str]:
        """Count the verdicts of one request, and return the count of each decision."""
        key, version = offer.key, offer.artifact.manifest.version
        tally = Tally("abstain" if verdict.abstain else verdict.label for verdict in verdicts)
        self._batch.observe(len(verdicts))
        for decision, number in tally.items():
            self._child(self._predictions, *key, version, decision).inc(number)
        scores = self._child(self._scores, *key)
        for verdict in verdicts:
            scores.observe(verdict.probability)
        if tally["abstain"]:
            self._child(self._abstentions, *key).inc(tally["abstain"])
        return tally

    def text(self, offer: Offer, tokens: int, stopped: str) -> None:
        """Count a text that a language model wrote, whole or not, and its tokens."""
        self._child(self._texts, *offer.key, offer.artifact.manifest.version, stopped).inc()
        self._child(self._tokens, *offer.key, "answer").inc(tokens)

    def served(self, offer: Offer) -> None:
        """Publish what is served, and when it was made in seconds since 1970."""
        manifest = offer.artifact.manifest
        self._model.labels(*offer.key, manifest.version, offer.artifact.digest).set(1)
        self._trained.labels(*offer.key).set(datetime.fromisoformat(manifest.created_at).timestamp())

    def pulse(self, lane: Lane) -> None:
        """Publish the lane's load and its heartbeat; the heartbeat grows old while the lane is stuck."""
        self._in_flight.set(lane.admitted)
        self._queue.set(lane.waiting)
        if not lane.is_stuck():
            self._heartbeat.set(time())

    def render(self) -> bytes:
        """Return the exposition text, over all processes where there are several."""
        if self._folder is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _labelled(metric: Any, *labels: str) -> Any:
    return metric.labels(*labels)
