"""The trigger: one event whatever happens, one session and one lookup for all, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import (
    BY_NAME,
    InvalidRequestError,
    JobExpiredError,
    RateLimitError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.models import Job, Output, Settings
from airflow_provider_segmind.connection import aload_settings
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from airflow_provider_segmind.waiting import shared
from airflow_provider_segmind.waiting.ending import TriggerExit
from airflow_provider_segmind.waiting.events import event_of_error, event_of_job, read_event
from airflow_provider_segmind.waiting.shared import SharedConnection, shared_connection
from tests.api.drive import WORKFLOW
from tests.provider.conftest import connect
from tests.provider.running import first_event, revive

SAMPLES = Path(__file__).with_name("stored")


def order(emulator: Emulator, **jobs: Any) -> str:
    emulator.set(**jobs)
    inputs = {"character_image": emulator.sample("scene", 0), "reference_character_image": emulator.sample("person", 0)}
    return SegmindHook().submit(WORKFLOW, inputs).poll_url


def trigger(poll_url: str, **changes: Any) -> PixelFlowTrigger:
    parts: dict[str, Any] = {
        "poll_url": poll_url,
        "segmind_conn_id": "segmind_default",
        "deadline": 4e9,
        "poll_interval": 0.05,
        **changes,
    }
    return PixelFlowTrigger(**parts)


async def polled(emulator: Emulator) -> None:
    """Return once a job was asked for."""
    while all(seen.method != "GET" for seen in emulator.requests):  # noqa: ASYNC110 - the emulator has its own thread
        await asyncio.sleep(0.005)


async def test_it_ends_in_one_event_with_the_result(emulator: Emulator) -> None:
    event = await first_event(trigger(order(emulator, job_polls=3)))
    job, complete = read_event(event)
    assert (job.status, complete) == ("COMPLETED", True)
    assert job.outputs[0].keyname == "body_swap_image"
    assert emulator.api_key not in json.dumps(event)


@pytest.mark.parametrize(("kind", "cls"), [("expired", "JobExpiredError"), ("401", "AuthenticationError")])
async def test_an_error_is_an_event_too(
    emulator: Emulator, kind: str, cls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_segmind.api.patience.GONE_AFTER", 0.1)
    poll_url = order(emulator)
    emulator.script(Fault(kind, on="poll", times=None))
    event = await first_event(trigger(poll_url))
    assert event["error"]["type"] == cls
    assert event["request_id"] == emulator.charges[0].request_id
    with pytest.raises(BY_NAME[cls]):
        read_event(event)


async def test_a_deadline_that_passed_while_nobody_waited_still_gets_a_look(emulator: Emulator) -> None:
    assert read_event(await first_event(trigger(order(emulator), deadline=1.0)))[0].status == "COMPLETED"
    event = await first_event(trigger(order(emulator, job_seconds=60), deadline=1.0))
    assert event["error"]["type"] == "JobTimeoutError"


async def test_what_nobody_thought_of_is_an_event_without_its_words(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", "{broken SG_secret")
    event = await first_event(trigger(f"{emulator.url}/workflows/request/1"))
    assert event["status"] == "error"
    assert "SG_secret" not in json.dumps(event)


async def test_it_waits_on_after_a_restart_of_the_triggerer(emulator: Emulator) -> None:
    first = trigger(order(emulator, job_polls=3))
    waiting = asyncio.create_task(first_event(first))
    await polled(emulator)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert read_event(await first_event(revive(first)))[0].status == "COMPLETED"
    assert len(emulator.charges) == 1


async def test_a_person_who_ends_the_wait_is_told_that_the_job_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    await trigger("https://api.segmind.com/workflows/request/abc").on_kill()
    assert "request abc goes on and is billed" in capsys.readouterr().out


async def test_a_bundle_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "segmind", "password": "SG_secret_key", "extra": {"verify": "nowhere/ca.pem"}}
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(connection))
    words = "verify is 'nowhere/ca.pem', and there is no such CA bundle"
    event = await first_event(trigger("https://api.segmind.com/workflows/request/abc"))
    assert words in event["error"]["message"]
    with pytest.raises(InvalidRequestError, match=words):
        SegmindHook().get_credits()


class TestShared:
    async def test_a_hundred_triggers_share_one_lookup_and_a_few_connections(self, emulator: Emulator) -> None:
        urls = [order(emulator, job_polls=2) for _ in range(100)]
        lookups = 0

        async def counted(conn_id: str) -> Settings:
            nonlocal lookups
            lookups += 1
            await asyncio.sleep(0.02)
            return await aload_settings(conn_id)

        connection = SharedConnection("segmind_default", counted)
        before = emulator.connections
        jobs = await asyncio.gather(*(connection.poller.wait(url, deadline=4e9, poll_interval=0.05) for url in urls))
        assert {job.status for job in jobs} == {"COMPLETED"}
        assert lookups == 1
        assert emulator.connections - before <= 16
        await connection.close()

    async def test_the_last_to_leave_closes_and_leaves_nothing_behind(self, emulator: Emulator) -> None:
        await asyncio.gather(*(first_event(trigger(order(emulator))) for _ in range(5)))
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1  # this test
        async with shared_connection("segmind_default") as one, shared_connection("segmind_default") as other:
            assert one is other
        await asyncio.sleep(0.1)
        assert emulator.open_connections <= 5  # those of the synchronous hooks above

    async def test_a_lookup_is_good_for_a_while_also_when_nobody_waited_in_between(self, emulator: Emulator) -> None:
        lookups = []

        async def counted(conn_id: str) -> Settings:
            lookups.append(conn_id)
            return await aload_settings(conn_id)

        connection = SharedConnection("segmind_default", counted)
        first = await connection.client()
        assert await connection.client() is first
        await connection.close()
        assert await connection.client() is not first
        assert len(lookups) == 1
        await connection.client(refused=first)  # an older one, which is gone already
        assert len(lookups) == 1
        await connection.client(refused=await connection.client())
        assert len(lookups) == 2
        await connection.close()

    async def test_after_a_while_it_is_made_anew(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shared, "LOOKUP_TTL", 0.0)
        connection = SharedConnection("segmind_default")
        first = await connection.client()
        assert await connection.client() is first  # looked up again, and the same as before
        connect(monkeypatch, emulator, password="SG_another")
        assert (await connection.client()).settings.api_key == "SG_another"
        await connection.close()

    async def test_a_rotated_key_ends_no_wait(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        poll_url = order(emulator, job_polls=3)
        waiting = asyncio.create_task(first_event(trigger(poll_url)))
        await polled(emulator)
        emulator.set(api_key="SG_rotated")
        connect(monkeypatch, emulator)
        assert read_event(await waiting)[0].status == "COMPLETED"


class TestEvents:
    JOB = Job("abc", "https://api.segmind.com/r/abc", "COMPLETED", (Output("a", "image", "https://x/a.png"),))

    def test_a_job_survives_the_way_through_json(self) -> None:
        assert read_event(json.loads(json.dumps(event_of_job(self.JOB)))) == (self.JOB, True)

    def test_outputs_that_are_too_large_stay_out(self) -> None:
        big = Job("abc", "u", "COMPLETED", (Output("a", "text", "x" * 20_000),))
        event = event_of_job(big)
        assert len(json.dumps(event)) < 500
        assert read_event(event)[1] is False

    @pytest.mark.parametrize("cls", [cls for cls in BY_NAME.values() if cls is not RateLimitError])
    def test_every_error_comes_back_as_itself(self, cls: type[SegmindError]) -> None:
        error = cls("It broke.", status=404, detail="gone", request_id="abc")
        with pytest.raises(cls) as caught:
            read_event(json.loads(json.dumps(event_of_error(error))))
        assert type(caught.value) is cls
        assert str(caught.value) == str(error)

    def test_an_error_of_a_newer_version_is_still_an_error(self) -> None:
        event = {"version": 9, "status": "error", "error": {"type": "MoonPhaseError", "message": "Wait.", "more": 1}}
        with pytest.raises(SegmindError, match="Wait"):
            read_event(event)

    @pytest.mark.parametrize("event", [None, "x", [], {}, {"status": "success"}, {"status": "success", "job": {}}])
    def test_what_cannot_be_read_is_never_a_success(self, event: Any) -> None:
        with pytest.raises(ServiceError):
            read_event(event)


class TestStored:
    """What version 0.1.0 wrote into a metadata database can be read by whatever comes later."""

    def test_the_arguments_of_a_trigger(self) -> None:
        for line in (SAMPLES / "trigger_kwargs.jsonl").read_text().splitlines():
            stored = json.loads(line)
            path, kwargs = PixelFlowTrigger(**stored["kwargs"]).serialize()
            assert path == stored["classpath"]
            # A number of errors was patience once; whoever waits since then has all the time there is.
            stored["kwargs"].pop("tolerated_errors", None)
            assert stored["kwargs"].items() <= kwargs.items()
            assert kwargs["max_outage"] is None

    def test_the_arguments_of_a_newer_trigger_do_not_break_an_older_package(self) -> None:
        assert PixelFlowTrigger("u", "c", 1.0, from_the_future=True).poll_url == "u"

    def test_events(self) -> None:
        stored = [json.loads(line) for line in (SAMPLES / "events.jsonl").read_text().splitlines()]
        job, complete = read_event(stored[0])
        assert (job.status, job.outputs[0].url, complete) == ("COMPLETED", "https://images.segmind.com/x.png", True)
        assert read_event(stored[1])[0].error == "No face found"
        with pytest.raises(JobExpiredError, match="no longer knows"):
            read_event(stored[2])


async def test_a_result_that_cannot_be_kept_in_the_triggerer_is_left_to_a_worker(emulator: Emulator) -> None:
    """Here there is no supervisor that would take the XCom."""
    waits = trigger(order(emulator), ending=TriggerExit(success=True).to_json())
    waits.task_instance = SimpleNamespace(dag_id="d", task_id="wait", run_id="r", map_index=-1)  # type: ignore[assignment]
    assert read_event(await first_event(waits))[0].status == "COMPLETED"
