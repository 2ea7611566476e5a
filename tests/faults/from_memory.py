"""The memory of swaps, half written, not reachable, or asked by two at once; only a run that has one plays these."""

from __future__ import annotations

import json
import time

from airflow_provider_segmind.emulator import Fault
from tests.faults.case import Case
from tests.faults.from_people import clear
from tests.faults.from_workers import NOT_IN_HISTORY, UNKNOWN, hold_back
from tests.faults.play import scenario


def same(first: Case, second: Case) -> None:
    """Check that two runs have the same picture, and that one of them has not paid for it."""
    one, other = first.delivered(), second.delivered()
    assert one["request_id"] == other["request_id"]
    assert [result.get("reused", False) for result in (one, other)].count(True) == 1, (one, other)


def stored(case: Case) -> None:
    """Check that the memory has the picture of each order of this run, whole."""
    for record in case.remembered():
        assert record["state"] == "done", record
        (picture,) = record["outputs"]
        path = case.world.memory / picture["uri"]
        assert path.stat().st_size == picture["size"]


@scenario(
    "worker killed between claim and POST; the task has no retries and is cleared twice", charges=1, of_memory=True
)
def _(case: Case) -> str:
    hold_back(case, 25)
    case.order("swap_never_retry").until_intent()
    case.until("the refused POST", lambda: any(each.status == 429 for each in case.emulator.requests))
    case.kill_worker(supervisor=True)
    assert case.end() == "failed"
    clear(case, ended=True)
    case.until("the next attempt", lambda: case.row()["try_number"] == 2)
    case.failed(*UNKNOWN[:1], NOT_IN_HISTORY)
    clear(case, ended=True)
    case.until("the last attempt", lambda: case.row()["try_number"] == 3)
    case.delivered()
    return "the first clear fails and says that the order may be paid for; the second orders"


@scenario(
    "worker killed between answer and note in the memory; another run wants the same",
    charges=1,
    of_memory=True,
    alone=True,
)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=4))
    case.order("swap_never_retry").until_charged()
    with case.world.frozen("api-server"):
        time.sleep(6)
        case.kill_worker(supervisor=True)
    (record,) = case.remembered()
    assert record["state"] == "claimed"
    other = case.twin().order()
    other.delivered()
    return "delivered to the other run, which finds the order in the request history"


@scenario("two runs that start together want the same swap", charges=1, of_memory=True)
def _(case: Case) -> str:
    case.emulator.set(latency=1.0)
    other = case.twin()
    case.order()
    other.order()
    same(case, other)
    return "ordered once, delivered to both"


@scenario(
    "two runs that start together want the same swap; the worker that orders is killed", charges=1, of_memory=True
)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=15))
    other = case.twin()
    case.order()
    other.order()
    case.until_charged()
    claimed = case if case.remembered() else other
    claimed.kill_worker(supervisor=True)
    case.delivered()
    other.delivered()
    return "ordered once, delivered to both"


@scenario("a second run wants the same swap a while later", charges=1, of_memory=True)
def _(case: Case) -> str:
    first = case.order().delivered()
    other = case.twin().order()
    result = other.delivered()
    assert (result["request_id"], result["cost"]) == (first["request_id"], 0)
    assert result["image_url"] != first["image_url"], "it is not the stored picture"
    return "delivered from the memory"


@scenario("batch of 40 killed after 30 orders, without retries, and cleared", charges=40, of_memory=True)
def _(case: Case) -> str:
    folder = case.world.memory.parent / case.words.rpartition(" ")[2]
    folder.mkdir()
    manifest, results = folder / "swaps.jsonl", folder / "results.jsonl"
    scene, person = case.emulator.sample("scene"), case.emulator.sample("person")
    pictures = {"character_image": scene, "reference_character_image": person}
    lines = (json.dumps({**pictures, "select_character": f"{case.words}, {n}"}) for n in range(40))
    manifest.write_text("\n".join(lines) + "\n")
    case.emulator.set(latency=0.4, job_seconds=8)  # so that the history shows that it lists what runs
    case.order("swap_batch", manifest=str(manifest), results=str(results)).until_charged(30)
    case.kill_worker(supervisor=True)
    assert case.end() == "failed"
    killed = len(case.emulator.charges)
    assert killed < 40, "it was over before it could be killed"
    clear(case, ended=True)
    case.until("the next attempt", lambda: case.row()["try_number"] == 2)
    assert case.end() == "success", case.error()
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert {row["request_id"] for row in rows} == {charge.request_id for charge in case.emulator.charges}
    assert len(case.remembered()) == 40
    stored(case)
    return f"{killed} were paid for when its worker died; the clear takes them and orders the others"


@scenario("memory unreachable for 8 s when an order is to be placed", charges=1, of_memory=True, alone=True)
def _(case: Case) -> str:
    with case.world.without_memory():
        case.order().until("the first attempt's end", lambda: case.row().get("state") == "up_for_retry")
        time.sleep(4)
        assert not case.emulator.charges
    case.delivered()
    assert "[segmind] memory" in case.log(1)
    return "the attempt fails with the name of the memory; a retry orders"


@scenario("memory unreachable when the job ends; another run wants the same", charges=1, of_memory=True, alone=True)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=8)
    case.order().until_polled()
    case.until_deferred()
    with case.world.without_memory():
        result = case.delivered()
    assert [record["state"] for record in case.remembered()] == ["ordered"]
    other = case.twin().order()
    assert other.delivered()["request_id"] == result["request_id"]
    stored(case)
    return "delivered; the other run takes the job, and keeps its picture"


@scenario("triggerer killed while it stores a picture in the memory", charges=1, of_memory=True, alone=True)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=6)
    case.order().until_polled()
    case.emulator.script(Fault("hang-after", on="file", seconds=8))
    case.until("the picture's download", lambda: any("/outputs/" in each.path for each in case.emulator.requests))
    case.world.kill("triggerer")
    case.world.restart("triggerer")
    case.delivered()
    stored(case)
    return "delivered, and stored whole"
