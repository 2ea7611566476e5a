"""Many jobs, one session, one budget; over real sockets."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import AsyncClient, new_session
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobTimeoutError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.wire import Traffic
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.api.clock import LeapingClient, leaping, leapt, now
from tests.api.drive import WORKFLOW

PACE = flow.Pace(first=0.05, limit=0.2)


class Shared:
    """Gives one client, and another one when its key was refused."""

    def __init__(self, emulator: Emulator, session: Any, **extra: Any) -> None:
        self.emulator = emulator
        self.session = session
        self.extra = extra
        self.current: LeapingClient | None = None
        self.lookups = 0

    async def __call__(self, *, refused: AsyncClient | None = None) -> LeapingClient:
        if self.current is None or self.current is refused:
            self.lookups += 1
            parts = self.emulator.airflow_connection()
            settings = Settings.from_connection(
                host=parts["host"], password=parts["password"], extra={**parts["extra"], **self.extra}
            )
            self.current = LeapingClient(settings, self.session)
        return self.current


@asynccontextmanager
async def polling(emulator: Emulator, **extra: Any) -> AsyncIterator[tuple[Poller, Shared]]:
    async with new_session() as session:
        shared = Shared(emulator, session, **extra)
        poller = Poller(shared, pace=PACE, clock=now)
        try:
            yield poller, shared
        finally:
            await poller.close()


async def order(shared: Shared) -> str:
    client = await shared()
    inputs = {
        "character_image": shared.emulator.sample("scene", 0),
        "reference_character_image": shared.emulator.sample("person", 0),
    }
    job = await client.run(flow.submit(client.settings, client.auth, WORKFLOW, inputs))
    return job.poll_url


@leaping
async def test_hundreds_of_jobs_are_waited_for_over_a_few_connections() -> None:
    with Emulator(job_polls=2) as emulator:
        async with polling(emulator) as (poller, shared):
            urls = await asyncio.gather(*(order(shared) for _ in range(300)))
            jobs = await asyncio.gather(*(poller.wait(url, deadline=4e9, poll_interval=0.2) for url in urls))
            assert [job.poll_url for job in jobs] == urls
            assert {job.status for job in jobs} == {"COMPLETED"}
        assert emulator.connections <= 16
        assert len(emulator.charges) == 300


@leaping
async def test_the_accounts_pace_is_kept_over_all_jobs() -> None:
    with Emulator(job_polls=2) as emulator:
        async with polling(emulator) as (poller, shared):
            urls = [await order(shared) for _ in range(5)]
        async with polling(emulator, requests_per_minute=1200) as (poller, shared):
            started = now()
            await asyncio.gather(*(poller.wait(url, deadline=4e9, poll_interval=0.01) for url in urls))
            polls = sum(seen.method == "GET" for seen in emulator.requests)
            assert polls == 15
            assert now() - started > (polls - 1) * 0.05


@leaping
async def test_a_429_pauses_all_and_ends_none() -> None:
    with Emulator() as emulator:
        async with polling(emulator) as (poller, shared):
            urls = [await order(shared) for _ in range(20)]
            emulator.script(Fault("429", on="poll", times=3, seconds=1))
            jobs = await asyncio.gather(*(poller.wait(url, deadline=4e9, poll_interval=0.05) for url in urls))
            assert {job.status for job in jobs} == {"COMPLETED"}


@leaping
async def test_errors_that_pass_are_waited_out_and_others_reach_whoever_waits() -> None:
    with Emulator() as emulator:
        async with polling(emulator) as (poller, shared):
            good, refused, broken = [await order(shared) for _ in range(3)]
            ids = {url: url.rpartition("/")[2] for url in (good, refused, broken)}
            emulator.script(
                Fault("502-html", on="poll", times=3, request_id=ids[good]),
                Fault("403", on="poll", request_id=ids[refused]),
                Fault("not-json", on="poll", times=None, request_id=ids[broken]),
            )
            results = await asyncio.gather(
                *(poller.wait(url, deadline=4e9, poll_interval=0.05) for url in (good, refused)),
                poller.wait(broken, deadline=4e9, poll_interval=0.05, max_outage=0.1),
                return_exceptions=True,
            )
        assert not isinstance(results[0], BaseException)
        assert isinstance(results[1], AuthenticationError)
        assert isinstance(results[2], ServiceError)


@leaping
async def test_an_unknown_status_is_waited_out() -> None:
    with Emulator() as emulator:
        async with polling(emulator) as (poller, shared):
            url = await order(shared)
            emulator.script(Fault("status", on="poll", body="WARMING_UP", times=2))
            assert (await poller.wait(url, deadline=4e9, poll_interval=0.05)).done


@leaping
async def test_the_job_is_asked_for_once_more_at_the_deadline() -> None:
    with Emulator() as emulator:
        async with polling(emulator) as (poller, shared):
            done, late = await order(shared), await order(shared)
            deadline = now() + 0.5
            assert (await poller.wait(done, deadline=deadline, poll_interval=60)).done
            assert now() >= deadline, "it was asked for before, so this proves nothing"
            emulator.script(Fault("status", on="poll", body="PROCESSING", times=None))
            with pytest.raises(JobTimeoutError, match="may still finish and is billed"):
                await poller.wait(late, deadline=now() + 0.1, poll_interval=60)
        assert sum(seen.method == "GET" for seen in emulator.requests) == 2


@leaping
async def test_a_job_that_was_ordered_long_ago_is_asked_for_at_once() -> None:
    with Emulator() as emulator:
        async with polling(emulator) as (poller, shared):
            url = await order(shared)
            assert (await poller.wait(url, deadline=4e9, poll_interval=60, submitted_at=now() - 600)).done
            assert leapt() < 2, "it was waited for as if it had just been ordered"


@leaping
async def test_a_rotated_key_ends_no_wait_and_a_wrong_one_ends_all() -> None:
    with Emulator(job_polls=2) as emulator:
        async with polling(emulator) as (poller, shared):
            urls = [await order(shared) for _ in range(5)]
            emulator.set(api_key="SG_rotated_key")
            jobs = await asyncio.gather(*(poller.wait(url, deadline=4e9, poll_interval=0.05) for url in urls))
            assert {job.status for job in jobs} == {"COMPLETED"}
            assert shared.lookups == 2
            emulator.script(Fault("401", on="poll", times=None))
            with pytest.raises(AuthenticationError):
                await poller.wait(urls[0], deadline=4e9, poll_interval=0.05)


@leaping
async def test_bad_input_is_named_before_any_request() -> None:
    with Emulator() as emulator:
        async with polling(emulator) as (poller, _):
            with pytest.raises(InvalidRequestError, match="is not on the connection's host"):
                await poller.wait("https://evil.example/1", deadline=4e9)
            with pytest.raises(InvalidRequestError, match="poll_interval is 0"):
                await poller.wait(f"{emulator.url}/workflows/request/1", deadline=4e9, poll_interval=0)
        assert emulator.requests == ()


@leaping
async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    with Emulator(job_seconds=60) as emulator:
        async with polling(emulator) as (poller, shared):
            tasks_before = len(asyncio.all_tasks())
            urls = [await order(shared) for _ in range(20)]
            waiting = [asyncio.create_task(poller.wait(url, deadline=4e9, poll_interval=0.02)) for url in urls]
            await asyncio.sleep(0.3)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await asyncio.sleep(0.3)
            assert len(asyncio.all_tasks()) == tasks_before
            assert len(poller._schedule) == 0


@pytest.mark.parametrize("kind", ["pending", "done", "expired", "403", "502-html"])
@leaping
async def test_an_answer_that_nobody_waits_for_any_more_is_dropped(kind: str) -> None:
    jobs: dict[str, Any] = {"pending": {"job_seconds": 60}, "expired": {"record_seconds": 0}}.get(kind, {})
    with Emulator(**jobs) as emulator:
        async with polling(emulator) as (poller, shared):
            url = await order(shared)
            if kind[0].isdigit():
                emulator.script(Fault(kind, on="poll"))
            client = await shared()
            client.open.clear()
            client.held.clear()
            waiting = asyncio.create_task(poller.wait(url, deadline=4e9, poll_interval=0.02))
            await client.held.wait()
            waiting.cancel()
            client.open.set()
            await asyncio.sleep(0.3)
            assert waiting.cancelled()
            assert len(poller._schedule) == 0
            assert emulator.requests[-1].method == "GET"


@leaping
async def test_closing_ends_those_whose_turn_has_not_come_too() -> None:
    with Emulator(job_seconds=60) as emulator:
        async with polling(emulator) as (poller, shared):
            waiting = asyncio.create_task(poller.wait(await order(shared), deadline=4e9, poll_interval=60))
            await asyncio.sleep(0.05)
            await poller.close()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert poller._timer is None


@leaping
async def test_what_is_said_about_a_job_is_said_to_whoever_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")
    heard: list[tuple[str, str]] = []
    caplog.handler.addFilter(lambda record: heard.append((who.get("nobody"), record.getMessage())) or True)

    async def wait(name: str, url: str) -> None:
        who.set(name)
        await poller.wait(url, deadline=4e9, poll_interval=0.05)

    with Emulator() as emulator:
        async with polling(emulator) as (poller, shared):
            one, other = await order(shared), await order(shared)
            emulator.script(Fault("status", on="poll", body="WARMING_UP", request_id=other.rpartition("/")[2]))
            await asyncio.gather(wait("one", one), wait("other", other))
    assert [name for name, words in heard if "WARMING_UP" in words] == ["other"]


@leaping
async def test_closing_ends_those_who_wait() -> None:
    with Emulator(job_seconds=60) as emulator:
        async with polling(emulator) as (poller, shared):
            url = await order(shared)
            emulator.script(Fault("hang-after", on="poll", seconds=60))
            waiting = asyncio.create_task(poller.wait(url, deadline=4e9, poll_interval=0.02))
            while len(emulator.requests) < 2:  # noqa: ASYNC110 - the emulator has a thread of its own
                await asyncio.sleep(0.01)
            await poller.close()
            with pytest.raises(asyncio.CancelledError):
                await waiting


@leaping
async def test_a_connection_that_cannot_be_looked_up_any_more_reaches_whoever_waits() -> None:
    with Emulator(job_seconds=60) as emulator:
        async with polling(emulator) as (poller, shared):
            url = await order(shared)
            waiting = asyncio.create_task(poller.wait(url, deadline=4e9, poll_interval=0.1))
            await asyncio.sleep(0.05)
            emulator.set(api_key="SG_rotated_key")
            emulator.airflow_connection = lambda: {"host": "ftp://x", "password": "x", "extra": {}}  # type: ignore[method-assign]
            with pytest.raises(SegmindError, match="not a base URL"):
                await waiting


def test_requests_are_counted_anew_once_they_were_taken() -> None:
    traffic = Traffic(3, 1)
    assert traffic.take() == Traffic(3, 1)
    assert traffic == Traffic()
