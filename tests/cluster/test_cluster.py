"""Whoever dies in the middle: every swap is delivered, and each is charged once."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from airflow_provider_segmind.emulator import Charge
from demo.interrupts import raise_on_sigterm
from tests.cluster.cluster import TRIGGERERS, Cluster

MAPPED = int(os.environ.get("MAPPED") or 500)
BATCH = int(os.environ.get("BATCH") or 2000)
LONG = 3600.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    raise_on_sigterm()  # so that whoever ends this early leaves nothing behind
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
        children = [running.postgres.server, running.broker.server]
        pids = running.airflow.pids + [pid for child in children if child for pid in child.pids]
    left = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert not left, f"everything was stopped, but these processes are still there: {left}"


def start(cluster: Cluster, dag_id: str, swaps: int, results: Path | None = None) -> str:
    """Start a run with so many different orders, in a cluster and with a Segmind that are as new."""
    cluster.make_whole()
    cluster.emulator.reset()
    cluster.airflow.wait_for_dag(dag_id, 120)
    cluster.airflow.unpause(dag_id)
    conf = {
        "scene": cluster.emulator.sample("scene"),
        "people": cluster.emulator.sample("person").replace("/0.", "/{}."),
        "swaps": swaps,
        "results": results.as_uri() if results else "",
    }
    return cluster.airflow.trigger(dag_id, conf)


def check_the_bill(charges: Sequence[Charge], delivered: Sequence[str], swaps: int) -> None:
    """Hold the ledger against what was delivered."""
    orders = Counter(str(charge.inputs["reference_character_image"]) for charge in charges)
    assert {order: count for order, count in orders.items() if count > 1} == {}, "charged more than once"
    assert len(orders) == swaps
    assert not any(charge.defaulted for charge in charges)
    assert sorted(delivered) == sorted(charge.request_id for charge in charges)


def test_mapped_swaps_are_all_delivered_and_charged_once_though_a_worker_and_a_triggerer_die(cluster: Cluster) -> None:
    run_id = start(cluster, "mapped", MAPPED)
    # So long that the sensors, which begin when the last order is placed, find jobs to wait for.
    cluster.emulator.set(job_seconds=(120.0 + 0.2 * MAPPED, 120.0 + 0.8 * MAPPED))
    began = time.monotonic()

    cluster.until("40 % of the orders", lambda: len(cluster.emulator.charges) >= 0.4 * MAPPED, LONG)
    worker, died = cluster.kill_a_worker_that_waits_for_answers(run_id)
    assert died, "the worker was killed at a moment at which it did nothing"

    few = max(1, MAPPED // 50)
    cluster.until(f"{few} triggers in a triggerer", lambda: max(map(len, cluster.triggers().values())) >= few, LONG)
    triggers = cluster.triggers()
    busiest = max(TRIGGERERS, key=lambda name: len(triggers[name]))
    cluster.airflow.components[busiest].kill()

    state = cluster.airflow.wait_for_run("mapped", run_id, LONG)
    tries = Counter(row["try_number"] for row in cluster.rows("mapped", run_id, "submit"))
    print(  # noqa: T201
        f"\n{MAPPED} mapped swaps in {time.monotonic() - began:.0f} s, {len(cluster.emulator.charges)} charges. Killed:"
        f" {worker.name} with {died} tasks, {busiest} with {len(triggers[busiest])} triggers. Tries of the submits:"
        f" {dict(tries)}. Resumes that Airflow lost: {cluster.lost_resumes(run_id)}."
    )
    assert state == "success"
    delivered = [result["request_id"] for result in cluster.results("mapped", run_id, "wait")]
    check_the_bill(cluster.emulator.charges, delivered, MAPPED)


def test_a_batch_is_delivered_whole_and_charged_once_though_its_worker_and_its_triggerer_die(cluster: Cluster) -> None:
    results = cluster.home / "results.jsonl"
    run_id = start(cluster, "batch", BATCH, results)
    cluster.emulator.set(job_seconds=(60.0, 120.0))
    began = time.monotonic()

    cluster.until("40 % of the orders", lambda: len(cluster.emulator.charges) >= 0.4 * BATCH, LONG)
    worker, died = cluster.kill_a_worker_that_waits_for_answers(run_id)
    assert died == 1, "the worker that was killed did not run the batch"

    cluster.until("the trigger", lambda: any(cluster.triggers().values()), LONG)
    name = next(name for name, ids in cluster.triggers().items() if ids)
    cluster.airflow.components[name].kill()

    state = cluster.airflow.wait_for_run("batch", run_id, LONG)
    tries = cluster.rows("batch", run_id, "swap")[0]["try_number"]
    print(  # noqa: T201
        f"\nA batch of {BATCH} in {time.monotonic() - began:.0f} s, {len(cluster.emulator.charges)} charges. Killed:"
        f" {worker.name}, {name}. Tries: {tries}."
    )
    assert state == "success"
    delivered = [json.loads(line)["request_id"] for line in results.read_text().splitlines()]
    check_the_bill(cluster.emulator.charges, delivered, BATCH)
