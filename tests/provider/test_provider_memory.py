"""With a memory, nobody pays twice for the same picture: not a retry, a clear, another run or another DAG."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import memory as swaps
from airflow_provider_segmind.api.errors import InvalidRequestError, OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.remembered import CLAIMED, DONE, FAILED, LOST, ORDERED
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault, samples
from airflow_provider_segmind.emulator.state import Asset
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory import store as stores
from airflow_provider_segmind.memory import swaps as memory_swaps
from airflow_provider_segmind.memory.swaps import digests_of
from airflow_provider_segmind.operators.quality import CheckSwapOperator
from airflow_provider_segmind.orders import recovery
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from airflow_provider_segmind.waiting import remembering
from tests.api.clock import Clock
from tests.provider.odd_host import PICTURE, own_host
from tests.provider.remembering import in_run, memory, picture, records, submit, swap, task_of
from tests.provider.running import context, defer, first_event, revive, run

__all__ = ["memory"]


def test_a_second_run_takes_the_stored_picture_and_sends_no_order(emulator: Emulator, memory: Path) -> None:
    first = in_run(swap(emulator), "monday")
    assert "reused" not in first
    second = in_run(swap(emulator), "tuesday")
    assert len(emulator.charges) == 1
    assert (second["reused"], second["cost"], second["request_id"]) == (True, 0, first["request_id"])
    stored = Path(second["image_url"])
    assert stored.is_relative_to(memory / "pictures")
    assert stored.read_bytes() == urllib.request.urlopen(first["image_url"]).read()  # noqa: S310
    assert [output["keyname"] for output in second["outputs"]] == [output["keyname"] for output in first["outputs"]]


def test_after_hours_and_days_a_picture_is_still_there(emulator: Emulator, clock: Clock) -> None:
    in_run(swap(emulator), "monday")
    clock.ahead += 30 * 86400
    assert in_run(swap(emulator), "next month")["reused"]
    assert len(emulator.charges) == 1


def test_the_same_pictures_under_other_names_are_the_same_swap(emulator: Emulator, tmp_path: Path) -> None:
    in_run(swap(emulator), "urls")
    files = {
        "character_image": picture(emulator, "scene", tmp_path / "a.png"),
        "reference_character_image": picture(emulator, "person", tmp_path / "b.png"),
    }
    assert in_run(swap(emulator, **files), "files")["reused"]
    assert len(emulator.charges) == 1


@pytest.mark.parametrize("changed", ["words", "pixel", "workflow"])
def test_another_swap_is_a_new_order(emulator: Emulator, tmp_path: Path, changed: str) -> None:
    in_run(swap(emulator), "first")
    if changed == "pixel":
        from PIL import Image

        path = picture(emulator, "scene", tmp_path / "a.png")
        with Image.open(path) as image:
            image.putpixel((3, 3), (1, 2, 3))
            image.save(path)
        change: dict[str, Any] = {"character_image": path}
    elif changed == "words":
        change = {"select_character": "the man on the left"}
    else:
        change = {"workflow": "678b67a76426baad7e539337-v3"}
    assert "reused" not in in_run(swap(emulator, **change), "second")
    assert len(emulator.charges) == 2


def test_a_url_whose_picture_changed_is_ordered_again(emulator: Emulator) -> None:
    url = SegmindHook().upload(samples.draw("scene", 1), media_type="image/png")
    in_run(swap(emulator, character_image=url), "first")
    emulator._state.assets[url.rpartition("/")[2]] = Asset(samples.draw("scene", 2), "image/png")
    assert "reused" not in in_run(swap(emulator, character_image=url), "second")
    assert in_run(swap(emulator, character_image=url), "third")["reused"]
    assert len(emulator.charges) == 2


def test_an_etag_stands_for_a_picture_where_the_author_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(query: str = "") -> tuple[str, ...]:
        return digests_of(SegmindHook(), "character_image", f"{host.url}/a.png{query}", by_etag=True)

    with own_host(monkeypatch) as host:
        host.answers["/a.png"] = (200, PICTURE, {"ETag": '"1"'})
        first = digest()
        assert digest("?X-Amz-Signature=other") == first
        assert all(headers.get("range") == "bytes=0-0" for _, headers in host.seen)
        host.answers["/a.png"] = (200, PICTURE, {"ETag": '"2"'})
        assert digest() != first
        host.answers["/a.png"] = (200, PICTURE, {})
        with pytest.raises(InvalidRequestError, match="has no ETag: use reuse='auto'"):
            digest()


def test_a_url_without_an_etag_is_refused_by_its_name(emulator: Emulator) -> None:
    with pytest.raises(AirflowFailException, match="has no ETag"):
        in_run(swap(emulator, reuse="etag"), "a")
    assert not emulator.charges


def test_a_clear_takes_what_is_paid_for(emulator: Emulator) -> None:
    assert "reused" not in run(swap(emulator), context(task_of(max_tries=0)))
    assert run(swap(emulator), context(task_of(max_tries=1, try_number=2)))["reused"]
    assert len(emulator.charges) == 1


@pytest.mark.parametrize(("reuse", "charges"), [("auto", 1), ("never", 3), ("refresh", 3)])
def test_an_author_says_whether_to_reuse(emulator: Emulator, reuse: str, charges: int) -> None:
    for run_id in "abc":
        in_run(swap(emulator, reuse=reuse), run_id)
    assert len(emulator.charges) == charges
    assert in_run(swap(emulator), "d").get("reused") is (None if reuse == "never" else True)


def test_a_refreshed_picture_is_the_one_that_is_reused(emulator: Emulator) -> None:
    old = in_run(swap(emulator), "a")["request_id"]
    new = in_run(swap(emulator, reuse="refresh"), "b")["request_id"]
    assert old != new == in_run(swap(emulator), "c")["request_id"]


def test_a_picture_that_is_too_old_is_ordered_again(emulator: Emulator) -> None:
    in_run(swap(emulator), "a")
    assert in_run(swap(emulator, reuse_max_age=3600), "b")["reused"]
    assert "reused" not in in_run(swap(emulator, reuse_max_age=1e-6), "c")
    assert len(emulator.charges) == 2


def test_a_picture_that_was_deleted_is_ordered_again(emulator: Emulator) -> None:
    in_run(swap(emulator), "a")
    Path(in_run(swap(emulator), "b")["image_url"]).unlink()
    assert "reused" not in in_run(swap(emulator), "c")
    assert len(emulator.charges) == 2


def check(emulator: Emulator, result: dict[str, Any], scene: str | None = None, dag_id: str = "dag") -> None:
    task = CheckSwapOperator(
        task_id="check",
        results=result,
        character_image=scene or emulator.sample("scene"),
        reference_character_image=emulator.sample("person"),
        on_failure="report",
        qa=False,
    )
    ti = task_of("check")
    ti.dag_id = dag_id
    task.execute(context(ti))


def test_a_picture_that_fails_its_checks_is_ordered_again(emulator: Emulator) -> None:
    bad = in_run(swap(emulator), "a")
    check(emulator, bad, scene=bad["image_url"], dag_id="another")  # as if nothing had been swapped
    assert in_run(swap(emulator), "b")["reused"]
    check(emulator, bad, scene=bad["image_url"])
    assert "reused" not in in_run(swap(emulator), "c")
    assert len(emulator.charges) == 2


def test_a_reused_picture_can_be_checked_and_stored(emulator: Emulator, tmp_path: Path) -> None:
    in_run(swap(emulator), "a")
    reused = in_run(swap(emulator), "b")
    check(emulator, reused)
    stored = SegmindToObjectStorageOperator(task_id="store", results=reused, destination=f"{tmp_path}/kept").execute(
        context()
    )
    assert Path(stored["image_uri"] if "image_uri" in stored else stored["uri"]).exists()
    assert in_run(swap(emulator), "c")["reused"]


def test_a_path_outside_of_the_memory_is_no_result(emulator: Emulator, tmp_path: Path) -> None:
    in_run(swap(emulator), "a")
    reused = in_run(swap(emulator), "b")
    for path in ("/etc/hostname", f"{tmp_path}/memory/pictures/../swaps/x.png", f"{tmp_path}/other.png"):
        forged = {**reused, "image_url": path, "outputs": [{**reused["outputs"][0], "url": path}]}
        with pytest.raises(AirflowFailException, match="nor a picture of the memory"):
            SegmindToObjectStorageOperator(task_id="store", results=forged, destination=f"{tmp_path}/kept").execute(
                context()
            )


def test_a_job_that_failed_is_ordered_again(emulator: Emulator, memory: Path) -> None:
    emulator.script(Fault("will-fail"))
    with pytest.raises(SegmindError):
        in_run(swap(emulator), "a")
    assert [record["state"] for record in records(memory)] == [FAILED]
    assert "reused" not in in_run(swap(emulator), "b")
    assert [record["state"] for record in records(memory)] == [FAILED, DONE]
    assert in_run(swap(emulator), "c")["reused"]
    assert len(emulator.charges) == 2


def test_a_refused_order_is_no_order(emulator: Emulator, memory: Path) -> None:
    emulator.script(Fault("406-credits"))
    with pytest.raises(AirflowFailException):
        in_run(swap(emulator), "a")
    assert [record["state"] for record in records(memory)] == ["released"]
    assert "reused" not in in_run(swap(emulator), "b")
    assert len(emulator.charges) == 1


def test_a_running_order_of_another_run_is_waited_for(emulator: Emulator, memory: Path) -> None:
    first = submit(emulator, "a")
    second = submit(emulator, "b")
    assert len(emulator.charges) == 1
    assert second["poll_url"] == first["poll_url"]
    assert (second["reused"], second["cost"]) == (True, 0)
    assert [record["state"] for record in records(memory)] == [ORDERED]
    result = run(sensor(second), context(task_of("wait", "b")))
    assert result["status"] == "COMPLETED"
    assert result["reused"]
    assert [record["state"] for record in records(memory)] == [DONE]


def sensor(handle: Any, **changes: Any) -> BodySwapSensor:
    return BodySwapSensor(task_id="wait", poll_url=handle, poke_interval=0.05, **changes)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_sensor_of_a_later_run_gets_the_stored_picture(emulator: Emulator, clock: Clock, deferrable: bool) -> None:
    run(sensor(submit(emulator, "a")), context(task_of("wait", "a")))
    emulator.set(record_seconds=3600)
    clock.ahead += 5 * 3600  # Segmind has forgotten the job
    handle = submit(emulator, "b")
    result = run(sensor(handle["poll_url"], deferrable=deferrable), context(task_of("wait", "b")))
    assert Path(result["image_url"]).exists()
    assert len(emulator.charges) == 1


def test_an_order_that_nobody_saw_end_is_lost_and_ordered_again(
    emulator: Emulator, clock: Clock, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "SOON", 0.0)
    monkeypatch.setattr(memory_swaps, "FORGOTTEN", -1.0)
    submit(emulator, "a")
    emulator.set(record_seconds=3600)
    clock.ahead += 5 * 3600
    assert "reused" not in submit(emulator, "b")
    assert [record["state"] for record in records(memory)] == ["lost", ORDERED]


def test_an_order_of_unknown_outcome_is_found_in_the_history_by_the_next_run(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        in_run(swap(emulator), "a")
    assert [record["state"] for record in records(memory)] == [CLAIMED]
    emulator.clear_faults()
    monkeypatch.setattr(swaps, "SENDING", 0.0)
    assert in_run(swap(emulator), "b")["reused"]
    assert len(emulator.charges) == 1


def test_an_order_whose_outcome_nobody_knows_is_not_repeated_and_its_task_is_named(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        in_run(swap(emulator), "a")
    monkeypatch.setattr(swaps, "SENDING", 0.0)
    with pytest.raises((OutcomeUnknownError, AirflowFailException), match=r"Another task.*run_id a"):
        in_run(swap(emulator), "b")
    assert len(emulator.charges) == 1
    emulator.clear_faults()
    emulator.set(history=False)
    assert "reused" not in in_run(swap(emulator, on_unknown_outcome="resubmit"), "c")
    assert len(emulator.charges) == 2


@pytest.mark.parametrize("threads_may_ask", [True, False])
def test_a_triggerer_keeps_the_picture_and_looks_up_the_memorys_connection_where_it_may(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, threads_may_ask: bool
) -> None:
    """Before Airflow 3.2 only one thread can, that of asgiref."""
    asked: list[str] = []
    check = stores.Store.check

    def noted(self: stores.Store) -> None:
        if not self._is_checked:
            asked.append(threading.current_thread().name)
        check(self)

    monkeypatch.setattr(remembering, "THREADS_MAY_ASK_AIRFLOW", threads_may_ask)
    deferred = defer(swap(emulator))
    monkeypatch.setattr(stores, "_stores", {})  # a triggerer is another process
    monkeypatch.setattr(stores.Store, "check", noted)
    assert asyncio.run(first_event(revive(deferred.trigger)))
    assert [record["state"] for record in records(memory)] == [DONE]
    assert all("asyncio_" in name for name in asked) is threads_may_ask, asked


def test_a_memory_that_is_away_when_a_job_ends_loses_no_result(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "THREADS_MAY_ASK_AIRFLOW", False)
    deferred = defer(swap(emulator))
    memory.rename(memory.with_name("away"))
    memory.touch()
    monkeypatch.setattr(stores, "_stores", {})
    event = asyncio.run(first_event(revive(deferred.trigger)))
    result = swap(emulator).resume_execution(deferred.method_name, {"event": event}, context())
    assert result["status"] == "COMPLETED"


def test_a_clear_after_an_unknown_outcome_was_told_orders_anew(emulator: Emulator, memory: Path) -> None:
    """The error says that a clear does; whoever clears has read it."""
    emulator.set(history=False)
    emulator.script(Fault("drop-before"))
    with pytest.raises(AirflowFailException, match="its answer never came"):
        run(swap(emulator), context(task_of(max_tries=0)))
    assert "reused" not in run(swap(emulator), context(task_of(max_tries=1, try_number=2)))
    assert [record["state"] for record in records(memory)] == [LOST, DONE]
    assert len(emulator.charges) == 1


@pytest.mark.parametrize("accepted", [True, False])
def test_a_clear_after_a_death_looks_first_and_orders_only_after_it_was_told(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    """Whoever clears a task whose worker has died knows nothing yet of an order that was being sent."""
    submit = SegmindHook.submit

    def die(self: SegmindHook, workflow: str, inputs: Any, before: Any, **_: Any) -> None:
        before()
        if accepted:
            submit(self, workflow, inputs)
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(SegmindHook, "submit", die)
        with pytest.raises(SystemExit):
            run(swap(emulator), context(task_of(max_tries=0)))
    assert [record["state"] for record in records(memory)] == [CLAIMED]
    if accepted:
        assert "reused" not in run(swap(emulator), context(task_of(max_tries=1, try_number=2)))
    else:
        with pytest.raises(
            AirflowFailException, match=r"An earlier attempt of this task.* clear the task, which orders"
        ):
            run(swap(emulator), context(task_of(max_tries=1, try_number=2)))
        assert not emulator.charges
        assert "reused" not in run(swap(emulator), context(task_of(max_tries=2, try_number=3)))
    assert len(emulator.charges) == 1


def test_a_damaged_object_is_named_and_nothing_is_ordered(emulator: Emulator, memory: Path) -> None:
    in_run(swap(emulator), "a")
    (path,) = (memory / "swaps").rglob("*.json")
    path.write_text("{")
    with pytest.raises(AirflowFailException, match=f"{path.name}.*damaged"):
        in_run(swap(emulator), "b")
    assert path.read_text() == "{"
    assert len(emulator.charges) == 1


def test_neither_the_key_nor_a_signature_is_in_the_memory(emulator: Emulator, memory: Path) -> None:
    in_run(swap(emulator), "a")
    said = b"".join(path.read_bytes() for path in memory.rglob("*.json"))
    assert json.loads(emulator_password())["password"].encode() not in said


def emulator_password() -> str:
    import os

    return os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"]


def test_a_memory_that_cannot_be_used_stops_the_order_until_a_retry(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount or a right that is missing may come back."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", "/proc/memory")
    with pytest.raises(InvalidRequestError, match=r"\[segmind\] memory '/proc/memory' cannot be used"):
        in_run(swap(emulator), "a")
    assert not emulator.charges
    assert stores.has_memory()
