"""
Random sequences of answers, crashes, retries and clears, against the code that places orders: no double charge.

The service is a model with a ledger; the deciding, the flow and the store's record are the real ones. A crash is a
``BaseException`` at any point at which a process can die: before or after each write to the store and each request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.wire import Answer
from airflow_provider_segmind.observability.metrics import Counters
from airflow_provider_segmind.orders.ended import mark_failed
from airflow_provider_segmind.orders.place import Order, place
from tests.api import drive
from tests.provider.running import TaskInstance

pytestmark = pytest.mark.slow

CHARGED = ["accepted", "accepted, lost", "accepted, 500", "accepted, cut off"]
ANSWERS = [*CHARGED, "lost", "refused", "429", "401", "406", "500"]
BEARER = drive.settings(extra={"auth_scheme": "bearer"})


class Crash(BaseException):
    """The process died."""


@dataclass
class World:
    """The service, the store, and how many more steps this process lives."""

    answers: list[str] = field(default_factory=list)
    lives: int | None = None
    history: bool = True
    ledger: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    stored: dict[str, Any] = field(default_factory=dict)
    counters: Counters = field(default_factory=lambda: Counters("segmind_default"))

    def step(self) -> None:
        """Die here, if it is time."""
        if self.lives is not None:
            if self.lives == 0:
                raise Crash
            self.lives -= 1

    # -- Airflow's store

    def get(self, key: str) -> Any:
        """Read from the store."""
        self.step()
        return self.stored.get(key)

    def set(self, key: str, value: Any) -> None:
        """Write to the store; the process can die on either side of it."""
        self.step()
        self.stored[key] = json.loads(json.dumps(value))
        self.step()

    def delete(self, key: str) -> None:
        """Delete from the store."""
        self.step()
        self.stored.pop(key, None)
        self.step()

    # -- the hook

    def submit(self, workflow: str, inputs: Mapping[str, Any], **how: Any) -> Job:
        """Run the real flow against the modelled service."""
        steps = flow.submit(BEARER, flow.Auth(), workflow, inputs, pace=drive.PACE, **how)
        received: Answer | None = None
        while True:
            try:
                asked = steps.send(received)
            except StopIteration as end:
                job: Job = end.value
                return job
            self.step()
            received = self._answer() if isinstance(asked, flow.Send) else None
            self.step()

    def _answer(self) -> Answer:
        kind = self.answers.pop(0) if self.answers else "accepted"
        if kind.startswith("accepted"):
            self.ledger.append(f"request-{len(self.ledger)}")
        return drive.order_answers(self.ledger[-1] if self.ledger else "")[kind]

    def find_orders(self, record: OrderRecord) -> list[Job]:
        """Look into the history, which shows all charges of this test's one order, or does not answer."""
        self.step()
        if not self.history:
            raise SegmindError("no history")
        return [self.attach(f"https://api.segmind.com/workflows/request/{name}") for name in self.ledger]

    def attach(self, poll_url: str) -> Job:
        """Ask for a job."""
        name = poll_url.rpartition("/")[2]
        return Job(name, poll_url, "FAILED" if name in self.failed else "COMPLETED")


attempts = st.lists(
    st.fixed_dictionaries(
        {
            "answers": st.lists(st.sampled_from(ANSWERS), max_size=4),
            "lives": st.none() | st.integers(0, 14),
            "then": st.sampled_from(["retry", "retry", "retry", "clear", "job failed"]),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=600, deadline=None)
@given(script=attempts, history=st.booleans())
def test_an_order_is_charged_at_most_once_whatever_dies_and_is_retried(script: list[Any], history: bool) -> None:
    world = World(history=history)
    max_tries = 3
    earlier = 0  # charges for orders that people, or the task's own retries of failed jobs, have replaced
    for number, attempt in enumerate(script, start=1):
        world.answers, world.lives = list(attempt["answers"]), attempt["lives"]
        ti = TaskInstance(max_tries=max_tries, try_number=number)
        context: Any = {"ti": ti, "task_state_store": world}
        order = Order(drive.WORKFLOW, drive.INPUTS, lambda _earlier: drive.INPUTS)
        placed = None
        with suppress(Crash, SegmindError):
            placed = place(context, world, order)  # type: ignore[arg-type]
        world.lives = None
        assert len(world.ledger) - earlier <= 1
        if placed is not None:
            assert placed.job.request_id in world.ledger
            assert ti.xcoms == {"poll_url": placed.job.poll_url, "request_id": placed.job.request_id}
        if attempt["then"] == "clear":
            max_tries = number + 3
            earlier = len(world.ledger)
        elif attempt["then"] == "job failed" and placed is not None:
            world.failed.add(placed.job.request_id)
            mark_failed(context, placed.job)
            earlier = len(world.ledger)


@settings(max_examples=300, deadline=None)
@given(lives=st.integers(0, 14), answers=st.lists(st.sampled_from(ANSWERS), max_size=3))
def test_with_a_history_a_charged_order_is_delivered_by_the_next_attempt(lives: int, answers: list[str]) -> None:
    world = World(answers=list(answers), lives=lives)
    order = Order(drive.WORKFLOW, drive.INPUTS, lambda _earlier: drive.INPUTS)
    for number in (1, 2):
        context: Any = {"ti": TaskInstance(max_tries=3, try_number=number), "task_state_store": world}
        try:
            placed = place(context, world, order)  # type: ignore[arg-type]
        except (Crash, SegmindError):
            world.lives, world.answers = None, []
        else:
            assert placed.job.request_id == world.ledger[0]
            break
    else:
        assert world.ledger == []  # only an order that was never charged may stay undelivered
    assert len(world.ledger) <= 1


@settings(max_examples=200, deadline=None)
@given(lives=st.integers(0, 14), answers=st.lists(st.sampled_from(ANSWERS), max_size=3))
def test_without_a_history_a_lost_order_ends_in_an_error_and_never_in_a_second_charge(
    lives: int, answers: list[str]
) -> None:
    world = World(answers=list(answers), lives=lives, history=False)
    order = Order(drive.WORKFLOW, drive.INPUTS, lambda _earlier: drive.INPUTS)
    for number in (1, 2, 3):
        context: Any = {"ti": TaskInstance(max_tries=3, try_number=number), "task_state_store": world}
        with suppress(Crash, SegmindError):
            place(context, world, order)  # type: ignore[arg-type]
        world.lives, world.answers = None, []
        assert len(world.ledger) <= 1
