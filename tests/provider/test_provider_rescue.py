"""What is paid for and not stored is fetched while it is there, and named once it is lost; nothing is ordered."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import rescue as needs
from airflow_provider_segmind.api.errors import SegmindError, TransportError
from airflow_provider_segmind.api.memory import KEPT
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.memory import rescue, swaps
from airflow_provider_segmind.memory.store import Store, the_memory
from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.operators.memory import RescueSwapsOperator
from tests.api.clock import Clock
from tests.provider.remembering import memory, records
from tests.provider.running import TaskInstance, context, run

__all__ = ["memory"]


@pytest.fixture(autouse=True)
def old_orders(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "OLD", 0.0)
    monkeypatch.setattr(swaps, "FORGOTTEN", 0.0)


def submit(emulator: Emulator, number: int = 0, **changes: Any) -> str:
    """Order a swap whose end nobody sees, and return its request id."""
    ti = TaskInstance()
    ti.run_id = f"run {number}"
    task = SubmitBodySwapOperator(
        task_id="task",
        character_image=emulator.sample("scene", number),
        reference_character_image=emulator.sample("person"),
        **changes,
    )
    return str(task.execute(context(ti))["request_id"])


def rescued(**changes: Any) -> dict[str, Any]:
    """Return what the operator found, without what is nothing."""
    said: dict[str, Any] = RescueSwapsOperator(task_id="rescue", **changes).execute(context())
    assert json.loads(json.dumps(said)) == said
    return {name: value for name, value in said.items() if value}


def states(memory: Path) -> list[str]:
    return sorted(record["state"] for record in records(memory))


def test_a_picture_whose_end_nobody_saw_is_stored_and_the_next_run_takes_it(emulator: Emulator, memory: Path) -> None:
    emulator.set(job_seconds=0)
    submit(emulator)
    assert rescued() == {"looked_at": 1, "fetched": 1}
    (record,) = records(memory)
    stored = memory / record["outputs"][0]["uri"]
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == record["outputs"][0]["sha256"]
    assert rescued() == {}
    pictures = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    assert run(BodySwapOperator(task_id="task", **pictures))["image_url"] == str(stored)
    assert len(emulator.charges) == 1


def test_a_running_job_is_left_and_a_failed_one_is_noted(emulator: Emulator, memory: Path) -> None:
    emulator.script(Fault("will-fail"))
    emulator.set(job_seconds=0)
    submit(emulator, 0)
    emulator.set(job_seconds=100)
    submit(emulator, 1)
    assert rescued() == {"looked_at": 2, "failed": 1, "running": 1}
    assert states(memory) == ["failed", "ordered"]


def test_a_job_that_segmind_has_forgotten_is_named_and_noted(
    emulator: Emulator, memory: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.set(job_seconds=0, record_seconds=3600)
    request_id = submit(emulator)
    clock.ahead += 5 * 3600
    assert rescued() == {"looked_at": 1, "lost": [request_id]}
    assert f"Request {request_id} is paid for, and its picture is lost. It was ordered by dag_id dag" in caplog.text
    assert states(memory) == ["lost"]
    assert len(emulator.charges) == 1


def test_a_picture_that_segmind_has_deleted_is_named(emulator: Emulator, memory: Path) -> None:
    path = unstored(emulator, memory)
    request_id = json.loads(path.read_bytes())["order"]["request_id"]
    emulator.script(Fault("404", on="file", times=None))
    assert rescued() == {"looked_at": 1, "unknown": [request_id]}, "Segmind keeps it for seven days"
    assert states(memory) == ["done"]
    for copy in (path, *(memory / "ends").rglob("*.json")):
        record = json.loads(copy.read_bytes())
        copy.write_text(json.dumps({**record, "ended_at": record["ended_at"] - KEPT - 1}))
    assert rescued() == {"looked_at": 1, "lost": [request_id]}
    assert states(memory) == ["lost"]


def test_many_pictures_whose_host_does_not_have_them_yet_do_not_end_a_rescue(emulator: Emulator, memory: Path) -> None:
    emulator.set(job_seconds=0)
    ids = {submit(emulator, number) for number in range(rescue.STRIKES + 1)}
    emulator.script(Fault("404", on="file", times=None))
    assert set(rescued()["unknown"]) == ids
    emulator.clear_faults()
    assert rescued() == {"looked_at": len(ids), "fetched": len(ids)}


def unstored(emulator: Emulator, memory: Path, **changes: Any) -> Path:
    """Make a swap that is done and whose picture is only at Segmind; return the path of its record."""
    emulator.set(job_seconds=0)
    submit(emulator)
    assert rescued() == {"looked_at": 1, "fetched": 1}
    (path,) = (memory / "swaps").rglob("*.json")
    record = json.loads(path.read_bytes())
    (memory / record["outputs"][0]["uri"]).unlink()
    record["outputs"][0] |= {"uri": "", "sha256": "", "size": 0, **changes}
    for copy in (path, *(memory / "ends").rglob("*.json")):
        copy.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("changes", [{}, {"url": ""}])
def test_a_picture_that_is_only_at_segmind_is_fetched(emulator: Emulator, memory: Path, changes: Any) -> None:
    unstored(emulator, memory, **changes)
    assert rescued() == {"looked_at": 1, "fetched": 1}
    (record,) = records(memory)
    assert record["state"] == "done"
    assert (memory / record["outputs"][0]["uri"]).stat().st_size == record["outputs"][0]["size"]


def test_an_end_that_a_slow_task_has_written_over_is_put_back(emulator: Emulator, memory: Path, clock: Clock) -> None:
    emulator.set(job_seconds=0, record_seconds=3600)
    submit(emulator)
    (path,) = (memory / "swaps").rglob("*.json")
    before = path.read_bytes()
    assert rescued() == {"looked_at": 1, "fetched": 1}
    path.write_bytes(before)
    clock.ahead += 5 * 3600
    assert rescued() == {"looked_at": 1, "fetched": 1}
    assert states(memory) == ["done"]


def unknown(emulator: Emulator, memory: Path) -> None:
    """Order a swap whose answer is lost while the history does not answer either."""
    emulator.set(job_seconds=0)
    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        submit(emulator)
    emulator.clear_faults()
    assert states(memory) == ["claimed"]


def test_an_order_of_unknown_outcome_is_found_in_the_history_and_stored(emulator: Emulator, memory: Path) -> None:
    unknown(emulator, memory)
    assert rescued() == {"looked_at": 1, "fetched": 1}
    assert states(memory) == ["done"]
    assert len(emulator.charges) == 1


def test_an_order_of_unknown_outcome_is_named_by_its_task_if_the_history_does_not_have_it(
    emulator: Emulator, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown(emulator, memory)
    emulator.set(history=False)
    said = rescued()
    assert said["looked_at"] == 1
    assert said["unknown"][0].startswith("dag_id dag, run_id run 0, task_id task, number 1 of swap ")
    assert "What became of dag_id dag" in caplog.text
    assert states(memory) == ["claimed"]


def test_a_request_that_is_another_orders_is_not_taken_for_one_of_unknown_outcome(
    emulator: Emulator, memory: Path
) -> None:
    unknown(emulator, memory)
    (path,) = (memory / "swaps").rglob("*.json")
    claimed = json.loads(path.read_bytes())
    assert rescued() == {"looked_at": 1, "fetched": 1}
    other = path.with_name(path.name.replace(".1.json", ".2.json"))
    other.write_text(json.dumps({**claimed, "number": 2}))
    assert list(rescued()) == ["looked_at", "unknown"]
    assert states(memory) == ["claimed", "done"]


def test_an_order_is_asked_for_with_the_connection_that_made_it(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STUDIO", os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"])
    emulator.set(job_seconds=0)
    ids = [submit(emulator, 0, segmind_conn_id="studio"), submit(emulator, 1)]
    monkeypatch.delenv("AIRFLOW_CONN_STUDIO")
    said = rescued()
    assert said == {"looked_at": 2, "fetched": 1, "unknown": [ids[0]]}
    assert states(memory) == ["done", "ordered"]


def test_a_429_is_waited_out(emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescue, "PAUSES", (0.01, 0.01))
    emulator.set(job_seconds=0)
    submit(emulator)
    emulator.script(Fault("429", on="poll", times=2, seconds=0))
    assert rescued() == {"looked_at": 1, "fetched": 1}


def test_an_outage_ends_it_and_the_next_call_goes_on(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "STRIKES", 3)
    emulator.set(job_seconds=0)
    for number in range(5):
        submit(emulator, number)
    emulator.script(Fault("500", on="poll", times=None))
    with pytest.raises(SegmindError, match="500"):
        rescued()
    emulator.clear_faults()
    assert rescued() == {"looked_at": 5, "fetched": 5}
    assert len(emulator.charges) == 5


def test_a_wrong_key_is_said_once(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rescue, "ASKERS", 1)
    for number in range(3):
        submit(emulator, number)
    emulator.script(Fault("401", on="poll", times=None))
    said = rescued()
    assert (said["looked_at"], len(said["unknown"])) == (3, 3)
    assert len([record for record in caplog.records if "cannot be asked for" in record.message]) == 1


def test_an_order_whose_pointer_was_not_written_is_found(emulator: Emulator, memory: Path) -> None:
    emulator.set(job_seconds=0)
    submit(emulator)
    for path in (memory / "requests").rglob("*.json"):
        path.unlink()
    assert rescued() == {"looked_at": 1, "fetched": 1}
    assert states(memory) == ["done"]


def test_a_damaged_object_is_named_and_the_others_are_fetched(
    emulator: Emulator, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.set(job_seconds=0)
    for number in range(2):
        submit(emulator, number)
    damaged = min((memory / "swaps").rglob("*.json"))
    damaged.write_text("{")
    assert rescued() == {"looked_at": 1, "fetched": 1}
    assert f"{damaged.name} is damaged" in caplog.text


def test_a_storage_that_fails_is_not_taken_for_a_loss(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_seconds=0)
    submit(emulator)
    (memory / "pictures").write_text("a file where the folder was")
    monkeypatch.setattr("airflow_provider_segmind.memory.store.PAUSES", ())
    try:
        said = rescued()
    except TransportError:
        said = {"lost": []}
    assert not said.get("lost")
    (memory / "pictures").unlink()
    assert rescued() == {"looked_at": 1, "fetched": 1}


def test_without_a_memory_the_task_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", "")
    with pytest.raises(AirflowFailException, match="Ask your Airflow administrator to set it"):
        rescued()


def test_what_is_stored_is_what_segmind_made(emulator: Emulator, memory: Path) -> None:
    emulator.set(job_seconds=0)
    submit(emulator)
    rescued()
    (output,) = records(memory)[0]["outputs"]
    assert urllib.request.urlopen(output["url"]).read() == (memory / output["uri"]).read_bytes()  # noqa: S310


def aged(memory: Path, seconds: float) -> None:
    """Let time pass since each object of the memory was changed."""
    for path in (memory / "swaps").rglob("*.json"):
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))


def test_what_was_seen_to_be_final_is_not_read_again(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_seconds=0)
    submit(emulator, 0)
    emulator.set(job_seconds=100)
    submit(emulator, 1)
    read: list[str] = []
    real = Store._read

    def noting(self: Store, name: str) -> bytes | None:
        read.extend([name] if name.startswith("swaps/") else [])
        return real(self, name)

    aged(memory, 30 * 86400)
    assert rescued() == {"looked_at": 2, "fetched": 1, "running": 1}
    done = next(path for path in (memory / "swaps").rglob("*.json") if '"done"' in path.read_text())
    os.utime(done, (1e9, 1e9))
    assert rescued() == {"looked_at": 1, "running": 1}
    monkeypatch.setattr(Store, "_read", noting)
    assert rescued() == {"looked_at": 1, "running": 1}
    assert read
    assert not [name for name in read if done.name in name]
    rescue.rescue_all(the_memory(), "segmind_default", every=True)
    assert [name for name in read if done.name in name]
