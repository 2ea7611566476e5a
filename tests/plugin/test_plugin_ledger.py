"""What the gallery says was spent is what the emulator has charged, however an order and its wait end."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import patience
from airflow_provider_segmind.compat import TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.plugin.world import World, swaps
from tests.provider.batches import at_once  # noqa: F401
from tests.provider.conftest import clock, emulator, pauses, settled_at_once  # noqa: F401
from tests.provider.odd_host import picture
from tests.provider.running import TaskInstance, context, run
from tests.provider.tries import Store, Task

pytestmark = pytest.mark.usefixtures("settled_at_once", "pauses", "at_once")
PRICE = 0.2687
NO_WAIT = {"deferrable": False, "mode": "poke", "poke_interval": 0.05}


@dataclass
class Run:
    """A DAG run whose tasks are played here, and what the page says of it."""

    emulator: Emulator
    world: World
    client: Any
    folder: Path

    def inputs(self) -> dict[str, str]:
        return {
            "character_image": self.emulator.sample("scene", 0),
            "reference_character_image": self.emulator.sample("person", 0),
        }

    def play(self, task: Any, ti: TaskInstance | None = None, state: str = "success", **more: Any) -> Any:
        """Run a task to its end, and put what it said where Airflow keeps it."""
        ti = ti or TaskInstance()
        returned = None
        with suppress(Exception):
            returned = run(task, {**context(ti), **more})
        self.keep(task.task_id, ti, state if returned is not None else "failed")
        return returned

    def keep(self, task_id: str, ti: TaskInstance, state: str) -> None:
        self.world.forget(task_id=task_id)
        for key, value in ti.xcoms.items():
            if key.startswith("body_swap"):
                self.world.swap(value, key=key, task_id=task_id)
        if ("open", "r1") in self.world.runs:
            self.world.task(state, task_id=task_id)

    def end(self, state: str) -> None:
        if ("open", "r1") in self.world.runs:
            self.world.run(state)

    def said(self) -> dict[str, Any]:
        return swaps(self.client)


def done(run: Run) -> str:
    order = run.play(SubmitBodySwapOperator(task_id="order", **run.inputs()))
    result = run.play(BodySwapSensor(task_id="wait", poll_url=order, **NO_WAIT))
    run.play(SegmindToObjectStorageOperator(task_id="store", results=result, destination=str(run.folder)))
    return "completed"


def done_in_one_task(run: Run) -> str:
    run.play(BodySwapOperator(task_id="swap", poll_interval=0.05, **run.inputs()))
    return "completed"


def refused(run: Run) -> None:
    run.emulator.script(Fault("406-credits"))
    run.play(SubmitBodySwapOperator(task_id="order", **run.inputs()))


def not_worth_it(run: Run) -> str:
    bad = run.folder / "bad.png"
    bad.write_bytes(b"no picture")
    run.play(CheckSwapInputOperator(task_id="check", character_image=str(bad), on_failure="skip"))
    return "rejected"


def job_failed(run: Run) -> str:
    run.emulator.script(Fault("will-fail"))
    run.play(BodySwapOperator(task_id="swap", poll_interval=0.05, **run.inputs()))
    return "failed"


def attempts(run: Run, task: Task, many: int) -> None:
    """Play attempts of a task, whatever their ends are."""
    for _ in range(many):
        with suppress(Exception):
            task.attempt()
        run.keep("swap", task.ti, "success")


def failed_twice_then_done(run: Run) -> str:
    run.emulator.script(Fault("will-fail", times=2))
    attempts(run, Task(run.emulator), 3)
    return "completed"


def answer_lost(run: Run) -> str:
    run.emulator.script(Fault("drop-after"), Fault("404", on="history", times=None))
    run.play(BodySwapOperator(task_id="swap", **run.inputs()))
    return "unknown"


def answer_lost_and_found(run: Run) -> str:
    run.emulator.script(Fault("drop-after"))
    run.play(SubmitBodySwapOperator(task_id="order", **run.inputs()))
    return "open"


def perhaps_never_accepted(run: Run) -> str:
    run.emulator.script(Fault("504-html"), Fault("404", on="history", times=None))
    run.play(SubmitBodySwapOperator(task_id="order", **run.inputs()))
    return "unknown"


def failed_then_answer_lost(run: Run) -> str:
    run.emulator.script(Fault("will-fail"), Fault("drop-after"), Fault("404", on="history", times=None))
    task = Task(run.emulator)
    for _ in range(2):
        with suppress(Exception):
            task.attempt()
        run.keep("swap", task.ti, "failed")
    return "unknown"


def not_in_time(run: Run) -> str:
    run.emulator.set(job_polls=10_000)
    order = run.play(SubmitBodySwapOperator(task_id="order", **run.inputs()))
    run.play(BodySwapSensor(task_id="wait", poll_url=order, timeout=0.2, **NO_WAIT))
    return "open"


def killed_while_waiting(run: Run) -> str:
    ti = TaskInstance()
    with suppress(TaskDeferred):
        BodySwapOperator(task_id="swap", **run.inputs()).execute(context(ti))
    run.keep("swap", ti, "failed")
    return "open"


def expired(run: Run) -> str:
    order = run.play(SubmitBodySwapOperator(task_id="order", **run.inputs()))
    run.emulator.script(Fault("expired", on="poll", times=None))
    run.play(BodySwapSensor(task_id="wait", poll_url=order, **NO_WAIT))
    return "failed"


def never_ordered(run: Run) -> None:
    url = f"{run.emulator.url}/workflows/request/0123456789abcdef0123456789abcdef"
    run.play(BodySwapSensor(task_id="wait", poll_url=url, timeout=5, **NO_WAIT))
    run.play(BodySwapSensor(task_id="deferred", poll_url=url, timeout=5))


def remembered(run: Run) -> None:
    """Have the tasks of this run share a memory."""
    os.environ["AIRFLOW__SEGMIND__MEMORY"] = f"{run.folder}/memory"
    run.emulator.set(job_seconds=0)


def paid_and_reused_in_one_run(run: Run) -> str:
    remembered(run)
    for name in ("first", "second"):
        ti = TaskInstance()
        ti.task_id = name
        run.play(BodySwapOperator(task_id=name, poll_interval=0.05, **run.inputs()), ti)
    return "completed"


def refreshed(run: Run) -> str:
    remembered(run)
    for name, reuse in (("first", "auto"), ("second", "refresh")):
        ti = TaskInstance()
        ti.task_id = name
        run.play(BodySwapOperator(task_id=name, poll_interval=0.05, reuse=reuse, **run.inputs()), ti)
    return "completed"


def cleared_by_a_person(run: Run) -> str:
    task = Task(run.emulator)
    for _ in range(2):
        task.attempt()
        run.keep("swap", task.ti, "success")
        task.clear()
    return "completed"


def failed_then_refused(run: Run) -> str:
    run.emulator.script(Fault("will-fail"))
    task = Task(run.emulator)
    for _ in range(2):
        with suppress(Exception):
            task.attempt()
        run.keep("swap", task.ti, "failed")
        run.emulator.script(Fault("406-credits"))
    return "failed"


def ordered_then_the_retry_finds_another_photograph(run: Run) -> str:
    run.emulator.set(job_polls=10_000)
    task = Task(run.emulator)
    with suppress(TaskDeferred):
        task.start()
    run.keep("swap", task.ti, "failed")
    task.options["select_character"] = "man"
    with suppress(Exception):
        task.attempt()
    run.keep("swap", task.ti, "failed")
    return "open"


def answer_lost_then_ordered_again(run: Run) -> str:
    run.emulator.script(Fault("drop-after"), Fault("404", on="history", times=None))
    attempts(run, Task(run.emulator, on_unknown_outcome="resubmit"), 2)
    return "completed"


def answer_lost_then_cleared(run: Run) -> str:
    run.emulator.script(Fault("drop-after"), Fault("404", on="history", times=None))
    task = Task(run.emulator)
    for _ in range(2):
        attempts(run, task, 1)
        task.clear()
    return "completed"


def batch(run: Run, **more: Any) -> BodySwapBatchOperator:
    for name in ("a", "b", "c"):
        (run.folder / f"{name}.png").write_bytes(picture(size=(90, 60 + ord(name))))
    swaps = [
        {"character_image": str(run.folder / f"{name}.png"), "reference_character_image": run.emulator.sample("person")}
        for name in ("a", "b", "c")
    ]
    results = str(run.folder / "results.jsonl")
    return BodySwapBatchOperator(task_id="swap", swaps=swaps, results_uri=results, poll_interval=0.05, **more)


def batch_done(run: Run) -> str:
    run.play(batch(run))
    return "completed"


def batch_of_which_one_failed_and_one_is_unknown(run: Run) -> str:
    run.emulator.script(Fault("will-fail"), Fault("drop-after"), Fault("404", on="history", times=None))
    run.play(batch(run, max_failures=2), task_state_store=Store())
    return "completed"


def batch_stopped_half_way(run: Run) -> str:
    run.emulator.script(Fault("406-credits", after=1, times=None))
    run.play(SubmitBodySwapBatchOperator(task_id="swap", swaps=batch(run).swaps), task_state_store=Store())
    return "open"


def batch_cleared_by_a_person(run: Run) -> str:
    store = Store()
    for attempt in range(2):
        ti = TaskInstance(max_tries=attempt, try_number=attempt + 1)
        run.play(batch(run), ti, task_state_store=store)
    return "completed"


def batch_for_sensors_cleared(run: Run) -> str:
    store = Store()
    for attempt in range(2):
        ti = TaskInstance(max_tries=attempt, try_number=attempt + 1)
        task = SubmitBodySwapBatchOperator(task_id="order", swaps=batch(run).swaps)
        orders = run.play(task, ti, task_state_store=store)
        for number, order in enumerate(orders):
            run.play(BodySwapSensor(task_id=f"wait{number}", poll_url=order, **NO_WAIT))
    return "completed"


def batch_for_sensors(run: Run) -> str:
    orders = run.play(SubmitBodySwapBatchOperator(task_id="order", swaps=batch(run).swaps))
    for number, order in enumerate(orders):
        run.play(BodySwapSensor(task_id=f"wait{number}", poll_url=order, **NO_WAIT))
    return "completed"


ENDS: tuple[Callable[[Run], str | None], ...] = (
    *(done, done_in_one_task, refused, not_worth_it, job_failed, answer_lost, answer_lost_and_found),
    *(perhaps_never_accepted, not_in_time, killed_while_waiting, expired, never_ordered),
    *(
        batch_cleared_by_a_person,
        batch_for_sensors_cleared,
        batch_done,
        batch_of_which_one_failed_and_one_is_unknown,
        batch_stopped_half_way,
        batch_for_sensors,
    ),
    *(failed_twice_then_done, failed_then_answer_lost, failed_then_refused, cleared_by_a_person),
    *(answer_lost_then_ordered_again, answer_lost_then_cleared),
    *(paid_and_reused_in_one_run, refreshed, ordered_then_the_retry_finds_another_photograph),
)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_the_page_is_the_ledger(
    emulator: Emulator,  # noqa: F811
    world: World,
    vera: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Run], str | None],
) -> None:
    monkeypatch.setattr(patience, "GONE_AFTER", 0.3)
    monkeypatch.setattr(patience, "GONE_STEP", 0.1)
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", "")
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", "")  # money counts also where no picture is shown
    run = Run(emulator, world, vera, tmp_path)
    state = end(run)
    run.end("failed")
    said = run.said()
    charged = round(len(emulator.charges) * PRICE, 4)
    assert said["ordered"] <= len(emulator.charges)
    assert said["spent"] <= charged <= round(said["spent"] + said["maybe"], 4)
    if state != "unknown" and not said["maybe"]:
        assert (said["ordered"], said["spent"]) == (len(emulator.charges), charged)
    assert {swap["state"] for swap in said["swaps"]} == ({state} if state else set())
