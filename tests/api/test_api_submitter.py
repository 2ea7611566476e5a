"""Orders and polls share one budget; what was not accepted goes out again, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import AsyncClient, new_session
from airflow_provider_segmind.api.errors import OutcomeUnknownError, RateLimitError, TransportError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.submitter import FRESH, Submitter
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.api.clock import LeapingClient, leaping, now
from tests.api.drive import PACE, WORKFLOW


def settings(emulator: Emulator, **extra: object) -> Settings:
    return Settings.from_connection(host=emulator.url, password=emulator.api_key, extra=extra)


@asynccontextmanager
async def submitting(
    emulator: Emulator, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, **extra: object
) -> AsyncIterator[tuple[Submitter, Poller]]:
    async with new_session() as session:
        client = LeapingClient(settings(emulator, **extra), session)

        async def clients(*, refused: AsyncClient | None = None) -> AsyncClient:
            return client

        poller = Poller(clients, pace=PACE, clock=now)
        yield Submitter(clients, poller, pace=PACE, clock=now, sleep=sleep), poller
        await poller.close()


def inputs(emulator: Emulator) -> dict[str, str]:
    return {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}


async def nothing() -> None:
    """Intend nothing."""


@leaping
async def test_the_intent_is_noted_anew_before_each_time_that_an_order_is_sent() -> None:
    """A 429 can ask for ten minutes, and what looks an order up goes by the time of its intent."""
    with Emulator() as emulator:
        emulator.script(Fault("429", times=2, seconds=0))
        seen = []

        async def intend() -> None:
            seen.append(len(emulator.requests))

        async with submitting(emulator) as (submitter, _):
            await submitter.submit(WORKFLOW, inputs(emulator), intend=intend)
        assert seen == [0, 1, 2]
        assert len(emulator.charges) == 1
        assert len(emulator.requests) == 3


@leaping
async def test_orders_keep_to_the_budget() -> None:
    with Emulator() as emulator:
        turns: list[float] = []

        async def intend() -> None:
            turns.append(now())

        async with submitting(emulator, requests_per_minute=600) as (submitter, _):
            await asyncio.gather(*(submitter.submit(WORKFLOW, inputs(emulator), intend=intend) for _ in range(8)))
        assert len(emulator.charges) == len(turns) == 8
        assert max(turns) - min(turns) >= 7 * 0.09


@leaping
async def test_polls_are_not_starved_by_orders() -> None:
    with Emulator() as emulator:
        async with submitting(emulator, requests_per_minute=1200) as (submitter, poller):
            job = await submitter.submit(WORKFLOW, inputs(emulator), intend=nothing)
            orders = asyncio.gather(*(submitter.submit(WORKFLOW, inputs(emulator), intend=nothing) for _ in range(40)))
            done = await poller.wait(job.poll_url, deadline=now() + 60, submitted_at=now() - 60)
            assert done.status == "COMPLETED"
            assert len(emulator.charges) < 41, "the poll waited for all the orders"
            await orders


@leaping
async def test_a_lost_answer_is_not_sent_again() -> None:
    with Emulator() as emulator:
        emulator.script(Fault("drop-after"))
        async with submitting(emulator) as (submitter, _):
            with pytest.raises(OutcomeUnknownError):
                await submitter.submit(WORKFLOW, inputs(emulator), intend=nothing)
        assert len(emulator.charges) == 1


@leaping
async def test_without_a_connection_it_is_sent_again_a_few_times() -> None:
    with Emulator() as emulator:
        given = inputs(emulator)
        emulator.stop()
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await asyncio.sleep(seconds)

        async with submitting(emulator, sleep) as (submitter, _):
            with pytest.raises(TransportError, match="nothing was sent"):
                await submitter.submit(WORKFLOW, given, intend=nothing)
        assert slept == [1.0, 2.0, 4.0, 8.0, 16.0]
        assert not emulator.charges


@leaping
async def test_429s_are_waited_out_for_as_long_as_any_order_is_accepted() -> None:
    with Emulator() as emulator:
        emulator.script(Fault("429", times=None, seconds=0))
        async with submitting(emulator) as (submitter, _):
            began = now()
            with pytest.raises(RateLimitError):
                await submitter.submit(WORKFLOW, inputs(emulator), intend=nothing)
            assert now() - began > flow.PATIENCE
        assert not emulator.charges


@leaping
async def test_a_turn_that_nobody_waits_for_any_more_costs_nothing() -> None:
    with Emulator() as emulator:
        async with submitting(emulator, requests_per_minute=60) as (_, poller):
            await poller.turn()
            late = asyncio.ensure_future(poller.turn())
            await asyncio.sleep(0.05)
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
            assert len(poller._schedule) == 0


@leaping
async def test_an_intent_that_took_long_to_be_noted_is_noted_again_before_the_order() -> None:
    with Emulator() as emulator:
        times: list[float] = []

        async def intend() -> None:
            times.append(now())
            await asyncio.sleep(FRESH + 1 if len(times) == 1 else 0.0)

        async with submitting(emulator) as (submitter, _):
            await submitter.submit(WORKFLOW, inputs(emulator), intend=intend)
        assert len(times) == 2
        assert len(emulator.charges) == 1


@leaping
async def test_a_process_that_may_no_longer_write_does_not_order_after_a_429() -> None:
    with Emulator() as emulator:
        emulator.script(Fault("429", times=1, seconds=0))
        writes = iter([None, RuntimeError("another attempt has taken over")])

        async def intend() -> None:
            if (error := next(writes)) is not None:
                raise error

        async with submitting(emulator) as (submitter, _):
            with pytest.raises(RuntimeError, match="taken over"):
                await submitter.submit(WORKFLOW, inputs(emulator), intend=intend)
        assert not emulator.charges


@leaping
async def test_a_free_call_waits_429s_out_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as emulator:
        async with submitting(emulator) as (submitter, _):
            emulator.script(Fault("429", on="credits", times=1, seconds=0))
            assert await submitter.free(lambda client: flow.get_credits(client.settings, client.auth)) == 100.0
            monkeypatch.setattr(flow, "PATIENCE", -1.0)
            emulator.script(Fault("429", on="credits", times=1, seconds=0))
            with pytest.raises(RateLimitError):
                await submitter.free(lambda client: flow.get_credits(client.settings, client.auth))


@leaping
async def test_a_turn_that_comes_when_whoever_waited_has_just_stopped_is_passed_over() -> None:
    with Emulator() as emulator:
        async with submitting(emulator, requests_per_minute=60) as (_, poller):
            await poller.turn()
            late = asyncio.ensure_future(poller.turn())
            await asyncio.sleep(0.05)
            late.cancel()  # it has not run yet, so its turn is still in the schedule
            poller._clock = lambda: now() + 60
            poller._send()
            with pytest.raises(asyncio.CancelledError):
                await late
