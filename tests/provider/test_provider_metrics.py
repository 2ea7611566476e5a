"""What happens reaches a statsd server on the wire, and costs next to nothing to note."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_segmind.api.wire import Traffic
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.emulator.faults import Fault
from airflow_provider_segmind.observability import metrics
from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tests.airflow_fork import airflow
from tests.provider import running
from tests.provider.running import TaskInstance

_HEAD = """
from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator, BodySwapOperator, SubmitBodySwapOperator,
)
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

PICTURES = {{"character_image": "{scene}", "reference_character_image": "{person}"}}

with DAG(dag_id="measured", schedule=None):
"""
BATCH = (
    _HEAD
    + """
    batch = BodySwapBatchOperator(
        task_id="batch", swaps=[{{**PICTURES, "select_character": who}} for who in ("woman", "man", "child")],
        results_uri="{results}", poll_interval=0.1, max_failures=1
    )
"""
)
EACH = (
    BATCH
    + """
    one = BodySwapOperator(task_id="one", poll_interval=0.1, **PICTURES)
    submit = SubmitBodySwapOperator(task_id="submit", **PICTURES)
    poke = BodySwapSensor(
        task_id="poke", poll_url=submit.output, deferrable=False, poke_interval=0.1, timeout=60, mode="poke"
    )
    url = BodySwapSensor(
        task_id="url", poll_url=submit.output["poll_url"], deferrable=False, poke_interval=0.1, timeout=60, mode="poke"
    )
    one >> submit >> poke >> url >> batch
"""
)


class Statsd:
    """Listens where a statsd server would."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)

    @property
    def env(self) -> dict[str, str]:
        """What makes an Airflow send its metrics here, with their tags."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }

    def lines(self) -> list[tuple[str, dict[str, str], float, str]]:
        """Return what has come of this package: name, tags, value and type."""
        said = []
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except BlockingIOError:
                return said
            for line in text.splitlines():
                named, _, rest = line.rpartition(":")
                name, *tags = named.split(",")
                if name.startswith("airflow.segmind."):
                    value, kind = rest.split("|")[:2]
                    said.append((name.removeprefix("airflow."), dict(t.split("=") for t in tags), float(value), kind))

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def statsd() -> Iterator[Statsd]:
    listening = Statsd()
    yield listening
    listening.close()


@pytest.fixture
def run(airflow_db: None, emulator: Emulator, statsd: Statsd, tmp_path: Path) -> Any:
    """Return a function that runs a DAG in an Airflow of its own, and returns what it sent."""

    def run(code: str) -> list[tuple[str, dict[str, str], float, str]]:
        pictures = {"scene": emulator.sample("scene"), "person": emulator.sample("person")}
        (tmp_path / "measured.py").write_text(code.format(**pictures, results=tmp_path / "results.jsonl"))
        env = {**os.environ, **statsd.env, "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)}
        done = airflow("dags", "test", "measured", env=env, fork=False)
        assert done.returncode == 0, done.stdout[-8000:]
        lines = statsd.lines()
        for name, tags, _, kind in lines:
            assert kind == ("ms" if name == metrics.DURATION else "c")
            assert tags.pop("connection") == "segmind_default"
        return lines

    return run


def sums(lines: list[tuple[str, dict[str, str], float, str]]) -> Counter[str]:
    """Add counters up, and count timings."""
    added: Counter[str] = Counter()
    for name, _, value, kind in lines:
        added[name] += 1 if kind == "ms" else int(value)
    return added


@pytest.mark.slow
def test_a_real_run_is_counted_on_the_wire(run: Any, emulator: Emulator) -> None:
    emulator.set(job_seconds=1)
    emulator.script(Fault("429", on="poll"))
    lines = run(EACH)
    seen = sums(lines)
    assert len(emulator.charges) == 5
    assert seen[metrics.SUBMITTED] == 5
    assert seen[metrics.COMPLETED] == seen[metrics.DURATION] == 6  # two sensors wait for the same job
    assert seen[metrics.COST] == 5 * 268_700
    assert seen[metrics.RATE_LIMITED] == 1
    assert seen[metrics.POLLS] == sum(
        request.method == "GET" and "/request/" in request.path for request in emulator.requests
    )
    assert metrics.FAILED not in seen
    assert all(800 < value < 60_000 for name, _, value, _ in lines if name == metrics.DURATION)
    assert {tags["workflow"] for _, tags, _, _ in lines if tags} == {BODY_SWAP_WORKFLOW}


@pytest.mark.slow
def test_a_job_that_fails_is_counted_with_its_reason_and_is_no_duration(run: Any, emulator: Emulator) -> None:
    emulator.script(Fault("will-fail"))
    lines = run(BATCH)
    seen = sums(lines)
    assert (seen[metrics.SUBMITTED], seen[metrics.COMPLETED], seen[metrics.DURATION]) == (3, 2, 2)
    assert [tags["reason"] for name, tags, _, _ in lines if name == metrics.FAILED] == ["JobFailedError"]


def test_thousands_of_polls_are_told_with_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """And noting the end of a job costs nothing but an addition: a triggerer's loop has thousands of them."""
    traffic = Traffic()
    monkeypatch.setattr(metrics, "live_stats", lambda: pytest.fail("Airflow's metrics are asked for while noting"))
    counters = metrics.Counters("segmind_default", traffic)
    for _ in range(10_000):
        traffic.polls += 1
        counters.ended({"image_url": "x"}, BODY_SWAP_WORKFLOW, time.time())
    taken = counters.take()
    assert dict(taken.counts) == {
        (metrics.COMPLETED, (("workflow", BODY_SWAP_WORKFLOW),)): 10_000,
        (metrics.POLLS, ()): 10_000,
    }
    assert len(taken._durations) == 10_000
    assert traffic == Traffic()
    assert not counters.take().counts
    calls: list[tuple[Any, ...]] = []
    stats = SimpleNamespace(incr=lambda *call, tags: calls.append(call), timing=lambda *call, tags: None)
    monkeypatch.setattr(metrics, "live_stats", lambda: stats)
    taken.emit()
    assert sorted(calls) == [(metrics.COMPLETED, 10_000), (metrics.POLLS, 10_000)]


