"""What a task finds of its own orders, and of its pictures, when it is tried or cleared again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import memory as api_memory
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.batch import settling
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.memory.costs import reader_of
from airflow_provider_segmind.memory.store import the_memory
from airflow_provider_segmind.memory.swaps import Remembering
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator, SubmitBodySwapOperator
from airflow_provider_segmind.orders import place
from tests.provider.batches import InRun, swaps
from tests.provider.remembering import in_run, memory, picture, states, submit
from tests.provider.tries import Task

__all__ = ["memory"]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a connection spend the price of one swap on a day."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__PRICE_PER_SWAP", "0.25")
    monkeypatch.setenv("AIRFLOW__SEGMIND__MAX_SPEND_PER_DAY", "0.25")


def counted(memory: Path) -> float:
    """Return the US dollars that the newest entry of the day's budget counts."""
    entries = {int(path.stem): path for path in (memory / "spend").rglob("*.json") if path.stem.isdigit()}
    return float(json.loads(entries[max(entries)].read_bytes())["total"])


def test_a_file_that_changes_after_another_task_was_faster_is_ordered_as_what_it_is_now(
    emulator: Emulator, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run claims the swap first, is refused, and the file is replaced meanwhile."""
    old, new = (Path(picture(emulator, "person", tmp_path / f"{number}.png", number)).read_bytes() for number in (0, 1))
    (person := tmp_path / "person.png").write_bytes(old)
    claim = Remembering.claim

    def too_late(self: Remembering, *args: Any, **how: Any) -> Any:
        monkeypatch.setattr(Remembering, "claim", claim)
        emulator.script(Fault("406-credits"))
        with pytest.raises(AirflowFailException):
            submit(emulator, "other", reference_character_image=str(person))
        person.write_bytes(new)
        return claim(self, *args, **how)

    monkeypatch.setattr(Remembering, "claim", too_late)
    submit(emulator, "a", reference_character_image=str(person))
    assert submit(emulator, "b", reference_character_image=str(person))["reused"]
    assert len(emulator.charges) == 1
    person.write_bytes(old)
    assert "reused" not in submit(emulator, "c", reference_character_image=str(person))


@pytest.mark.parametrize("durable", [True, False])
def test_an_order_that_its_cleared_task_finds_counts_as_its_order(
    emulator: Emulator, memory: Path, limit: None, durable: bool
) -> None:
    emulator.set(history=False)
    emulator.script(Fault("502-after"))
    task = Task(emulator, retries=0, durable=durable, cls=SubmitBodySwapOperator)
    with pytest.raises(AirflowFailException, match="may have been accepted"):
        task.attempt()
    emulator.set(history=True)
    task.clear()
    assert "reused" not in task.attempt()
    assert counted(memory) == 0.25
    with pytest.raises(AirflowFailException, match="max_spend_per_day"):
        submit(emulator, "other", select_character="somebody else")
    assert len(emulator.charges) == 1
    total = reader_of(the_memory()).costs(1).total
    assert (total.ordered, total.reused) == (1, 0)


def test_an_order_that_was_never_claimed_is_not_reserved_twice(
    emulator: Emulator, memory: Path, limit: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is killed between its intent and its claim."""
    task = Task(emulator, cls=SubmitBodySwapOperator)

    def die(*_: Any, **__: Any) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Remembering, "claim", die)
        for name in ("_restore", "_note_refused"):
            patch.setattr(place, name, lambda *_: None)  # a kill runs no handler
        with pytest.raises(SystemExit):
            task.attempt()
    task.attempt()
    assert len(emulator.charges) == 1
    assert counted(memory) == 0.25


def test_a_clear_orders_anew_what_was_told_even_if_the_list_is_sorted_another_way(
    emulator: Emulator, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_memory, "SENDING", 0.0)
    monkeypatch.setattr(settling, "PATIENCE", 0.1)
    monkeypatch.setattr(settling, "OUTAGE", 0.1)
    emulator.set(history=False)
    emulator.script(Fault("502-html"))  # not accepted, but nobody knows
    wanted = swaps(emulator, 3)
    batch = InRun(emulator, tmp_path, "a", swaps=wanted, retries=0, cls=SubmitBodySwapBatchOperator)
    with pytest.raises(SegmindError, match="Then clear the task"):
        batch.attempt()
    batch.options["swaps"] = wanted[::-1]
    batch.max_tries = batch.tries + batch.retries
    assert len(batch.attempt()) == 3
    assert len(emulator.charges) == 3


def test_a_damaged_record_of_a_task_is_named_and_after_its_removal_a_clear_takes_what_is_paid_for(
    emulator: Emulator, memory: Path
) -> None:
    task = Task(emulator, retries=0, durable=False, cls=SubmitBodySwapOperator)
    ordered = task.attempt()["request_id"]
    (record,) = (memory / "tasks").rglob("segmind_order.json")
    record.write_bytes(record.read_bytes()[:50])
    task.clear()
    name = str(record.relative_to(memory))
    with pytest.raises(AirflowFailException, match=f"Delete the memory's object {name}, then clear the task"):
        task.attempt()
    record.unlink()
    task.clear()
    assert task.attempt()["request_id"] == ordered
    assert len(emulator.charges) == 1


def test_a_service_is_known_by_one_spelling_of_its_address(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = emulator.airflow_connection()
    in_run_of = SubmitBodySwapOperator(
        task_id="task",
        character_image=emulator.sample("scene"),
        reference_character_image=emulator.sample("person"),
    )
    in_run(in_run_of, "a")
    monkeypatch.setenv(
        "AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps({**parts, "host": str(parts["host"]).replace("http://", "HTTP://")})
    )
    assert in_run(in_run_of, "b")["reused"]
    assert states(memory) <= {"ordered", "done"}
