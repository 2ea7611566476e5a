"""The notifier for what may have been billed: one message for an order, none twice, and no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.notifications.billing import MayBeBilledNotifier
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, SubmitBodySwapOperator
from airflow_provider_segmind.orders.store import KEY
from tests.provider.batches import at_once  # noqa: F401
from tests.provider.running import TaskInstance, context, run
from tests.provider.tries import Store, Task

pytestmark = pytest.mark.usefixtures("at_once")


class Channel(BaseNotifier):
    """Keeps what it is to send, rendered as any notifier renders it."""

    template_fields = ("text",)

    def __init__(self) -> None:
        super().__init__()
        self.text = "{{ may_be_billed }}"
        self.sent: list[str] = []

    def notify(self, context: Any) -> None:
        self.sent.append(self.text)


def fail(task: Task, notifier: MayBeBilledNotifier) -> None:
    context = task.context()
    with pytest.raises(AirflowFailException) as raised:
        task.operator().execute(context)
    notifier({**context, "exception": raised.value})


@pytest.fixture
def task(emulator: Emulator) -> Task:
    return Task(emulator, cls=SubmitBodySwapOperator, reuse="never")


def test_an_order_that_may_be_billed_is_told_once(emulator: Emulator, task: Task) -> None:
    emulator.script(Fault("drop-after"), Fault("404", on="history", times=None))
    channel = Channel()
    notifier = MayBeBilledNotifier(channel)
    fail(task, notifier)
    (told,) = channel.sent
    assert "Task task of DAG dag, run run: a swap may have been billed. OutcomeUnknownError" in told
    for needed in ("Workflow 678b67a76426baad7e539337-v4, sent at 20", "Look into your Segmind request history"):
        assert needed in told
    assert emulator.api_key not in told
    assert "no such workflow" not in told
    fail(task, notifier)  # once more, about the same order
    assert len(channel.sent) == 1


def test_what_costs_nothing_is_not_told(emulator: Emulator, task: Task) -> None:
    emulator.script(Fault("401", times=None), Fault("406-credits", times=None))
    channel = Channel()
    fail(task, MayBeBilledNotifier(channel))
    assert channel.sent == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("2 UNKNOWN: Getting metadata from plugin failed", False),
        ("the file is UNKNOWN", False),
        (
            "Too many swaps are without a picture: 1 of 3 have their picture (1 COMPLETED, 2 UNKNOWN); max_failures",
            True,
        ),
        ("Timeout. 3 orders are accepted and paid for: a. 2 more were being sent, and are to be looked up.", True),
        ("1 of 2 have their picture (1 COMPLETED, 1 FAILED); max_failures is 0", False),
    ],
)
def test_only_what_speaks_of_orders_is_told(task: Task, words: str, told: bool) -> None:
    channel = Channel()
    MayBeBilledNotifier(channel)({**task.context(), "exception": RuntimeError(words)})
    assert bool(channel.sent) == told


def test_a_batch_that_succeeds_with_doubtful_orders_is_told_once(emulator: Emulator, tmp_path: Path) -> None:
    emulator.script(Fault("drop-after"), Fault("404", on="history", times=None))
    swaps = [
        {"character_image": emulator.sample("scene", n), "reference_character_image": emulator.sample("person")}
        for n in range(2)
    ]
    task = BodySwapBatchOperator(
        task_id="swaps", swaps=swaps, results_uri=f"{tmp_path}/r.jsonl", max_failures=1, poll_interval=0.05
    )
    done = {**context(TaskInstance()), "task_state_store": Store()}
    assert run(task, done)["by_status"] == {"COMPLETED": 1, "UNKNOWN": 1}
    channel = Channel()
    for _ in range(2):
        MayBeBilledNotifier(channel)(done)
    assert [told.partition(". ")[0] for told in channel.sent] == [
        "Task task of DAG dag, run run: a swap may have been billed"
    ]


def test_another_order_is_told_anew(emulator: Emulator, task: Task) -> None:
    channel = Channel()
    notifier = MayBeBilledNotifier(channel)
    for _ in range(2):
        emulator.script(Fault("drop-after"), Fault("404", on="history", times=None))
        fail(task, notifier)
        task.clear()
        assert task.store is not None
        task.store.pop(KEY)
    assert len(channel.sent) == 2