@pytest.mark.parametrize("price", ["nan", "inf", "-1", "cheap"])
def test_a_price_that_is_none_costs_no_result(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, price: str) -> None:
    """What is only told about must not get between a paid order and its record."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__PRICE_PER_SWAP", price)
    emulator.set(job_polls=1)
    pictures = {
        "character_image": emulator.sample("scene"),
        "reference_character_image": emulator.sample("person"),
    }
    task, ti = BodySwapOperator(task_id="one", poll_interval=0.05, **pictures), TaskInstance()
    result = running.run(task, running.context(ti))
    assert result["status"] == "COMPLETED"
    assert ti.xcoms["request_id"] == emulator.charges[0].request_id
    assert task.lineage_facts.cost is None


@pytest.mark.parametrize("submitted_at", ["yesterday", None, {"a": 1}])
def test_a_time_that_is_none_costs_no_result(emulator: Emulator, submitted_at: object) -> None:
    submit = SubmitBodySwapOperator(
        task_id="submit",
        character_image=emulator.sample("scene"),
        reference_character_image=emulator.sample("person"),
    )
    handle = {**submit.execute(running.context()), "submitted_at": submitted_at, "workflow": ["odd"]}
    sensor = BodySwapSensor(task_id="wait", poll_url=handle, deferrable=False, poke_interval=0.05, timeout=30)
    assert sensor.execute(running.context())["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"status": "FAILED"}, "JobFailedError"),
        ({"status": "EXPIRED"}, "JobExpiredError"),
        ({"status": "UNFINISHED"}, "JobTimeoutError"),
        ({"status": "COMPLETED", "image_url": None}, "ServiceError"),
        ({"status": "COMPLETED", "image_url": "https://x.example/y.png"}, None),
    ],
)
def test_the_row_of_a_batch_is_counted_as_a_task_of_its_own_would_be(row: dict[str, Any], reason: str | None) -> None:
    outcome = metrics.outcome_of(row)
    assert (type(outcome).__name__ if reason else None) == reason
    assert reason or outcome is row
